/** One job as the tracker holds it, how news changes it, and what is shown of it. Pure. */

import {
  isFinal,
  newest,
  type Job,
  type JobError,
  type JobStatus,
  type TranscriptionResult,
} from "./job";
import type { Watched } from "./schedule";
import type { StoredJob } from "./storage";

export type Action = "cancel" | "retry" | "remove";

/**
 * What happened in this browser and the API has not told of (yet). It is shown until a state of
 * the job with a higher sequence comes, from wherever.
 */
export type Local = {
  status: "uploading" | "failed" | "cancelled";
  error: JobError | null;
  atSequence: number;
};

export type Entry = {
  stored: StoredJob;
  /** The newest state seen, from whichever side it came. */
  known: Job | null;
  local: Local | null;
  /** Whether the audio is still at hand to be sent again. */
  hasFile: boolean;
  heardAt: number;
  askedAt: number | null;
  etag: string | null;
  /** The request of the user that is under way. */
  action: Action | null;
  /** Why the last such request failed; null when it did not. */
  problem: string | null;
};

/** A job as a page shows it. */
export type TrackedJob = {
  jobId: string;
  /** What the user called the audio. */
  name: string;
  /** Unix milliseconds. */
  addedAt: number;
  /** The API's, and two of this browser: `loading` (nothing known yet) and `uploading`. */
  status: JobStatus | "loading" | "uploading";
  /** 0 until the API has spoken of the job. */
  sequence: number;
  /** 0 to 100. */
  progress: number;
  result: TranscriptionResult | null;
  /** Why it failed: from the job, or from the upload that was refused. */
  error: JobError | null;
  timestamps: Job["timestamps"];
  action: Action | null;
  problem: string | null;
  canCancel: boolean;
  canRetry: boolean;
};

/** A job of which only the id is known: just started, or read from storage. */
export function newEntry(stored: StoredJob, now: number): Entry {
  return {
    stored,
    known: null,
    local: null,
    hasFile: false,
    heardAt: now,
    askedAt: null,
    etag: null,
    action: null,
    problem: null,
  };
}

/** The entry after a state of the job has come: an older or equal one changes nothing. */
export function learn(entry: Entry, job: Job): Entry {
  const known = newest(entry.known, job);
  if (known === entry.known) return entry;
  const isAsStored = entry.stored.accepted || known.sequence === 0;
  const stored = isAsStored ? entry.stored : { ...entry.stored, accepted: true };
  const over = isFinal(known.status);
  return {
    ...entry,
    stored,
    known,
    action: over ? null : entry.action,
    problem: over ? null : entry.problem,
  };
}

/** What is shown instead of `known`, if anything is. */
export function shownLocal({ known, local }: Entry): Local | null {
  return local !== null && (known?.sequence ?? 0) <= local.atSequence ? local : null;
}

/** Whether the live query still has to follow the job. One that failed only here may yet turn out to exist. */
export function isUnfinished({ known }: Entry): boolean {
  return known === null || !isFinal(known.status);
}

export function watched(entry: Entry): Watched {
  return {
    isKnown: entry.known !== null,
    isOver: shownLocal(entry) !== null || !isUnfinished(entry),
    heardAt: entry.heardAt,
    askedAt: entry.askedAt,
  };
}

const NO_TIMES = { createdAt: null, startedAt: null, completedAt: null };

export function shown(entry: Entry): TrackedJob {
  const { stored, known, action, problem } = entry;
  const local = shownLocal(entry);
  const status = local?.status ?? known?.status ?? "loading";
  return {
    jobId: stored.jobId,
    name: stored.name,
    addedAt: stored.addedAt,
    status,
    sequence: known?.sequence ?? 0,
    progress: known?.progress ?? 0,
    result: known?.result ?? null,
    error: local === null ? (known?.error ?? null) : local.error,
    timestamps: known?.timestamps ?? NO_TIMES,
    action,
    problem,
    canCancel: ["uploading", "queued", "processing"].includes(status),
    canRetry: ["failed", "cancelled"].includes(status) && (local === null || entry.hasFile),
  };
}
