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
 * A failure that the API has not told of (yet). It is shown until a state of the job with a higher
 * sequence comes, from wherever.
 */
export type LocalFailure = {
  status: "failed";
  error: JobError;
  atSequence: number;
};

/**
 * What is shown of a job before the API has told of it. Stored are `accepted` and `stopped`; the
 * rest is this tab's and forgotten with it, so that a reload tries again whatever may pass.
 *
 * | this tab's failure | stored       | audio     | shown     | after a reload    | can be tried again |
 * | ------------------ | ------------ | --------- | --------- | ----------------- | ------------------ |
 * | none               | not accepted | at hand   | uploading | goes on uploading |                    |
 * | none               | not accepted | not there | loading   | the API is asked  |                    |
 * | one that may pass  | not accepted | at hand   | failed    | goes on uploading | yes                |
 * | unknown to the API | either       | either    | failed    | the API is asked  | with the audio     |
 * | none               | cancelled    | either    | cancelled | the same          | with the audio     |
 * | none               | failed       | either    | failed    | the same          | no: its content    |
 */
type Unconfirmed = {
  status: "uploading" | "failed" | "cancelled";
  error: JobError | null;
};

export type Entry = {
  stored: StoredJob;
  /** The newest state seen, from whichever side it came. */
  known: Job | null;
  local: LocalFailure | null;
  /** False once the audio was looked for in this browser and was not there. */
  hasAudio: boolean;
  /** True once it is known to be where it outlives the page. */
  isAudioStored: boolean;
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
  /** Whether the audio outlives the page: an upload then goes on after a reload. */
  isAudioStored: boolean;
};

/** A job of which only the id is known: just started, or read from storage. */
export function newEntry(stored: StoredJob, now: number): Entry {
  return {
    stored,
    known: null,
    local: null,
    hasAudio: true,
    isAudioStored: false,
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

/** The entry after somebody else (another tab) has stored its job; the same object where that says nothing new. */
export function restored(entry: Entry, stored: StoredJob): Entry {
  const isSame =
    entry.stored.accepted === stored.accepted &&
    entry.stored.stopped?.status === stored.stopped?.status;
  // What the API has confirmed stays so, whatever a tab that has not heard of it writes.
  if (isSame || entry.stored.accepted) return entry;
  return { ...entry, stored, local: null };
}

/** What is shown instead of `known`, if anything is. */
export function shownLocal({ stored, known, local, hasAudio }: Entry): Unconfirmed | null {
  const sequence = known?.sequence ?? 0;
  if (local !== null && sequence <= local.atSequence) return local;
  if (stored.accepted || sequence > 0) return null;
  if (stored.stopped !== undefined) return stored.stopped;
  return hasAudio ? UPLOADING : null;
}

const UPLOADING: Unconfirmed = { status: "uploading", error: null };

export function wantsUpload(entry: Entry): boolean {
  return shownLocal(entry) === UPLOADING;
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
  const { stored, known, action, problem, isAudioStored } = entry;
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
    canRetry: ["failed", "cancelled"].includes(status) && canRetry(entry),
    isAudioStored,
  };
}

function canRetry(entry: Entry): boolean {
  const local = shownLocal(entry);
  if (local === null) return true;
  const isRefusedForGood = entry.stored.stopped?.status === "failed";
  return entry.hasAudio && !isRefusedForGood;
}
