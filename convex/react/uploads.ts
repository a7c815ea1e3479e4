/** Gets the audio of unconfirmed jobs to the API: whatever tab began, one tab at a time, until the API has it or says no. */

import { ApiError, reasonOf, UNREACHABLE, type TranscriptionApi } from "./api";
import { wantsUpload, type Entry } from "./entry";
import { isFinal } from "./job";
import type { KeptAudio } from "./keptAudio";
import type { JobList, LogFailure } from "./list";
import { uploadAlone } from "./tabs";

const MOMENT_MS = 1_000;

type Upload = { abort: AbortController; ended: Promise<void> };

export class Uploads {
  readonly #api: TranscriptionApi;
  readonly #list: JobList;
  readonly #audio: KeptAudio;
  readonly #register: ((jobId: string) => Promise<unknown>) | null;
  readonly #now: () => number;
  readonly #logFailure: LogFailure;
  /** Sending, or waiting for another tab to give up. */
  readonly #underWay = new Map<string, Upload>();
  /** Cancelled at the API, since they had arrived before they could be stopped. */
  readonly #cancelled = new Set<string>();

  constructor(parts: {
    api: TranscriptionApi;
    list: JobList;
    audio: KeptAudio;
    /** Called before each upload; null where the app does not ask for it. */
    register: ((jobId: string) => Promise<unknown>) | null;
    now: () => number;
    logFailure: LogFailure;
  }) {
    this.#api = parts.api;
    this.#list = parts.list;
    this.#audio = parts.audio;
    this.#register = parts.register;
    this.#now = parts.now;
    this.#logFailure = parts.logFailure;
  }

  /** Uploads what the list wants uploaded and stops what it does not, now and from now on; returns the way to stop looking. */
  open(): () => void {
    const stop = this.#list.subscribe(() => this.#followList());
    const tryAgain = () => this.#tryAgain();
    window.addEventListener("online", tryAgain);
    this.#followList();
    return () => {
      stop();
      window.removeEventListener("online", tryAgain);
    };
  }

  /** Resolves when the job's upload, if there is one, is over. */
  async ended(jobId: string): Promise<void> {
    await this.#underWay.get(jobId)?.ended;
  }

  /** Has the API forget what may have arrived of a job that nobody wants any more. */
  async removeLeftover(jobId: string): Promise<void> {
    try {
      await this.#api.removeIfThere(jobId);
    } catch (error) {
      const reason = reasonOf(error);
      this.#logFailure("What was uploaded could not be removed.", { jobId, ...reason });
    }
  }

  #followList(): void {
    for (const [jobId, { abort }] of this.#underWay) {
      if (!this.#isStillWanted(jobId)) abort.abort();
    }
    for (const entry of this.#list.entries()) {
      const { jobId } = entry.stored;
      if (wantsUpload(entry) && !this.#underWay.has(jobId)) this.#begin(jobId);
      if (arrivedAllTheSame(entry) && !this.#cancelled.has(jobId)) void this.#cancel(jobId);
    }
  }

  async #cancel(jobId: string): Promise<void> {
    this.#cancelled.add(jobId);
    try {
      this.#list.learn(await this.#api.cancel(jobId));
    } catch (error) {
      this.#logFailure("The upload could not be cancelled.", { jobId, ...reasonOf(error) });
    }
  }

  /** The network is back: what failed for want of an answer goes on by itself. */
  #tryAgain(): void {
    for (const { stored, local } of [...this.#list.entries()]) {
      if (local?.error.code === UNREACHABLE) this.#list.update(stored.jobId, { local: null });
    }
  }

  #isStillWanted(jobId: string): boolean {
    const entry = this.#list.get(jobId);
    return entry !== undefined && entry.stored.stopped === undefined;
  }

  #begin(jobId: string): void {
    const abort = new AbortController();
    const ended = this.#upload(jobId, abort.signal).finally(() => {
      this.#underWay.delete(jobId);
      // It may be wanted again by now.
      this.#followList();
    });
    this.#underWay.set(jobId, { abort, ended });
  }

  async #upload(jobId: string, signal: AbortSignal): Promise<void> {
    const send = () => uploadAlone(jobId, signal, () => this.#send(jobId, signal));
    try {
      if (await send()) return;
      // The tab that has just begun it may come second, with its audio and its wish to be alone.
      await new Promise((resolve) => setTimeout(resolve, MOMENT_MS));
      if (!(await send())) this.#list.update(jobId, { hasAudio: false });
    } catch (error) {
      if (!signal.aborted) this.#refused(jobId, error);
    }
  }

  /** False where the audio is not there. */
  async #send(jobId: string, signal: AbortSignal): Promise<boolean> {
    const audio = await this.#audio.get(jobId);
    // Another tab may have got it there, or may have cancelled it, while this one waited.
    this.#list.refresh();
    const entry = this.#list.get(jobId);
    if (entry === undefined || !wantsUpload(entry)) return true;
    if (audio === null) return false;
    await this.#register?.(jobId);
    signal.throwIfAborted();
    const job = await this.#api.create({ jobId, ...audio }, signal);
    this.#list.refresh();
    // Removed while it was on its way, perhaps in another tab.
    if (this.#list.get(jobId) === undefined) {
      void this.removeLeftover(jobId);
      return true;
    }
    this.#list.update(jobId, { heardAt: this.#now() });
    this.#list.learn(job);
    // Also where the answer is about another job: what was taken is not sent again and again.
    this.#list.store(jobId, { accepted: true });
    return true;
  }

  #refused(jobId: string, error: unknown): void {
    const reason = reasonOf(error);
    this.#logFailure("The upload failed.", { jobId, ...reason });
    if (isForGood(error)) this.#list.store(jobId, { stopped: { status: "failed", error: reason } });
    else this.#list.update(jobId, { local: { status: "failed", error: reason, atSequence: 0 } });
  }
}

function arrivedAllTheSame({ stored, known }: Entry): boolean {
  const isRunning = known !== null && known.sequence > 0 && !isFinal(known.status);
  return isRunning && stored.stopped?.status === "cancelled";
}

/** The same bytes get the same refusal, after a reload too. Anything else may pass: a sign-in, a full queue, a wrong address. */
function isForGood(error: unknown): boolean {
  return error instanceof ApiError && [409, 413, 415, 422].includes(error.status ?? 0);
}
