/** What a user wants of a job: start, cancel, retry, remove. Every failure ends in the job, where the user sees it. */

import { ApiError, isGone, reasonOf, type StartOptions, type TranscriptionApi } from "./api";
import { shownLocal, type Action } from "./entry";
import type { Job } from "./job";
import type { JobList, LogFailure } from "./list";

type Audio = { file: File; options: StartOptions };
type Upload = Audio & { abort: AbortController };

export class Commands {
  readonly #api: TranscriptionApi;
  readonly #list: JobList;
  readonly #register: ((jobId: string) => Promise<unknown>) | null;
  readonly #newJobId: () => string;
  readonly #now: () => number;
  readonly #logFailure: LogFailure;
  /** The audio of what the API has not confirmed yet. */
  readonly #uploads = new Map<string, Upload>();

  constructor(parts: {
    api: TranscriptionApi;
    list: JobList;
    /** Called before each upload; null where the app does not ask for it. */
    register: ((jobId: string) => Promise<unknown>) | null;
    /** Has to be unguessable: whoever knows the id has the job. */
    newJobId: () => string;
    now: () => number;
    logFailure: LogFailure;
  }) {
    this.#api = parts.api;
    this.#list = parts.list;
    this.#register = parts.register;
    this.#newJobId = parts.newJobId;
    this.#now = parts.now;
    this.#logFailure = parts.logFailure;
  }

  /** Takes a recording in and begins its upload; returns the job's id, which it keeps whatever happens. */
  readonly start = (file: File, options: StartOptions = {}): string => {
    const jobId = this.#newJobId();
    this.#list.add({ jobId, name: file.name, addedAt: this.#now(), accepted: false });
    void this.#upload(jobId, { file, options });
    return jobId;
  };

  /** Asks the API to cancel the job; an upload under way is stopped. */
  readonly cancel = async (jobId: string): Promise<void> => {
    const entry = this.#list.get(jobId);
    if (entry === undefined) return;
    if (shownLocal(entry)?.status === "uploading") {
      this.#uploads.get(jobId)?.abort.abort();
      return;
    }
    // "Cancelling" is shown until the job says that it has ended.
    await this.#act(jobId, "cancel", async () => this.#list.learn(await this.#api.cancel(jobId)));
  };

  /** Sends a failed upload again, or asks for a new job from the audio that the API has; the old job stays listed. */
  readonly retry = async (jobId: string): Promise<void> => {
    const entry = this.#list.get(jobId);
    if (entry === undefined) return;
    if (shownLocal(entry) !== null) {
      const upload = this.#uploads.get(jobId);
      if (upload !== undefined) await this.#upload(jobId, upload);
      return;
    }
    await this.#act(jobId, "retry", async () => {
      this.#adopt(await this.#api.retry(jobId), entry.stored.name);
      this.#list.update(jobId, { action: null });
    });
  };

  /** Has the API delete the job with its audio and text, and forgets it. */
  readonly remove = async (jobId: string): Promise<void> => {
    const entry = this.#list.get(jobId);
    if (entry === undefined) return;
    if (!entry.stored.accepted) {
      // Nobody confirmed it, so the user does not wait; it may have arrived all the same.
      this.#uploads.get(jobId)?.abort.abort();
      this.#uploads.delete(jobId);
      this.#list.forget(jobId);
      await this.#removeLeftover(jobId);
      return;
    }
    await this.#act(jobId, "remove", async () => {
      await this.#removeIfThere(jobId);
      this.#list.forget(jobId);
    });
  };

  async #upload(jobId: string, { file, options }: Audio): Promise<void> {
    const abort = new AbortController();
    const { signal } = abort;
    this.#uploads.set(jobId, { file, options, abort });
    const uploading = { status: "uploading", error: null, atSequence: 0 } as const;
    this.#list.update(jobId, { local: uploading, hasFile: true });
    try {
      await this.#register?.(jobId);
      signal.throwIfAborted();
      this.#accepted(await this.#api.create({ jobId, file, options }, signal));
    } catch (error) {
      if (signal.aborted) this.#stopped(jobId);
      else this.#refused(jobId, error);
    }
  }

  #accepted(job: Job): void {
    this.#uploads.delete(job.jobId);
    // Removed while it was on its way, perhaps in another tab.
    if (this.#list.get(job.jobId) === undefined) {
      void this.#removeLeftover(job.jobId);
      return;
    }
    this.#list.update(job.jobId, { local: null, heardAt: this.#now() });
    this.#list.learn(job);
  }

  #stopped(jobId: string): void {
    const local = { status: "cancelled", error: null, atSequence: 0 } as const;
    this.#list.update(jobId, { local });
  }

  #refused(jobId: string, error: unknown): void {
    const reason = reasonOf(error);
    this.#logFailure("The upload failed.", { jobId, ...reason });
    // The same bytes get the same refusal: only what may pass is offered again.
    const hasFile = !(error instanceof ApiError) || error.isTransient;
    if (!hasFile) this.#uploads.delete(jobId);
    const local = { status: "failed", error: reason, atSequence: 0 } as const;
    this.#list.update(jobId, { hasFile, local });
  }

  #adopt(job: Job, name: string): void {
    const { jobId } = job;
    this.#list.add({ jobId, name, addedAt: this.#now(), accepted: true });
    this.#list.learn(job);
  }

  async #act(jobId: string, action: Action, run: () => Promise<void>): Promise<void> {
    if (this.#list.get(jobId)?.action !== null) return;
    this.#list.update(jobId, { action, problem: null });
    try {
      await run();
    } catch (error) {
      const reason = reasonOf(error);
      this.#logFailure(`The request failed: ${action}.`, { jobId, ...reason });
      this.#list.update(jobId, { action: null, problem: reason.message });
    }
  }

  async #removeLeftover(jobId: string): Promise<void> {
    try {
      await this.#removeIfThere(jobId);
    } catch (error) {
      const reason = reasonOf(error);
      this.#logFailure("What was uploaded could not be removed.", { jobId, ...reason });
    }
  }

  async #removeIfThere(jobId: string): Promise<void> {
    try {
      await this.#api.remove(jobId);
    } catch (error) {
      if (!isGone(error)) throw error;
    }
  }
}
