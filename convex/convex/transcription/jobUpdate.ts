/** Reads a job out of a webhook's body: null, absent and unknown fields are taken alike. */
import type { JobUpdate } from "./tables";
import { Problem } from "./problem";

/** Convex's own limit. */
const MAX_SEGMENTS = 8192;
const MAX_ID_LENGTH = 256;
export const JOB_ID = /^[A-Za-z0-9_-]{1,128}$/;
const STATUSES: ReadonlySet<string> = new Set<JobUpdate["status"]>([
  "queued",
  "processing",
  "completed",
  "failed",
  "cancelled",
  "deleted",
]);

/** Throws the problem `invalid_job`, naming the first field that is wrong. */
export function parseJobUpdate(body: string): JobUpdate {
  const job = object(parseJson(body), "the body");
  const timestamps = object(job.timestamps, "timestamps");
  const status = string(job.status, "status");
  if (!isStatus(status)) throw invalid("status", `one of ${[...STATUSES].join(", ")}`);
  return {
    jobId: jobId(job.jobId),
    userId: string(job.userId, "userId", { min: 1, max: MAX_ID_LENGTH }),
    status,
    progress: number(job.progress, "progress", { max: 100 }),
    sequence: integer(job.sequence, "sequence", { min: 1 }),
    result: nullable(job.result, "result", result),
    error: nullable(job.error, "error", error),
    timestamps: {
      createdAt: integer(timestamps.createdAt, "timestamps.createdAt"),
      startedAt: nullable(timestamps.startedAt, "timestamps.startedAt", integer),
      completedAt: nullable(timestamps.completedAt, "timestamps.completedAt", integer),
    },
  };
}

function result(value: unknown, name: string): NonNullable<JobUpdate["result"]> {
  const fields = object(value, name);
  return {
    text: string(fields.text, `${name}.text`),
    language: nullable(fields.language, `${name}.language`, string),
    durationSeconds: nullable(fields.durationSeconds, `${name}.durationSeconds`, number),
    segments: nullable(fields.segments, `${name}.segments`, segments),
    transcriptUrl: nullable(fields.transcriptUrl, `${name}.transcriptUrl`, string),
    truncated: nullable(fields.truncated, `${name}.truncated`, boolean) ?? false,
  };
}

function error(value: unknown, name: string): NonNullable<JobUpdate["error"]> {
  const fields = object(value, name);
  return {
    code: string(fields.code, `${name}.code`),
    message: string(fields.message, `${name}.message`),
  };
}

function segments(value: unknown, name: string) {
  if (!Array.isArray(value) || value.length > MAX_SEGMENTS) {
    throw invalid(name, `an array of at most ${MAX_SEGMENTS}`);
  }
  return value.map((item: unknown, index) => {
    const fields = object(item, `${name}[${index}]`);
    return {
      start: number(fields.start, `${name}[${index}].start`, { min: -Infinity }),
      end: number(fields.end, `${name}[${index}].end`, { min: -Infinity }),
      text: string(fields.text, `${name}[${index}].text`),
    };
  });
}

type Range = { min?: number; max?: number };

function parseJson(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    throw invalid("the body", "JSON");
  }
}

function isStatus(value: string): value is JobUpdate["status"] {
  return STATUSES.has(value);
}

function jobId(value: unknown): string {
  const text = string(value, "jobId");
  if (!JOB_ID.test(text)) throw invalid("jobId", "1 to 128 characters of A-Z a-z 0-9 _ -");
  return text;
}

function nullable<T>(value: unknown, name: string, read: (value: unknown, name: string) => T) {
  return value === null || value === undefined ? null : read(value, name);
}

function object(value: unknown, name: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw invalid(name, "an object");
  }
  return value as Record<string, unknown>;
}

/** Characters are code points, as the API counts them. Convex stores Unicode text: half of a surrogate pair is none. */
function string(value: unknown, name: string, { min = 0, max = Infinity }: Range = {}): string {
  const length = typeof value !== "string" || max === Infinity ? min : [...value].length;
  if (typeof value !== "string" || length < min || length > max) {
    throw invalid(name, max === Infinity ? "a string" : `a string of ${min} to ${max} characters`);
  }
  if (/\p{Surrogate}/u.test(value)) throw invalid(name, "well-formed Unicode");
  return value;
}

function number(value: unknown, name: string, { min = 0, max = Infinity }: Range = {}): number {
  if (typeof value !== "number" || !Number.isFinite(value) || value < min || value > max) {
    throw invalid(name, `a finite number from ${min} to ${max}`);
  }
  return value;
}

function integer(value: unknown, name: string, range: Range = {}): number {
  const whole = number(value, name, range);
  if (!Number.isSafeInteger(whole)) throw invalid(name, "a whole number");
  return whole;
}

function boolean(value: unknown, name: string): boolean {
  if (typeof value !== "boolean") throw invalid(name, "true or false");
  return value;
}

/** The value itself is not repeated: it may be a transcript. */
function invalid(name: string, expected: string): Problem {
  return new Problem("invalid_job", `${name} has to be ${expected}.`);
}
