/** The jobs of one page and their newest states, in memory and (only the ids) in storage. Knows nothing of React or of the network. */

import { isUnfinished, learn, newEntry, shown, type Entry, type TrackedJob } from "./entry";
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
  #hasLoggedStorage = false;

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
    this.#adoptStored();
    return this.#storage.subscribe(() => this.#adoptStored());
  }

  add(stored: StoredJob): void {
    this.#entries = new Map([[stored.jobId, newEntry(stored, this.#now())], ...this.#entries]);
    this.#store((jobs) => [stored, ...jobs]);
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

  /** Takes a state of a job from anywhere; one that is not newer than the known one changes nothing, `also` included. */
  learn(job: Job, also: Partial<Entry> = {}): void {
    const entry = this.#entries.get(job.jobId);
    if (entry === undefined) return;
    const learnt = learn(entry, job);
    if (learnt === entry) return;
    this.#logIfFailed(entry, job);
    if (learnt.stored !== entry.stored) this.#storeAccepted(job.jobId);
    this.update(job.jobId, { ...learnt, ...also });
  }

  forget(jobId: string): void {
    this.#entries.delete(jobId);
    this.#store((jobs) => jobs.filter((job) => job.jobId !== jobId));
    this.#changed();
  }

  #adoptStored(): void {
    const stored = this.#read();
    if (stored === null) return;
    this.#entries = new Map(
      stored.map((job) => [job.jobId, this.#entries.get(job.jobId) ?? newEntry(job, this.#now())]),
    );
    this.#changed();
  }

  #storeAccepted(jobId: string): void {
    this.#store((jobs) =>
      jobs.map((job) => (job.jobId === jobId ? { ...job, accepted: true } : job)),
    );
  }

  /** Reads before it writes, so that two tabs do not overwrite each other's jobs. */
  #store(change: (jobs: StoredJob[]) => StoredJob[]): void {
    try {
      this.#storage.write(change(this.#storage.read()));
    } catch (error) {
      this.#logStorage(error);
    }
  }

  #read(): StoredJob[] | null {
    try {
      return this.#storage.read();
    } catch (error) {
      this.#logStorage(error);
      return null;
    }
  }

  #logStorage(error: unknown): void {
    if (this.#hasLoggedStorage) return;
    this.#hasLoggedStorage = true;
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
