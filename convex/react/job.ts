/** A transcription job as the API, the webhook and Convex all describe it. */

export const JOB_STATUSES = [
  "queued",
  "processing",
  "completed",
  "failed",
  "cancelled",
  "deleted",
] as const;

export type JobStatus = (typeof JOB_STATUSES)[number];

export type Segment = { start: number; end: number; text: string };

export type TranscriptionResult = {
  text: string;
  /** ISO 639-1. */
  language: string | null;
  durationSeconds: number | null;
  /** Seconds from the start of the audio; null when there are too many to send along. */
  segments: Segment[] | null;
  /** Where the whole transcript is, when it is too long to send along. */
  transcriptUrl: string | null;
  /** True when `text` was cut. */
  truncated: boolean;
};

export type JobError = { code: string; message: string };

export type Job = {
  jobId: string;
  userId: string;
  status: JobStatus;
  /** 0 to 100. */
  progress: number;
  /** Grows by one with every change of the job: the only thing that orders two states of it. */
  sequence: number;
  result: TranscriptionResult | null;
  error: JobError | null;
  /** Unix milliseconds. */
  timestamps: {
    createdAt: number | null;
    startedAt: number | null;
    completedAt: number | null;
  };
};

/** Whether nothing but a deletion can follow. */
export function isFinal(status: JobStatus): boolean {
  switch (status) {
    case "queued":
    case "processing":
      return false;
    case "completed":
    case "failed":
    case "cancelled":
    case "deleted":
      return true;
    default:
      return status satisfies never;
  }
}

/** The later of two states of one job; of two equal ones the first, so that nothing is drawn again. */
export function newest(known: Job | null, other: Job): Job {
  return known !== null && known.sequence >= other.sequence ? known : other;
}

/** The job in a parsed answer, or null if the answer is not a job. Fields are checked as far as the hook relies on them. */
export function parseJob(value: unknown): Job | null {
  if (!isRecord(value)) return null;
  const { jobId, status, sequence, progress, userId } = value;
  if (typeof jobId !== "string" || typeof sequence !== "number") return null;
  const known = JOB_STATUSES.find((name) => name === status);
  if (known === undefined) return null;
  return {
    jobId,
    userId: typeof userId === "string" ? userId : "",
    status: known,
    progress: typeof progress === "number" ? progress : 0,
    sequence,
    result: parseResult(value.result),
    error: parseError(value.error),
    timestamps: parseTimestamps(value.timestamps),
  };
}

function parseResult(value: unknown): TranscriptionResult | null {
  if (!isRecord(value) || typeof value.text !== "string") return null;
  return {
    text: value.text,
    language: stringOrNull(value.language),
    durationSeconds: numberOrNull(value.durationSeconds),
    segments: Array.isArray(value.segments) ? value.segments.filter(isSegment) : null,
    transcriptUrl: stringOrNull(value.transcriptUrl),
    truncated: value.truncated === true,
  };
}

function parseError(value: unknown): JobError | null {
  if (!isRecord(value)) return null;
  return {
    code: stringOrNull(value.code) ?? "unknown",
    message: stringOrNull(value.message) ?? "The job failed without a reason.",
  };
}

function parseTimestamps(value: unknown): Job["timestamps"] {
  const times = isRecord(value) ? value : {};
  return {
    createdAt: numberOrNull(times.createdAt),
    startedAt: numberOrNull(times.startedAt),
    completedAt: numberOrNull(times.completedAt),
  };
}

function isSegment(value: unknown): value is Segment {
  return (
    isRecord(value) &&
    typeof value.start === "number" &&
    typeof value.end === "number" &&
    typeof value.text === "string"
  );
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const stringOrNull = (value: unknown) => (typeof value === "string" ? value : null);
const numberOrNull = (value: unknown) => (typeof value === "number" ? value : null);
