/** Whatever the body is, the webhook says what is wrong with it, or takes it and shows it. */
import { ConvexError } from "convex/values";
import fc from "fast-check";
import { expect, test } from "vitest";
import { api } from "../../convex/_generated/api";
import { completedJob, JOB_ID, post, startBackend, useConfiguredEnvironment } from "./support";

useConfiguredEnvironment();

/** fast-check prints it, and the path to what it found. */
const RUNS = { seed: 20261128, numRuns: 400 };

/** UTF-16 units, halves of pairs as well. */
const units = fc
  .array(fc.integer({ min: 0, max: 0xffff }))
  .map((codes) => String.fromCharCode(...codes));

/** JSON texts, for what JSON.stringify never writes. */
const EDGES = [
  ...["1e999", "-1e999", "-0", "5e-324", "1.7976931348623157e308", "9007199254740993", "0.5", "-1"],
  ...[
    "1e2",
    "100.00000000000001",
    '"\\ud800"',
    '"\\udc00\\ud800"',
    '"\\u0000"',
    '""',
    '"$a"',
    '"_id"',
  ],
  ...[
    '{"__proto__":{"status":"completed"}}',
    '{"constructor":null}',
    '{"$a":1}',
    '{"_id":"1"}',
    '{"":1}',
  ],
  ...['{"é":1}', "[]", "[[]]", "{}", "null", "true", '[{"start":0,"end":1,"text":"a","$b":1}]'],
  `${"[".repeat(2000)}${"]".repeat(2000)}`,
  `${'{"a":'.repeat(2000)}1${"}".repeat(2000)}`,
  JSON.stringify("x".repeat(990_000)),
  JSON.stringify(Array.from({ length: 8193 }, () => ({ start: 0, end: 1, text: "" }))),
];

const value = fc.oneof(
  fc.constantFrom(...EDGES),
  fc.json(),
  units.map((text) => JSON.stringify(text)),
);

/** The path of every field of a job, and of some that it does not have. */
const PATHS = [
  ...["jobId", "userId", "status", "progress", "sequence", "result", "error", "timestamps", "more"],
  ...["timestamps.createdAt", "timestamps.startedAt", "timestamps.completedAt", "timestamps.more"],
  ...[
    "result.text",
    "result.language",
    "result.durationSeconds",
    "result.transcriptUrl",
    "result.more",
  ],
  ...["result.segments", "result.truncated", "result.segments.0", "result.segments.0.start"],
  ...["result.segments.0.text", "result.segments.0.more", "error.code", "error.message"],
  ...["__proto__", "$more", "_id", "_creationTime", "updatedAt", "expiresAt", "result.__proto__"],
];

/** The job's JSON with the values put in as they are written. */
function withValues(changes: [path: string, text: string][]): string {
  const job = { ...completedJob(), error: { code: "gave_up", message: "" } };
  const marks = new Map<string, string>();
  for (const [path, text] of changes) {
    const mark = `mark-${marks.size}-`;
    marks.set(JSON.stringify(mark), text);
    put(job, path.split("."), mark);
  }
  return [...marks].reduce(
    (text, [mark, written]) => text.replace(mark, () => written),
    JSON.stringify(job),
  );
}

function put(target: object, [name = "", ...rest]: string[], mark: string): void {
  const inner = Reflect.get(target, name) as unknown;
  if (rest.length > 0 && typeof inner === "object" && inner !== null) put(inner, rest, mark);
  else Object.defineProperty(target, name, { value: mark, enumerable: true, configurable: true });
}

const bodies = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .array(fc.tuple(fc.constantFrom(...PATHS), value), { minLength: 1, maxLength: 3 })
      .map(withValues),
  },
  { weight: 1, arbitrary: value },
  { weight: 1, arbitrary: units },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 200 }) },
);

/** What Convex keeps, which convex-test does not check throughout. */
function isStorable(stored: unknown): boolean {
  if (typeof stored === "string") return stored.isWellFormed();
  if (typeof stored === "number") return Number.isFinite(stored);
  if (Array.isArray(stored)) return stored.length <= 8192 && stored.every(isStorable);
  const entries = typeof stored === "object" ? Object.entries(stored ?? {}) : [];
  return entries.every(([name, inner]) => /^[a-zA-Z]/.test(name) && isStorable(inner));
}

async function expectToBeTakenOrRefused(body: string | Uint8Array): Promise<void> {
  const t = startBackend();
  const answer = await post(t, body);
  const rows = await t.run((ctx) => ctx.db.query("transcriptionJobs").collect());
  if (answer.status === 200) {
    const [row] = rows.map(({ _id, _creationTime, ...fields }) => fields);
    const shown = await t.query(api.transcriptionJobs.get, { jobId: row?.jobId ?? "" });
    expect(isStorable(row)).toBe(true);
    expect(shown?.status ?? "deleted").toBe(row?.status);
  } else {
    expect(rows).toEqual([]);
    expect([400, 413]).toContain(answer.status);
    expect(answer.contentType).toBe("application/problem+json");
    expect(["invalid_job", "too_large"]).toContain(answer.body.code);
  }
}

test.each(PATHS)(
  "whatever %s is, the job is taken and shown, or refused for good",
  async (path) => {
    for (const text of EDGES) await expectToBeTakenOrRefused(withValues([[path, text]]));
  },
);

test("any body at all is taken and shown, or refused for good", async () => {
  await fc.assert(fc.asyncProperty(bodies, expectToBeTakenOrRefused), RUNS);
}, 60_000);

test("any text at all can be asked for, and registered or refused", async () => {
  const property = fc.asyncProperty(fc.oneof(units, fc.constant(JOB_ID)), async (jobId) => {
    const t = startBackend();
    const { get, list, register } = api.transcriptionJobs;
    expect(await t.query(get, { jobId })).toBeNull();
    expect(await t.query(list, { jobIds: [jobId, jobId] })).toEqual([]);
    const refusal: unknown = await t.mutation(register, { jobId }).catch((error: unknown) => error);
    expect(refusal === null || refusal instanceof ConvexError).toBe(true);
  });
  await fc.assert(property, RUNS);
}, 60_000);
