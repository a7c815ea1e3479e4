/** Which jobs are this browser's, and how far each has got to the API. What comes after is not kept: Convex and the API have it. */

import { isRecord, type JobError } from "./job";

export type StoredJob = {
  jobId: string;
  /** What the user called the audio. */
  name: string;
  /** Unix milliseconds. */
  addedAt: number;
  /** False until the API has confirmed the upload: after a reload such a job may not exist. */
  accepted: boolean;
  /** How its upload ended for good, where it did: cancelled by the user, or refused for what it is. */
  stopped?: { status: "cancelled" | "failed"; error: JobError | null } | undefined;
  /** The id that its retry was asked with, until there is an answer: asking again is then no second job. */
  retryId?: string | undefined;
};

/** Where the ids are kept. All but `subscribe` may throw; the hook then goes on in memory. */
export interface JobStorage {
  /** Newest first. */
  read(): StoredJob[];
  /** Adds the job, or replaces the one that has its id. */
  put(job: StoredJob): void;
  /** Does nothing where there is none. */
  remove(jobId: string): void;
  /** Calls back when somebody else (another tab) has changed something; returns the way to stop. */
  subscribe(onChange: () => void): () => void;
}

export const DEFAULT_STORAGE_KEY = "transcription-jobs";

/** Each job has a key of its own, below `key`: with one list for all, two tabs would overwrite each other's jobs. */
export function localJobStorage(key = DEFAULT_STORAGE_KEY): JobStorage {
  const prefix = `${key}/`;
  return {
    read() {
      const { localStorage } = window;
      const keys = Object.keys(localStorage).filter((name) => name.startsWith(prefix));
      return newestFirst(keys.map((name) => parseStored(localStorage.getItem(name))));
    },
    put: (job) => window.localStorage.setItem(prefix + job.jobId, JSON.stringify(job)),
    remove: (jobId) => window.localStorage.removeItem(prefix + jobId),
    subscribe(onChange) {
      const listener = (event: StorageEvent) => {
        if (event.key === null || event.key.startsWith(prefix)) onChange();
      };
      window.addEventListener("storage", listener);
      return () => window.removeEventListener("storage", listener);
    },
  };
}

/** For tests and for apps that keep the ids themselves. */
export function memoryJobStorage(initial: StoredJob[] = []): JobStorage {
  const jobs = new Map(initial.map((job) => [job.jobId, job]));
  return {
    read: () => newestFirst([...jobs.values()]),
    put: (job) => void jobs.set(job.jobId, job),
    remove: (jobId) => void jobs.delete(jobId),
    subscribe: () => () => {},
  };
}

/** What is not readable is left out: one bad entry does not lose the others. The order is the same in every tab. */
function newestFirst(jobs: (StoredJob | null)[]): StoredJob[] {
  return jobs
    .filter((job) => job !== null)
    .sort((a, b) => b.addedAt - a.addedAt || (a.jobId < b.jobId ? -1 : 1));
}

/** The stored job, or null where the text is none. */
export function parseStored(text: string | null): StoredJob | null {
  try {
    const value: unknown = JSON.parse(text ?? "null");
    return isStoredJob(value) ? value : null;
  } catch {
    return null;
  }
}

function isStoredJob(value: unknown): value is StoredJob {
  return (
    isRecord(value) &&
    typeof value.jobId === "string" &&
    typeof value.name === "string" &&
    typeof value.addedAt === "number" &&
    typeof value.accepted === "boolean" &&
    (value.stopped === undefined || isStopped(value.stopped)) &&
    (value.retryId === undefined || typeof value.retryId === "string")
  );
}

function isStopped(value: unknown): boolean {
  return (
    isRecord(value) &&
    ["cancelled", "failed"].includes(String(value.status)) &&
    (value.error === null || isError(value.error))
  );
}

function isError(value: unknown): boolean {
  return isRecord(value) && typeof value.code === "string" && typeof value.message === "string";
}
