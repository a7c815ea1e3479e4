import { ConvexError } from "convex/values";
import { describe, expect, test, vi } from "vitest";
import { api } from "../../convex/_generated/api";
import {
  completedJob,
  JOB_ID,
  post,
  startBackend,
  useConfiguredEnvironment,
  type Backend,
} from "./support";

useConfiguredEnvironment();

const ada = (t: Backend) => t.withIdentity({ subject: "ada" });
const eve = (t: Backend) => t.withIdentity({ subject: "eve" });
const { get, list, register } = api.transcriptionJobs;

/** The `code` a function refuses with. */
async function refusalOf(call: Promise<unknown>): Promise<unknown> {
  const error = await call.then(
    () => null,
    (reason: unknown) => reason,
  );
  return error instanceof ConvexError ? (error.data as { code: string }).code : error;
}

describe("get", () => {
  test("gives the job as the API sent it, and when it last changed", async () => {
    vi.useFakeTimers({ toFake: ["Date"], now: 1_800_000_000_000 });
    const t = startBackend();
    await post(t, completedJob());
    const job = await t.query(get, { jobId: JOB_ID });
    expect(job).toEqual({ ...completedJob(), updatedAt: 1_800_000_000_000 });
  });

  test("gives a failed job its error", async () => {
    const t = startBackend();
    const error = { code: "audio_unreadable", message: "The file ends in the middle." };
    await post(t, completedJob({ status: "failed", result: null, error }));
    expect(await t.query(get, { jobId: JOB_ID })).toMatchObject({
      status: "failed",
      result: null,
      error,
    });
  });

  test("of an unknown job is null", async () => {
    expect(await startBackend().query(get, { jobId: "unknown" })).toBeNull();
  });

  test("shows a job to its owner and to whoever knows its id, and not to another user", async () => {
    const t = startBackend();
    await post(t, completedJob({ userId: "ada" }));
    expect(await ada(t).query(get, { jobId: JOB_ID })).not.toBeNull();
    expect(await t.query(get, { jobId: JOB_ID })).not.toBeNull();
    expect(await eve(t).query(get, { jobId: JOB_ID })).toBeNull();
  });

  test("shows a job that nobody claimed to a signed-in user who knows its id", async () => {
    const t = startBackend();
    await post(t, completedJob({ userId: "anonymous" }));
    expect(await ada(t).query(get, { jobId: JOB_ID })).not.toBeNull();
  });
});

describe("list", () => {
  async function threeJobs() {
    const t = startBackend();
    for (const [jobId, userId] of [
      ["one", "ada"],
      ["two", "eve"],
      ["three", "ada"],
    ] as const) {
      await post(t, completedJob({ jobId, userId }));
    }
    return t;
  }
  const ids = (jobs: { jobId: string }[]) => jobs.map(({ jobId }) => jobId);

  test("gives the known ones in the order asked for, each once", async () => {
    const t = await threeJobs();
    expect(ids(await t.query(list, { jobIds: ["two", "none", "one", "two"] }))).toEqual([
      "two",
      "one",
    ]);
  });

  test("leaves out what belongs to another user", async () => {
    const t = await threeJobs();
    expect(ids(await ada(t).query(list, { jobIds: ["one", "two"] }))).toEqual(["one"]);
  });

  test("without ids gives the signed-in user's own, newest first, and nobody's to nobody", async () => {
    const t = await threeJobs();
    expect(ids(await ada(t).query(list, {}))).toEqual(["three", "one"]);
    expect(await t.query(list, {})).toEqual([]);
  });

  test("without ids gives the own jobs behind a hundred deleted ones", async () => {
    const t = await threeJobs();
    for (let number = 0; number < 110; number++) {
      const jobId = `deleted-${number}`;
      await post(t, completedJob({ jobId, userId: "ada", status: "deleted", result: null }));
    }
    expect(ids(await ada(t).query(list, {}))).toEqual(["three", "one"]);
  });

  test("without ids gives at most 100", async () => {
    const t = startBackend();
    for (let number = 0; number < 101; number++) {
      await post(t, completedJob({ jobId: `job-${number}`, userId: "ada" }));
    }
    const given = ids(await ada(t).query(list, {}));
    expect([given.length, given.at(-1)]).toEqual([100, "job-1"]);
  });

  test("without ids looks behind thousands of deleted ones, not behind all there may be", async () => {
    const t = await threeJobs();
    const tombstone = { userId: "ada", status: "deleted" as const, sequence: 5, updatedAt: 1 };
    const deleteMore = (count: number) =>
      t.run(async (ctx) => {
        for (let number = 0; number < count; number++) {
          await ctx.db.insert("transcriptionJobs", { ...tombstone, jobId: "deleted" });
        }
      });
    await deleteMore(4_000);
    expect(ids(await ada(t).query(list, {}))).toEqual(["three", "one"]);
    await deleteMore(4_200);
    expect(await ada(t).query(list, {})).toEqual([]);
  }, 20_000);

  describe("of more than one query may read", () => {
    async function longJobs(count: number) {
      const t = startBackend();
      const { result } = completedJob();
      const text = "x".repeat(900_000);
      const jobIds = Array.from({ length: count }, (_, number) => `long-${number}`);
      for (const jobId of jobIds) {
        const long = result && { ...result, text };
        await post(t, completedJob({ jobId, userId: "ada", result: long }));
      }
      return { t, jobIds };
    }

    test("gives the first in the order asked for, and the others when they are asked for", async () => {
      const { t, jobIds } = await longJobs(20);
      const left = new Set(jobIds.toReversed());
      const rounds: string[][] = [];
      while (left.size > 0 && rounds.length < 20) {
        const given = ids(await t.query(list, { jobIds: [...left] }));
        rounds.push(given);
        given.forEach((jobId) => left.delete(jobId));
      }
      expect(rounds.map(({ length }) => length)).toEqual([9, 9, 2]);
      expect(rounds.flat()).toEqual(jobIds.toReversed());
    });

    test("without ids gives the newest", async () => {
      const { t, jobIds } = await longJobs(20);
      expect(ids(await ada(t).query(list, {}))).toEqual(jobIds.toReversed().slice(0, 9));
    });

    test("counts what is another's, which is read as well", async () => {
      const { t, jobIds } = await longJobs(20);
      expect(await eve(t).query(list, { jobIds })).toEqual([]);
    });
  });

  test("of more than 100 ids is refused", async () => {
    const jobIds = Array.from({ length: 101 }, (_, index) => `job-${index}`);
    expect(await refusalOf(startBackend().query(list, { jobIds }))).toBe("too_many");
  });
});

describe("register", () => {
  test("shows the job as queued at sequence 0, and once more changes nothing", async () => {
    const t = startBackend();
    await t.mutation(register, { jobId: JOB_ID });
    const first = await t.query(get, { jobId: JOB_ID });
    await t.mutation(register, { jobId: JOB_ID });
    expect(await t.query(get, { jobId: JOB_ID })).toEqual(first);
    expect(first).toMatchObject({
      status: "queued",
      progress: 0,
      sequence: 0,
      userId: "anonymous",
      result: null,
    });
  });

  test("after the API's first word changes nothing", async () => {
    const t = startBackend();
    await post(t, completedJob({ userId: "ada" }));
    await ada(t).mutation(register, { jobId: JOB_ID });
    await t.mutation(register, { jobId: JOB_ID });
    expect(await t.query(get, { jobId: JOB_ID })).toMatchObject({
      status: "completed",
      userId: "ada",
    });
  });

  test("of another user's job is refused", async () => {
    const t = startBackend();
    await ada(t).mutation(register, { jobId: JOB_ID });
    expect(await refusalOf(eve(t).mutation(register, { jobId: JOB_ID }))).toBe("owner_mismatch");
  });

  test("of a job that nobody claimed changes nothing for a signed-in user", async () => {
    const t = startBackend();
    await post(t, completedJob({ userId: "anonymous" }));
    await ada(t).mutation(register, { jobId: JOB_ID });
    expect(await ada(t).query(get, { jobId: JOB_ID })).toMatchObject({ userId: "anonymous" });
  });

  test.each(["", "a b", "../x", "x".repeat(129), "jöb"])("of %j is refused", async (jobId) => {
    expect(await refusalOf(startBackend().mutation(register, { jobId }))).toBe("invalid_job_id");
  });

  test("under auth keeps the job for that user: an update for another is a conflict", async () => {
    const t = startBackend();
    await ada(t).mutation(register, { jobId: JOB_ID });
    expect((await post(t, completedJob({ userId: "eve" }))).status).toBe(409);
    expect((await post(t, completedJob({ userId: "ada" }))).status).toBe(200);
  });

  test("without auth leaves it to the API whose the job is", async () => {
    const t = startBackend();
    await t.mutation(register, { jobId: JOB_ID });
    expect((await post(t, completedJob({ userId: "ada" }))).status).toBe(200);
    expect((await post(t, completedJob({ userId: "eve", sequence: 9 }))).status).toBe(409);
  });
});

describe("where registration is required", () => {
  test.each(["true", "yes", "1"])(
    "(%s) an unknown job is refused and a registered one is taken",
    async (value) => {
      vi.stubEnv("TRANSCRIPTION_REQUIRE_REGISTRATION", value);
      const t = startBackend();
      const job = completedJob({ userId: "ada" });
      expect(await post(t, job)).toMatchObject({ status: 404, body: { code: "unknown_job" } });
      await ada(t).mutation(register, { jobId: JOB_ID });
      expect(await post(t, job)).toMatchObject({ status: 200, body: { outcome: "applied" } });
    },
  );

  test("a job whose deletion comes first is refused, and leaves nothing", async () => {
    vi.stubEnv("TRANSCRIPTION_REQUIRE_REGISTRATION", "true");
    const t = startBackend();
    const deleted = completedJob({ status: "deleted", result: null });
    expect(await post(t, deleted)).toMatchObject({ status: 404, body: { code: "unknown_job" } });
    expect(await t.run((ctx) => ctx.db.query("transcriptionJobs").collect())).toEqual([]);
  });

  test("nobody registers without signing in", async () => {
    vi.stubEnv("TRANSCRIPTION_REQUIRE_REGISTRATION", "true");
    expect(await refusalOf(startBackend().mutation(register, { jobId: JOB_ID }))).toBe(
      "unauthenticated",
    );
  });

  test.each(["false", ""])("not (%j): unknown jobs are taken", async (value) => {
    vi.stubEnv("TRANSCRIPTION_REQUIRE_REGISTRATION", value);
    expect((await post(startBackend(), completedJob())).status).toBe(200);
  });
});
