/** The jobs of one page and their newest states, in memory and (what a StoredJob has) in storage. Knows nothing of React or of the network. */

import {
  isUnfinished,
  learn,
  newEntry,
  restored,
  shown,
  type Entry,
  type TrackedJob,
} from "./entry";
import { isFinal, type Job } from "./job";
import type { JobStorage, StoredJob } from "./storage";

/** Says once, to the developer, what went wrong; the user sees it in the job. */
export type LogFailure = (message: string, details: Record<string, unknown>) => void;

export type Listing = {
  /** Newest first. */
  jobs: TrackedJob[];
  /** The jobs that the live query has to follow. */
  followed: string[];
};

/** The list query takes no more ids at once; jobs that end make room for the next. */
const FOLLOWED_AT_MOST = 100;

export class JobList {
  readonly #storage: JobStorage;
  readonly #now: () => number;
  readonly #logFailure: LogFailure;
  readonly #listeners = new Set<() => void>();
  readonly #views = new WeakMap<Entry, TrackedJob>();
  /** Newest first, as in storage. */
  #entries = new Map<string, Entry>();
  #listing: Listing = { jobs: [], followed: [] };
  /** What could not be written is only here: from then on what is stored is no longer the truth. */
  #isBroken = false;

  constructor(parts: { storage: JobStorage; now: () => number; logFailure: LogFailure }) {
    this.#storage = parts.storage;
    this.#now = parts.now;
    this.#logFailure = parts.logFailure;
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  /** The same object until something changes. */
  readonly listing = (): Listing => this.#listing;

  entries(): Iterable<Entry> {
    return this.#entries.values();
  }

  get(jobId: string): Entry | undefined {
    return this.#entries.get(jobId);
  }

  /** Reads the stored jobs and follows what other tabs do to them; returns the way to stop. */
  open(): () => void {
    this.refresh();
    return this.#storage.subscribe(() => this.refresh());
  }

  /** Takes over what is stored now, without waiting for word of it; false where it cannot be read. */
  refresh(): boolean {
    const stored = this.#read();
    if (stored === null) return false;
    const before = [...this.#entries.values()];
    const entries = stored.map((job) => {
      const entry = this.#entries.get(job.jobId);
      return entry === undefined ? newEntry(job, this.#now()) : restored(entry, job);
    });
    const isSame =
      entries.length === before.length && entries.every((entry, n) => entry === before[n]);
    this.#entries = new Map(entries.map((entry) => [entry.stored.jobId, entry]));
    if (!isSame) this.#changed();
    return true;
  }

  /** Puts the job before all others. */
  add(job: Omit<StoredJob, "addedAt">): void {
    const [newest] = this.#entries.values();
    // Later than the one before, so that several in one millisecond keep their order.
    const addedAt = Math.max(this.#now(), (newest?.stored.addedAt ?? 0) + 1);
    const stored = { ...job, addedAt };
    this.#entries = new Map([[stored.jobId, newEntry(stored, this.#now())], ...this.#entries]);
    this.#write((storage) => storage.put(stored));
    this.#changed();
  }

  /** Does nothing to a job that is not in the list (any more). */
  update(jobId: string, change: Partial<Entry>): void {
    const entry = this.#entries.get(jobId);
    if (entry === undefined) return;
    const next = { ...entry, ...change };
    this.#views.set(next, kept(this.#view(entry), shown(next)));
    this.#entries.set(jobId, next);
    this.#changed();
  }

  /** Changes what is stored of a job, for every tab. */
  store(jobId: string, change: Partial<StoredJob>): void {
    this.#write((storage) => {
      const stored = storage.read().find((job) => job.jobId === jobId);
      // Another tab may have removed it.
      if (stored !== undefined) storage.put({ ...stored, ...change });
    });
    const entry = this.#entries.get(jobId);
    if (entry !== undefined) this.update(jobId, { stored: { ...entry.stored, ...change } });
  }

  /** Takes a state of a job from anywhere; one that is not newer than the known one changes nothing, `also` included. */
  learn(job: Job, also: Partial<Entry> = {}): void {
    const entry = this.#entries.get(job.jobId);
    if (entry === undefined) return;
    const learnt = learn(entry, job);
    if (learnt === entry) return;
    this.#logIfFailed(entry, job);
    this.update(job.jobId, { ...learnt, ...also });
    if (learnt.stored !== entry.stored) this.store(job.jobId, learnt.stored);
  }

  forget(jobId: string): void {
    this.#entries.delete(jobId);
    this.#write((storage) => storage.remove(jobId));
    this.#changed();
  }

  /** Tried after a failure too: a job that is removed must not be there again after a reload. */
  #write(change: (storage: JobStorage) => void): void {
    try {
      change(this.#storage);
    } catch (error) {
      this.#goOnInMemory(error);
    }
  }

  #read(): StoredJob[] | null {
    if (this.#isBroken) return null;
    try {
      return this.#storage.read();
    } catch (error) {
      this.#goOnInMemory(error);
      return null;
    }
  }

  #goOnInMemory(error: unknown): void {
    if (this.#isBroken) return;
    this.#isBroken = true;
    this.#logFailure("The list of jobs cannot be stored: it will not survive a reload.", {
      reason: String(error),
    });
  }

  /** A job that was seen unfinished and has failed now; not one that had failed before the page was opened. */
  #logIfFailed({ known }: Entry, job: Job): void {
    if (job.status !== "failed" || known === null || isFinal(known.status)) return;
    this.#logFailure("The job failed.", { jobId: job.jobId, ...job.error });
  }

  #changed(): void {
    const entries = [...this.#entries.values()];
    const jobs = entries.map((entry) => this.#view(entry));
    const unfinished = entries.filter(isUnfinished).slice(0, FOLLOWED_AT_MOST);
    const followed = unfinished.map(({ stored }) => stored.jobId);
    const last = this.#listing;
    const next = { jobs: kept(last.jobs, jobs), followed: kept(last.followed, followed) };
    this.#listing = kept(last, next);
    for (const listener of this.#listeners) listener();
  }

  /** The same object for the same entry, so that only the jobs that changed are drawn again. */
  #view(entry: Entry): TrackedJob {
    const view = this.#views.get(entry) ?? shown(entry);
    this.#views.set(entry, view);
    return view;
  }
}

/** The old one where everything in it is what it was, so that nothing is drawn again. */
function kept<T extends object>(old: T, next: T): T {
  const before = new Map(Object.entries(old));
  const after = Object.entries(next);
  const isSame = before.size === after.length && after.every(([k, v]) => before.get(k) === v);
  return isSame ? old : next;
}
