import { describe, expect, test, vi } from "vitest";
import { api } from "../../convex/_generated/api";
import {
  completedJob,
  JOB_ID,
  KEY,
  PATH,
  post,
  startBackend,
  useConfiguredEnvironment,
} from "./support";

useConfiguredEnvironment();

const problem = (status: number, code: string) => ({
  status,
  contentType: "application/problem+json",
  body: expect.objectContaining({ type: "about:blank", title: expect.any(String), status, code }),
});

describe("what is answered", () => {
  test("a job is applied, and the same once more is a duplicate", async () => {
    const t = startBackend();
    expect(await post(t, completedJob())).toMatchObject({
      status: 200,
      body: { outcome: "applied" },
    });
    expect(await post(t, completedJob())).toMatchObject({
      status: 200,
      body: { outcome: "duplicate" },
    });
  });

  test("an older update is stale and changes nothing", async () => {
    const t = startBackend();
    await post(t, completedJob());
    const before = await t.query(api.transcriptionJobs.get, { jobId: JOB_ID });
    const older = completedJob({ sequence: 3, status: "processing", result: null });
    expect(await post(t, older)).toMatchObject({ status: 200, body: { outcome: "stale" } });
    expect(await t.query(api.transcriptionJobs.get, { jobId: JOB_ID })).toEqual(before);
  });

  test("a row of another user is a conflict and stays as it is", async () => {
    const t = startBackend();
    await post(t, completedJob({ userId: "ada" }));
    expect(await post(t, completedJob({ userId: "eve", sequence: 9 }))).toEqual(
      problem(409, "owner_mismatch"),
    );
    expect(await t.query(api.transcriptionJobs.get, { jobId: JOB_ID })).toMatchObject({
      userId: "ada",
      sequence: 4,
    });
  });

  test("GET and other paths are not routed", async () => {
    const t = startBackend();
    expect((await t.fetch(PATH)).status).toBe(404);
    expect((await t.fetch("/webhooks/other", { method: "POST" })).status).toBe(404);
  });
});

describe("the key", () => {
  const unauthorized = problem(401, "unauthorized");

  test.each([
    ["none", ""],
    ["an empty one", "Bearer "],
    ["another", "Bearer another"],
    ["a part of it", `Bearer ${KEY.slice(0, -1)}`],
    ["more than it", `Bearer ${KEY}x`],
    ["two", `Bearer ${KEY} ${KEY}`],
    ["another scheme", `Basic ${KEY}`],
    ["no scheme", KEY],
  ])("%s is refused", async (_name, Authorization) => {
    const t = startBackend();
    expect(await post(t, completedJob(), { headers: { Authorization } })).toEqual(unauthorized);
    expect(await t.query(api.transcriptionJobs.get, { jobId: JOB_ID })).toBeNull();
  });

  test("the scheme may be written in small letters", async () => {
    const headers = { Authorization: `bearer ${KEY}` };
    expect((await post(startBackend(), completedJob(), { headers })).status).toBe(200);
  });

  test("while rotating the new and the previous key are taken, and no third", async () => {
    vi.stubEnv("TRANSCRIPTION_WEBHOOK_KEY", "new");
    vi.stubEnv("TRANSCRIPTION_WEBHOOK_KEY_PREVIOUS", KEY);
    const t = startBackend();
    expect((await post(t, completedJob(), { key: "new" })).status).toBe(200);
    expect((await post(t, completedJob(), { key: KEY })).status).toBe(200);
    expect((await post(t, completedJob(), { key: "third" })).status).toBe(401);
  });

  test("an empty previous key opens nothing", async () => {
    vi.stubEnv("TRANSCRIPTION_WEBHOOK_KEY_PREVIOUS", "");
    const headers = { Authorization: "Bearer " };
    expect(await post(startBackend(), completedJob(), { headers })).toEqual(unauthorized);
  });

  test("white space around the configured key does not count", async () => {
    vi.stubEnv("TRANSCRIPTION_WEBHOOK_KEY", `${KEY}\n`);
    expect((await post(startBackend(), completedJob())).status).toBe(200);
  });

  test.each([undefined, "", " "])(
    "a key that is not configured (%j) closes the door",
    async (value) => {
      vi.stubEnv("TRANSCRIPTION_WEBHOOK_KEY", value);
      vi.stubEnv("TRANSCRIPTION_WEBHOOK_KEY_PREVIOUS", KEY);
      const answer = await post(startBackend(), completedJob());
      expect(answer).toEqual(problem(503, "not_configured"));
      expect(answer.body.detail).toContain("TRANSCRIPTION_WEBHOOK_KEY");
    },
  );
});

describe("the body", () => {
  const invalid = problem(400, "invalid_job");
  const MAX_BODY_BYTES = 1_000_000;

  /** A valid job whose JSON has exactly this many bytes. */
  function jobOfSize(bytes: number): string {
    const job = completedJob();
    const padding =
      bytes - new TextEncoder().encode(JSON.stringify({ ...job, padding: "" })).length;
    return JSON.stringify({ ...job, padding: "x".repeat(padding) });
  }

  test("the largest allowed one is taken, one byte more is not", async () => {
    const t = startBackend();
    expect((await post(t, jobOfSize(MAX_BODY_BYTES))).status).toBe(200);
    expect(await post(t, jobOfSize(MAX_BODY_BYTES + 1))).toEqual(problem(413, "too_large"));
  });

  test("a declared length over the bound is refused", async () => {
    const headers = { "Content-Length": String(MAX_BODY_BYTES + 1) };
    expect(await post(startBackend(), completedJob(), { headers })).toEqual(
      problem(413, "too_large"),
    );
  });

  test("a job of 900,000 bytes and 8,000 segments fits into a row", async () => {
    const t = startBackend();
    const segments = Array.from({ length: 8000 }, () => ({
      start: 0,
      end: 1,
      text: "x".repeat(75),
    }));
    const job = completedJob();
    const body = { ...job, result: { ...job.result, segments } };
    expect(JSON.stringify(body).length).toBeGreaterThan(800_000);
    expect((await post(t, body)).body).toEqual({ outcome: "applied" });
    const stored = await t.query(api.transcriptionJobs.get, { jobId: JOB_ID });
    expect(stored?.result?.segments).toEqual(segments);
  });

  test("what fits in the body and not in a Convex document is too large", async () => {
    const segments = Array.from({ length: 8192 }, () => ({
      start: 0,
      end: 1,
      text: "x".repeat(91),
    }));
    const job = completedJob();
    const body = JSON.stringify({ ...job, result: { ...job.result, segments } });
    expect(body.length).toBeLessThanOrEqual(MAX_BODY_BYTES);
    expect(await post(startBackend(), body)).toEqual(problem(413, "too_large"));
  });

  test.each([
    ["nothing", ""],
    ["no JSON", "{"],
    ["no object", "[]"],
    ["null", "null"],
    ["deep nesting", "[".repeat(400_000)],
    ["bytes that are not UTF-8", new Uint8Array([0x7b, 0xff, 0x7d])],
  ])("%s is refused", async (_name, body) => {
    expect(await post(startBackend(), body)).toEqual(invalid);
  });

  const result = completedJob().result as object;
  const { timestamps } = completedJob();
  test.each([
    ["jobId", null],
    ["jobId", ""],
    ["jobId", "x".repeat(129)],
    ["jobId", "with a space"],
    ["jobId", 7],
    ["userId", ""],
    ["userId", null],
    ["userId", "x".repeat(257)],
    ["status", "done"],
    ["status", null],
    ["progress", -1],
    ["progress", 100.5],
    ["progress", "50"],
    ["progress", null],
    ["sequence", 0],
    ["sequence", 1.5],
    ["sequence", 2 ** 53],
    ["sequence", null],
    ["error", { code: "audio_unreadable" }],
    ["error", "broken"],
    ["timestamps", null],
    ["timestamps", { ...timestamps, createdAt: null }],
    ["timestamps", { ...timestamps, startedAt: "2026-11-22" }],
    ["result", []],
    ["result", { ...result, text: null }],
    ["result", { ...result, text: "\ud800" }],
    ["result", { ...result, durationSeconds: -1 }],
    ["result", { ...result, truncated: 1 }],
    ["result", { ...result, segments: {} }],
    ["result", { ...result, segments: [null] }],
    ["result", { ...result, segments: [{ start: 0, end: 1 }] }],
    [
      "result",
      { ...result, segments: Array.from({ length: 8193 }, () => ({ start: 0, end: 0, text: "" })) },
    ],
  ])("%s = %j is refused by its name", async (name, value) => {
    const t = startBackend();
    const answer = await post(t, { ...completedJob(), [name]: value });
    expect(answer).toEqual(invalid);
    expect(answer.body.detail).toContain(name);
    expect(await t.query(api.transcriptionJobs.list, { jobIds: [JOB_ID] })).toEqual([]);
  });

  test("a number too large for JavaScript is refused", async () => {
    const body = JSON.stringify(completedJob()).replace(
      '"durationSeconds":11',
      '"durationSeconds":1e999',
    );
    expect(await post(startBackend(), body)).toEqual(invalid);
  });

  test("null, absent and unknown fields are taken alike", async () => {
    const withNulls = completedJob({ status: "queued", result: null });
    const { result: _result, error: _error, ...absent } = withNulls;
    const unknown = { ...absent, retryOf: "other", __proto__: null, $odd: { "a.b": 1 } };
    const stored = await Promise.all(
      [withNulls, absent, unknown].map(async (body) => {
        const t = startBackend();
        expect((await post(t, body)).status).toBe(200);
        const job = await t.query(api.transcriptionJobs.get, { jobId: JOB_ID });
        return { ...job, updatedAt: 0 };
      }),
    );
    expect(stored).toEqual([stored[0], stored[0], stored[0]]);
    expect(stored[0]).toEqual({ ...withNulls, updatedAt: 0 });
  });

  test("fields left out of a result become null", async () => {
    const t = startBackend();
    await post(t, { ...completedJob(), result: { text: "short" } });
    const job = await t.query(api.transcriptionJobs.get, { jobId: JOB_ID });
    expect(job?.result).toEqual({
      text: "short",
      language: null,
      durationSeconds: null,
      segments: null,
      transcriptUrl: null,
      truncated: false,
    });
  });
});

describe("the order of refusals", () => {
  const tooLarge = "x".repeat(1_000_001);

  test("a wrong key counts before everything else", async () => {
    expect((await post(startBackend(), tooLarge, { key: "wrong" })).status).toBe(401);
    expect((await post(startBackend(), "{", { key: "wrong" })).status).toBe(401);
  });

  test("the size counts before the content", async () => {
    expect((await post(startBackend(), tooLarge)).status).toBe(413);
  });

  test("the content counts before the owner", async () => {
    const t = startBackend();
    await post(t, completedJob({ userId: "ada" }));
    expect((await post(t, { ...completedJob({ userId: "eve" }), status: "done" })).status).toBe(
      400,
    );
  });

  test("the owner counts before the sequence", async () => {
    const t = startBackend();
    await post(t, completedJob({ userId: "ada" }));
    expect((await post(t, completedJob({ userId: "eve", sequence: 1 }))).status).toBe(409);
  });

  test("the owner counts where registration is required as well", async () => {
    const t = startBackend();
    await post(t, completedJob({ userId: "ada" }));
    vi.stubEnv("TRANSCRIPTION_REQUIRE_REGISTRATION", "true");
    expect((await post(t, completedJob({ userId: "eve" }))).status).toBe(409);
  });
});

test("a failure of the mutation is transient for the sender, and its text stays here", async () => {
  vi.spyOn(console, "error").mockImplementation(() => {});
  const t = startBackend();
  // Two rows of one job: no path of ours makes them, and `.unique()` throws.
  await t.run(async (ctx) => {
    const row = {
      jobId: JOB_ID,
      userId: "ada",
      status: "deleted" as const,
      sequence: 1,
      updatedAt: 1,
    };
    await ctx.db.insert("transcriptionJobs", row);
    await ctx.db.insert("transcriptionJobs", row);
  });
  const answer = await post(t, completedJob());
  expect(answer).toEqual(problem(503, "unavailable"));
  expect(JSON.stringify(answer.body)).not.toContain("unique");
});
