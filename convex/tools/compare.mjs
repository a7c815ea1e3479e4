/** `npm run compare`: reads every job from both sides and names those whose row is not what the API says. */
import { setTimeout as wait } from "node:timers/promises";
import { atMost } from "./reconcile/at-most.mjs";
import { address, key, patienceOf, readOptions, run } from "./reconcile/command-line.mjs";
import { Deployment } from "./reconcile/deployment.mjs";
import { differenceOf } from "./reconcile/differences.mjs";
import { FIRST_CURSOR, Transcriber } from "./reconcile/transcriber.mjs";

const USAGE = `npm run compare -- --api URL --convex URL [--patience SECONDS]

  --api       the transcription API; its key is in TRANSCRIBER_API_KEY
  --convex    the deployment, as pages reach it
  --patience  how long one request is tried while it is not answered; default: 300`;

const IN_FLIGHT = 8;
/** A job that differs may have moved on between the two reads, or its update be on its way. */
const MORE_LOOKS = 5;
const BETWEEN_LOOKS_MS = 1000;
/** What one query takes. */
const BATCH_JOBS = 100;

await run(USAGE, async () => {
  const options = readOptions({ api: { type: "string" }, convex: { type: "string" } });
  const patience = patienceOf(options.patience);
  const transcriber = new Transcriber({
    url: address("api", options.api),
    key: key("TRANSCRIBER_API_KEY"),
    patience,
  });
  const deployment = new Deployment({ url: address("convex", options.convex), patience });
  const { seen, different } = await compareAll(transcriber, deployment);
  const still = await lookAgain(different, transcriber, deployment);
  for (const [jobId, difference] of still) console.error(`${jobId} ${difference}`);
  console.log(`${seen} jobs: ${seen - still.size} the same, ${still.size} different`);
  return still.size === 0 ? 0 : 1;
});

/** @typedef {import("./reconcile/transcriber.mjs").Job} Job */
/** @typedef {Map<string, string>} Differences a sentence for each job that differs */

/** @param {Transcriber} transcriber @param {Deployment} deployment */
async function compareAll(transcriber, deployment) {
  const seen = new Set();
  /** @type {Differences} */
  const different = new Map();
  for await (const { jobs } of transcriber.pages(FIRST_CURSOR)) {
    for (const { jobId } of jobs) seen.add(jobId);
    for (const [jobId, difference] of await compare(jobs, deployment)) {
      different.set(jobId, difference);
    }
  }
  return { seen: seen.size, different };
}

/** What differs at every look. @param {Differences} first @param {Transcriber} transcriber @param {Deployment} deployment */
async function lookAgain(first, transcriber, deployment) {
  let different = first;
  for (let look = 0; look < MORE_LOOKS && different.size > 0; look++) {
    await wait(BETWEEN_LOOKS_MS);
    const jobIds = [...different.keys()];
    different = new Map();
    for (let start = 0; start < jobIds.length; start += BATCH_JOBS) {
      const jobs = await jobsNow(jobIds.slice(start, start + BATCH_JOBS), transcriber);
      for (const entry of await compare(jobs, deployment)) different.set(...entry);
    }
  }
  return different;
}

/** A job that the API has forgotten counts as deleted. @param {string[]} jobIds @param {Transcriber} transcriber */
async function jobsNow(jobIds, transcriber) {
  /** @type {Job[]} */
  const jobs = [];
  await atMost(IN_FLIGHT, jobIds, async (jobId) => {
    jobs.push((await transcriber.job(jobId)) ?? { jobId, status: "deleted" });
  });
  return jobs;
}

/** @param {Job[]} jobs @param {Deployment} deployment @returns {Promise<Differences>} */
async function compare(jobs, deployment) {
  const shown = await deployment.jobs(jobs.map(({ jobId }) => jobId));
  return new Map(
    jobs.flatMap((job) => {
      const difference = differenceOf(job, shown.get(job.jobId) ?? null);
      return difference === null ? [] : [[job.jobId, difference]];
    }),
  );
}
