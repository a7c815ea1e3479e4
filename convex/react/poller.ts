/** Asks the API for unfinished jobs while the live connection is down or silent, and says how news comes. */

import { ApiError, isGone, reasonOf, type Fetched, type TranscriptionApi } from "./api";
import { watched, type Entry } from "./entry";
import type { JobList, LogFailure } from "./list";
import { nextAskAt, type Line, type Patience } from "./schedule";

/**
 * How news comes: `connecting` (none has come yet), `live`, `polling` (the live connection is
 * down, the API is asked instead), `offline` (neither answers).
 */
export type Connection = "connecting" | "live" | "polling" | "offline";

/** How the last question went; null before the first one of an outage. */
type Asked = "answered" | "refused" | "unanswered" | null;

/** A timer does not count the time that the machine sleeps, so none is set for longer than this. */
const LOOK_AGAIN_MS = 1_000;

export class Poller {
  readonly #api: TranscriptionApi;
  readonly #list: JobList;
  readonly #patience: Patience;
  readonly #now: () => number;
  readonly #logFailure: LogFailure;
  readonly #listeners = new Set<() => void>();
  #line: Line;
  #hasBeenLive = false;
  #asked: Asked = null;
  /** The jobs whose last question failed. */
  readonly #failing = new Set<string>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isOpen = false;

  constructor(parts: {
    api: TranscriptionApi;
    list: JobList;
    patience: Patience;
    now: () => number;
    logFailure: LogFailure;
  }) {
    this.#api = parts.api;
    this.#list = parts.list;
    this.#patience = parts.patience;
    this.#now = parts.now;
    this.#logFailure = parts.logFailure;
    this.#line = { isLive: false, since: parts.now() };
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  readonly connection = (): Connection => {
    if (this.#line.isLive) return "live";
    if (this.#asked === "unanswered") return "offline";
    return this.#hasBeenLive || this.#asked !== null ? "polling" : "connecting";
  };

  /** Begins to watch the list; returns the way to stop. May be opened again. */
  open(): () => void {
    this.#isOpen = true;
    const stopListening = this.#list.subscribe(() => this.#arm());
    this.#arm();
    return () => {
      this.#isOpen = false;
      stopListening();
      clearTimeout(this.#timer);
    };
  }

  setLive(isLive: boolean): void {
    if (isLive === this.#line.isLive) return;
    if (!isLive) {
      this.#logFailure("The live connection is lost; unfinished jobs are asked for at the API.", {
        everyMs: this.#patience.pollIntervalMs,
      });
    }
    this.#line = { isLive, since: this.#now() };
    this.#hasBeenLive ||= isLive;
    this.#failing.clear();
    this.#setAsked(null);
    this.#arm();
  }

  #arm(): void {
    clearTimeout(this.#timer);
    if (!this.#isOpen) return;
    const times = [...this.#list.entries()].map((entry) => this.#due(entry));
    const next = Math.min(...times.filter((time) => time !== null));
    if (next === Infinity) return;
    const delay = Math.min(Math.max(0, next - this.#now()), LOOK_AGAIN_MS);
    this.#timer = setTimeout(() => this.#tick(), delay);
  }

  #tick(): void {
    const now = this.#now();
    for (const entry of [...this.#list.entries()]) {
      const due = this.#due(entry);
      if (due !== null && due <= now) void this.#ask(entry);
    }
    this.#arm();
  }

  #due(entry: Entry): number | null {
    return nextAskAt(watched(entry), this.#line, this.#patience, this.#now());
  }

  async #ask({ stored: { jobId }, etag }: Entry): Promise<void> {
    this.#list.update(jobId, { askedAt: this.#now() });
    try {
      const fetched = await this.#api.get(jobId, etag);
      this.#answered(jobId);
      if (fetched === null) this.#list.update(jobId, { heardAt: this.#now() });
      else this.#learn(fetched);
    } catch (error) {
      this.#askFailed(jobId, error);
    }
  }

  #learn({ job, etag }: NonNullable<Fetched>): void {
    const { jobId } = job;
    const isNews = job.sequence > (this.#list.get(jobId)?.known?.sequence ?? -1);
    // The live connection has told all there is: the job is silent, not the connection.
    this.#list.update(jobId, { etag, ...(isNews ? {} : { heardAt: this.#now() }) });
    if (job.status === "deleted") this.#list.forget(jobId);
    else this.#list.learn(job);
  }

  #answered(jobId: string): void {
    this.#failing.delete(jobId);
    this.#setAsked("answered");
  }

  #askFailed(jobId: string, error: unknown): void {
    if (isGone(error)) {
      this.#answered(jobId);
      this.#lose(jobId);
      return;
    }
    const details = { jobId, ...reasonOf(error) };
    // One line an outage, not one every interval; another job's answer does not end this one's.
    const isOutage = this.#asked === "refused" || this.#asked === "unanswered";
    if (!isOutage && !this.#failing.has(jobId)) {
      this.#logFailure("The API could not be asked for the job.", details);
    }
    this.#failing.add(jobId);
    const isAnswer = error instanceof ApiError && error.status !== null;
    this.#setAsked(isAnswer ? "refused" : "unanswered");
  }

  /** The API does not know the job: without this the page would say "in progress" for ever. */
  #lose(jobId: string): void {
    const entry = this.#list.get(jobId);
    if (entry === undefined) return;
    const error = {
      code: "unknown_job",
      message: entry.stored.accepted
        ? "The transcription service does not have this job any more."
        : "The upload did not finish. Choose the file again.",
    };
    this.#logFailure("The API does not know the job.", { jobId, ...error });
    const atSequence = entry.known?.sequence ?? 0;
    const local = { status: "failed", error, atSequence } as const;
    this.#list.update(jobId, { action: null, local });
  }

  #setAsked(asked: Asked): void {
    this.#asked = asked;
    for (const listener of this.#listeners) listener();
  }
}
