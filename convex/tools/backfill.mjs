/**
 * `npm run backfill`: posts every job that the transcription API has to the webhook route, whose
 * rule (a higher `sequence` wins) makes it safe at any time, beside live updates, and twice.
 */
import { atMost } from "./reconcile/at-most.mjs";
import {
  address,
  key,
  patienceOf,
  readOptions,
  run,
  UsageError,
} from "./reconcile/command-line.mjs";
import { Counts } from "./reconcile/counts.mjs";
import { Stop } from "./reconcile/patience.mjs";
import { CURSOR, FIRST_CURSOR, Transcriber } from "./reconcile/transcriber.mjs";
import { Webhook } from "./reconcile/webhook.mjs";

const USAGE = `npm run backfill -- --api URL --site URL [--dry-run] [--cursor CURSOR] [--patience SECONDS]

  --api       the transcription API; its key is in TRANSCRIBER_API_KEY
  --site      the deployment's HTTP actions; the webhook's key is in TRANSCRIPTION_WEBHOOK_KEY
  --dry-run   counts the jobs, posts none
  --cursor    where an earlier run said it stopped; default: the beginning
  --patience  how long one request is tried while it is not answered; default: 300`;

const IN_FLIGHT = 8;

await run(USAGE, async () => {
  const options = readOptions({
    api: { type: "string" },
    site: { type: "string" },
    "dry-run": { type: "boolean", default: false },
    cursor: { type: "string", default: FIRST_CURSOR },
  });
  const patience = patienceOf(options.patience);
  const cursor = String(options.cursor);
  if (!CURSOR.test(cursor)) throw new UsageError("--cursor has to be one that was printed here.");
  const transcriber = new Transcriber({
    url: address("api", options.api),
    key: key("TRANSCRIBER_API_KEY"),
    patience,
  });
  const url = address("site", options.site);
  if (options["dry-run"]) return await count(transcriber.pages(cursor));
  const webhook = new Webhook({ url, key: key("TRANSCRIPTION_WEBHOOK_KEY"), patience });
  return await postAll(transcriber.pages(cursor), cursor, webhook);
});

/** @typedef {AsyncGenerator<import("./reconcile/transcriber.mjs").Page>} Pages */

/** @param {Pages} pages */
async function count(pages) {
  const counts = new Counts();
  for await (const { jobs } of pages) jobs.forEach(({ status }) => counts.add(status));
  console.log(`${counts}; none was posted`);
  return 0;
}

/** @param {Pages} pages @param {string} from @param {Webhook} webhook */
async function postAll(pages, from, webhook) {
  const counts = new Counts("applied", "duplicate", "stale", "refused");
  let cursor = from;
  try {
    for await (const { jobs, next } of pages) {
      await atMost(IN_FLIGHT, jobs, (job) => post(job, webhook, counts));
      if (next !== null) console.log(`${counts}; to go on from here: --cursor ${next}`);
      cursor = next ?? cursor;
    }
  } catch (failure) {
    if (!(failure instanceof Stop)) throw failure;
    throw new Stop(`${failure.message}\nStopped at ${counts}; to go on: --cursor ${cursor}`);
  }
  console.log(`${counts}: done`);
  return counts.of("refused") === 0 ? 0 : 1;
}

/** @param {import("./reconcile/transcriber.mjs").Job} job @param {Webhook} webhook @param {Counts} counts */
async function post(job, webhook, counts) {
  const answer = await webhook.post(job);
  counts.add(answer.outcome);
  if (answer.outcome === "refused") console.error(`${job.jobId} is refused: ${answer.reason}`);
}
