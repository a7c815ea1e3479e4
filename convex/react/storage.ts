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
  stopped?: { status: "cancelled" | "failed"; error: JobError | null };
};

/** Where the ids are kept. `read` and `write` may throw; the hook then goes on in memory. */
export interface JobStorage {
  read(): StoredJob[];
  write(jobs: StoredJob[]): void;
  /** Calls back when somebody else (another tab) has written; returns the way to stop. */
  subscribe(onChange: () => void): () => void;
}

export const DEFAULT_STORAGE_KEY = "transcription-jobs";

export function localJobStorage(key = DEFAULT_STORAGE_KEY): JobStorage {
  return {
    read: () => parseStored(window.localStorage.getItem(key)),
    write: (jobs) => window.localStorage.setItem(key, JSON.stringify(jobs)),
    subscribe(onChange) {
      const listener = (event: StorageEvent) => {
        if (event.key === key || event.key === null) onChange();
      };
      window.addEventListener("storage", listener);
      return () => window.removeEventListener("storage", listener);
    },
  };
}

/** For tests and for apps that keep the ids themselves. */
export function memoryJobStorage(initial: StoredJob[] = []): JobStorage {
  let jobs = initial;
  return {
    read: () => jobs,
    write: (next) => {
      jobs = next;
    },
    subscribe: () => () => {},
  };
}

/** The stored list; entries that are not readable are left out, so that one bad entry does not lose the others. */
export function parseStored(text: string | null): StoredJob[] {
  let value: unknown;
  try {
    value = JSON.parse(text ?? "[]");
  } catch {
    return [];
  }
  return Array.isArray(value) ? value.filter(isStoredJob) : [];
}

function isStoredJob(value: unknown): value is StoredJob {
  return (
    isRecord(value) &&
    typeof value.jobId === "string" &&
    typeof value.name === "string" &&
    typeof value.addedAt === "number" &&
    typeof value.accepted === "boolean" &&
    (value.stopped === undefined || isStopped(value.stopped))
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
