// @vitest-environment node
/** An app whose table `transcriptionJobs` has rows of another shape: docs/convex.md says what to do. */
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { ConvexError } from "convex/values";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { api, internal } from "../../convex/_generated/api";
import { runConvex } from "../../tools/deployment-stub.mjs";
import { completedJob, JOB_ID, post, useConfiguredEnvironment, type Backend } from "./support";
import { discard, readInstructions, startApp, takeIn, typeFaults } from "./takingIn";

useConfiguredEnvironment();

const SLOW_MS = 60_000;
const VALIDATOR = /^ +(const polledRow = .*)$/m;

let directory: string;

beforeAll(async () => {
  directory = await takeIn(await readInstructions());
  await widen(path.join(directory, "convex/transcription/tables.ts"));
  const run = await runConvex(["codegen", "--typecheck", "disable"], { directory });
  expect(run.code, run.output).toBe(0);
}, SLOW_MS);

afterAll(async () => {
  await discard(directory);
});

/** Step 1 of the documentation. */
async function widen(file: string): Promise<void> {
  const text = await readFile(path.join(import.meta.dirname, "../../../docs/convex.md"), "utf8");
  const validator = VALIDATOR.exec(text)?.[1] ?? "";
  const tables = await readFile(file, "utf8");
  const wider = tables
    .replace("v.union(jobRow, tombstone)", "v.union(jobRow, tombstone, polledRow)")
    .replace(
      "export const transcriptionTables",
      `${validator}\n\nexport const transcriptionTables`,
    );
  await writeFile(file, wider);
}

async function withRowOfBefore(): Promise<Backend> {
  const t = await startApp(directory);
  await t.run(async (ctx) => {
    const row = { jobId: JOB_ID, state: "done", text: "Ask not" };
    await ctx.db.insert("transcriptionJobs", row as never);
  });
  return t;
}

const rowsOf = (t: Backend) => t.run((ctx) => ctx.db.query("transcriptionJobs").collect());

test("the wider table has no type fault", { timeout: SLOW_MS }, () => {
  expect(typeFaults(directory)).toBe("");
});

test("a row of before is not shown, and the cron does not remove it", async () => {
  const t = await withRowOfBefore();
  await t.mutation(internal.transcriptionJobs.removeExpired, {});
  expect(await t.query(api.transcriptionJobs.get, { jobId: JOB_ID })).toBeNull();
  expect(await t.query(api.transcriptionJobs.list, { jobIds: [JOB_ID] })).toEqual([]);
  expect(await rowsOf(t)).toMatchObject([{ jobId: JOB_ID, state: "done" }]);
});

test("nobody registers the job of a row of before, and the row stays", async () => {
  const t = await withRowOfBefore();
  for (const caller of [t, t.withIdentity({ subject: "ada" })]) {
    const refused = caller.mutation(api.transcriptionJobs.register, { jobId: JOB_ID });
    await expect(refused).rejects.toThrow(ConvexError);
    await expect(refused).rejects.toMatchObject({ data: { code: "owner_mismatch" } });
  }
  expect(await rowsOf(t)).toMatchObject([{ jobId: JOB_ID, state: "done" }]);
});

test("where registration is required no update replaces a row of before: nobody registered it", async () => {
  vi.stubEnv("TRANSCRIPTION_REQUIRE_REGISTRATION", "true");
  const t = await withRowOfBefore();
  const job = completedJob({ userId: "ada" });
  expect(await post(t, job)).toMatchObject({ status: 404, body: { code: "unknown_job" } });
  expect(await rowsOf(t)).toMatchObject([{ jobId: JOB_ID, state: "done" }]);
});

test("the first update replaces it, whosever it is, and from then on the sequence decides", async () => {
  const t = await withRowOfBefore();
  const job = completedJob({ userId: "ada" });
  expect(await post(t, job)).toMatchObject({ status: 200, body: { outcome: "applied" } });
  expect(await post(t, job)).toMatchObject({ status: 200, body: { outcome: "duplicate" } });
  const [row, ...others] = await rowsOf(t);
  expect(others).toEqual([]);
  expect(row).not.toHaveProperty("state");
  expect(await t.query(api.transcriptionJobs.get, { jobId: JOB_ID })).toMatchObject(job);
});
