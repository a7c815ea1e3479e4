/** The Convex functions that the hook calls, named by their path: it needs nothing of the app's generated code. */

import { makeFunctionReference } from "convex/server";
import type { Job, JobError, JobStatus, TranscriptionResult } from "./job";

/** What the queries give of a job. A type of its own: it is held to what the deployed functions return. */
export type JobRow = {
  jobId: string;
  userId: string;
  status: Exclude<JobStatus, "deleted">;
  progress: number;
  sequence: number;
  result: TranscriptionResult | null;
  error: JobError | null;
  timestamps: Job["timestamps"] & { createdAt: number };
  /** When the row last changed, Unix milliseconds. */
  updatedAt: number;
};

/** `transcriptionJobs.ts` directly in the app's `convex/` folder. */
export const DEFAULT_FUNCTIONS_PATH = "transcriptionJobs";

/** References to the functions of the file at `path`: relative to the app's `convex/` folder, without its extension. */
export function functionsAt(path: string) {
  return {
    list: makeFunctionReference<"query", { jobIds?: string[] }, JobRow[]>(`${path}:list`),
    register: makeFunctionReference<"mutation", { jobId: string }, null>(`${path}:register`),
  };
}
