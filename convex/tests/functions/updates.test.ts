import { describe, expect, test, vi } from "vitest";
import { api, internal } from "../../convex/_generated/api";
import type { JobUpdate } from "../../convex/transcription/tables";
import {
  completedJob,
  JOB_ID,
  lifeOfAJob,
  post,
  startBackend,
  useConfiguredEnvironment,
  type Backend,
} from "./support";

useConfiguredEnvironment();

const DAY_MS = 24 * 60 * 60 * 1000;

/** The rows without what differs from run to run: when they were written, and under which id. */
async function rowsOf(t: Backend) {
  const rows = await t.run((ctx) => ctx.db.query("transcriptionJobs").collect());
  return rows.map(({ _id, _creationTime, updatedAt, expiresAt, ...row }) => ({
    ...row,
    expiresAfter: expiresAt === undefined ? null : expiresAt - updatedAt,
  }));
}

function permutations<T>(items: T[]): T[][] {
  if (items.length === 0) return [[]];
  return items.flatMap((first, index) =>
    permutations(items.toSpliced(index, 1)).map((rest) => [first, ...rest]),
  );
}

async function rowsAfter(updates: JobUpdate[]) {
  const t = startBackend();
  for (const update of updates)
    await t.mutation(internal.transcriptionJobs.applyUpdate, { update });
  return await rowsOf(t);
}

describe("a job's updates end in the same row", () => {
  test.each([
    ["of a completed job", lifeOfAJob().slice(0, 4)],
    ["of a deleted job", lifeOfAJob()],
  ])("in every order: %s", async (_name, updates) => {
    const inOrder = await rowsAfter(updates);
    expect(inOrder).toHaveLength(1);
    for (const order of permutations(updates)) expect(await rowsAfter(order)).toEqual(inOrder);
  });

  test("in every order with every update twice", async () => {
    const updates = lifeOfAJob().slice(1, 4);
    const inOrder = await rowsAfter(updates);
    const orders = permutations([...updates, ...updates]);
    const distinct = new Map(orders.map((order) => [JSON.stringify(order), order]));
    expect(distinct.size).toBe(90);
    for (const order of distinct.values()) {
      expect(await rowsAfter(order)).toEqual(inOrder);
    }
  });

  test("however they are spread over parallel requests", async () => {
    const t = startBackend();
    const all = [...lifeOfAJob(), ...lifeOfAJob().reverse()];
    const answers = await Promise.all(all.map((update) => post(t, update)));
    expect(answers.every(({ status }) => status === 200)).toBe(true);
    expect(await rowsOf(t)).toEqual(await rowsAfter(lifeOfAJob()));
  });

  test("and the last one wins over a final status too: only the sequence decides", async () => {
    const revived = completedJob({ status: "processing", sequence: 5, result: null });
    expect(await rowsAfter([completedJob(), revived])).toMatchObject([{ status: "processing" }]);
  });
});

describe("a deleted job", () => {
  const [, , , completed, deleted] = lifeOfAJob() as [
    JobUpdate,
    JobUpdate,
    JobUpdate,
    JobUpdate,
    JobUpdate,
  ];

  test("leaves a row without anything that was said", async () => {
    const rows = await rowsAfter([completed, deleted]);
    const tombstone = { jobId: JOB_ID, userId: "anonymous", status: "deleted", sequence: 5 };
    expect(rows).toEqual([{ ...tombstone, expiresAfter: 90 * DAY_MS }]);
  });

  test("is not found, not listed, and not brought back by a late update or a registration", async () => {
    const t = startBackend();
    for (const update of [deleted, completed]) await post(t, update);
    await t.mutation(api.transcriptionJobs.register, { jobId: JOB_ID });
    expect(await t.query(api.transcriptionJobs.get, { jobId: JOB_ID })).toBeNull();
    expect(await t.query(api.transcriptionJobs.list, { jobIds: [JOB_ID] })).toEqual([]);
  });

  test("leaves its tombstone for 90 days", async () => {
    vi.useFakeTimers({ toFake: ["Date"], now: 0 });
    const t = startBackend();
    await post(t, deleted);
    vi.setSystemTime(90 * DAY_MS - 1);
    await t.mutation(internal.transcriptionJobs.removeExpired, {});
    expect(await rowsOf(t)).toHaveLength(1);
    vi.setSystemTime(90 * DAY_MS);
    await t.mutation(internal.transcriptionJobs.removeExpired, {});
    expect(await rowsOf(t)).toEqual([]);
  });
});

describe("what expires", () => {
  test("a registration the API never spoke of goes after an hour, one it did speak of stays", async () => {
    vi.useFakeTimers({ toFake: ["Date"], now: 0 });
    const t = startBackend();
    await t.mutation(api.transcriptionJobs.register, { jobId: JOB_ID });
    await t.mutation(api.transcriptionJobs.register, { jobId: "never-sent-to-the-api" });
    await post(t, completedJob());
    vi.setSystemTime(DAY_MS / 24 - 1);
    await t.mutation(internal.transcriptionJobs.removeExpired, {});
    expect(await rowsOf(t)).toHaveLength(2);
    vi.setSystemTime(DAY_MS / 24);
    await t.mutation(internal.transcriptionJobs.removeExpired, {});
    expect(await rowsOf(t)).toMatchObject([
      { jobId: JOB_ID, status: "completed", expiresAfter: null },
    ]);
  });

  test("more than one batch goes in one run", async () => {
    vi.useFakeTimers({ now: 0 });
    const t = startBackend();
    await t.run(async (ctx) => {
      for (let index = 0; index < 450; index++) {
        const row = {
          jobId: `gone-${index}`,
          userId: "ada",
          status: "deleted" as const,
          sequence: 1,
        };
        await ctx.db.insert("transcriptionJobs", { ...row, updatedAt: 0, expiresAt: 1 });
      }
    });
    vi.setSystemTime(2);
    await t.mutation(internal.transcriptionJobs.removeExpired, {});
    await t.finishAllScheduledFunctions(vi.runAllTimers);
    expect(await rowsOf(t)).toEqual([]);
  });
});
