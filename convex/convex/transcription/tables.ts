/** The table of jobs, and what a job is in it, in a webhook and on a page. */
import { defineTable } from "convex/server";
import { v, type Infer } from "convex/values";

export const jobStatus = v.union(
  v.literal("queued"),
  v.literal("processing"),
  v.literal("completed"),
  v.literal("failed"),
  v.literal("cancelled"),
);

const deleted = v.literal("deleted");

/** Times of a segment are seconds from the start of the recording. */
export const jobResult = v.object({
  text: v.string(),
  /** ISO 639-1. */
  language: v.nullable(v.string()),
  durationSeconds: v.nullable(v.number()),
  segments: v.nullable(v.array(v.object({ start: v.number(), end: v.number(), text: v.string() }))),
  /** Where the whole transcript is when `segments` or a part of `text` did not fit. */
  transcriptUrl: v.nullable(v.string()),
  truncated: v.boolean(),
});

export const jobError = v.object({ code: v.string(), message: v.string() });

/** A job as the transcription API sends and shows it: nothing absent, times in Unix milliseconds. */
const sentJob = v.object({
  jobId: v.string(),
  userId: v.string(),
  status: v.union(jobStatus, deleted),
  /** 0–100. */
  progress: v.number(),
  /** One more with each change of the job, from 1; 0 is a registration the API has not spoken of. */
  sequence: v.number(),
  result: v.nullable(jobResult),
  error: v.nullable(jobError),
  timestamps: v.object({
    createdAt: v.number(),
    startedAt: v.nullable(v.number()),
    completedAt: v.nullable(v.number()),
  }),
});

/** What a webhook brings: the whole job, never a part of it. */
export const jobUpdate = sentJob;
export type JobUpdate = Infer<typeof jobUpdate>;

/** What queries give: the API's job, and when this row last changed. */
export const job = sentJob.extend({ status: jobStatus, updatedAt: v.number() });
export type TranscriptionJob = Infer<typeof job>;

const everyRow = {
  jobId: v.string(),
  userId: v.string(),
  sequence: v.number(),
  updatedAt: v.number(),
  /** When the cron may remove the row: set on tombstones and on registrations only. */
  expiresAt: v.optional(v.number()),
};

const jobRow = v.object({
  ...everyRow,
  status: jobStatus,
  progress: v.number(),
  result: v.optional(jobResult),
  error: v.optional(jobError),
  createdAt: v.number(),
  startedAt: v.optional(v.number()),
  completedAt: v.optional(v.number()),
});

/** Left by a deleted job, so that a late update cannot bring it back. */
const tombstone = v.object({ ...everyRow, status: deleted });

export const transcriptionTables = {
  transcriptionJobs: defineTable(v.union(jobRow, tombstone))
    .index("by_jobId", ["jobId"])
    .index("by_userId", ["userId"])
    .index("by_expiresAt", ["expiresAt"]),
};
