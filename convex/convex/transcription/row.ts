/** Between a job as the API shows it (null for no value) and its row (no value: no field). */
import type { WithoutSystemFields } from "convex/server";
import type { Doc } from "../_generated/dataModel";
import type { JobUpdate, TranscriptionJob } from "./tables";
import type { JobRow } from "./access";

const HOUR_MS = 60 * 60 * 1000;
const REGISTRATION_MS = HOUR_MS;
const TOMBSTONE_MS = 90 * 24 * HOUR_MS;

type NewRow = WithoutSystemFields<Doc<"transcriptionJobs">>;

/** The row of a job that the API has not spoken of yet: it expires after an hour. */
export function registration(jobId: string, userId: string, nowMs: number): NewRow {
  return {
    jobId,
    userId,
    status: "queued",
    progress: 0,
    sequence: 0,
    createdAt: nowMs,
    updatedAt: nowMs,
    expiresAt: nowMs + REGISTRATION_MS,
  };
}

/** The whole row after this update; of a deleted job only what keeps late updates out, for 90 days. */
export function rowOf(update: JobUpdate, nowMs: number): NewRow {
  const { jobId, userId, status, progress, sequence, result, error, timestamps } = update;
  if (status === "deleted") {
    return { jobId, userId, status, sequence, updatedAt: nowMs, expiresAt: nowMs + TOMBSTONE_MS };
  }
  return {
    jobId,
    userId,
    status,
    progress,
    sequence,
    ...(result !== null && { result }),
    ...(error !== null && { error }),
    createdAt: timestamps.createdAt,
    ...(timestamps.startedAt !== null && { startedAt: timestamps.startedAt }),
    ...(timestamps.completedAt !== null && { completedAt: timestamps.completedAt }),
    updatedAt: nowMs,
  };
}

export function toJob(row: JobRow): TranscriptionJob {
  return {
    jobId: row.jobId,
    userId: row.userId,
    status: row.status,
    progress: row.progress,
    sequence: row.sequence,
    result: row.result ?? null,
    error: row.error ?? null,
    timestamps: {
      createdAt: row.createdAt,
      startedAt: row.startedAt ?? null,
      completedAt: row.completedAt ?? null,
    },
    updatedAt: row.updatedAt,
  };
}
