/** What a user wants of a job: start, cancel, retry, remove. Every failure ends in the job, where the user sees it. */

import { ApiError, isGone, reasonOf, type StartOptions, type TranscriptionApi } from "./api";
import { shownLocal, type Action } from "./entry";
import type { KeptAudio } from "./keptAudio";
import type { JobList, LogFailure } from "./list";
import type { StoredJob } from "./storage";
import type { Uploads } from "./uploads";

export class Commands {
  readonly #api: TranscriptionApi;
  readonly #list: JobList;
  readonly #audio: KeptAudio;
  readonly #uploads: Uploads;
  readonly #newJobId: () => string;
  readonly #logFailure: LogFailure;

  constructor(parts: {
    api: TranscriptionApi;
    list: JobList;
    audio: KeptAudio;
    uploads: Uploads;
    /** Has to be unguessable: whoever knows the id has the job. */
    newJobId: () => string;
    logFailure: LogFailure;
  }) {
    this.#api = parts.api;
    this.#list = parts.list;
    this.#audio = parts.audio;
    this.#uploads = parts.uploads;
    this.#newJobId = parts.newJobId;
    this.#logFailure = parts.logFailure;
  }

  /** Takes a recording in and begins its upload; returns the job's id, which it keeps whatever happens. */
  readonly start = (file: File, options: StartOptions = {}): string => {
    const jobId = this.#newJobId();
    this.#audio.hold(jobId, { file, options });
    this.#list.add({ jobId, name: file.name, accepted: false });
    void this.#audio.store(jobId);
    return jobId;
  };

  /** Asks the API to cancel the job; an upload under way is stopped, in whichever tab. */
  readonly cancel = async (jobId: string): Promise<void> => {
    const entry = this.#list.get(jobId);
    if (entry === undefined) return;
    if (shownLocal(entry)?.status === "uploading") {
      this.#list.store(jobId, { stopped: { status: "cancelled", error: null } });
      return;
    }
    // "Cancelling" is shown until the job says that it has ended.
    await this.#act(jobId, "cancel", async () => this.#list.learn(await this.#api.cancel(jobId)));
  };

  /** Sends a failed upload again, or makes a new job from the same audio; the old job stays listed. */
  readonly retry = async (jobId: string): Promise<void> => {
    const entry = this.#list.get(jobId);
    if (entry === undefined) return;
    if (shownLocal(entry) !== null && !entry.stored.accepted) {
      this.#list.update(jobId, { local: null });
      this.#list.store(jobId, { stopped: undefined });
      await this.#uploads.ended(jobId);
      return;
    }
    await this.#act(jobId, "retry", async () => {
      await this.#again(entry.stored);
      this.#list.update(jobId, { action: null });
    });
  };

  /** Has the API delete the job with its audio and text, and forgets it. */
  readonly remove = async (jobId: string): Promise<void> => {
    const entry = this.#list.get(jobId);
    if (entry === undefined) return;
    if (!entry.stored.accepted) {
      // Nobody confirmed it, so the user does not wait; it may have arrived all the same.
      this.#list.forget(jobId);
      await this.#uploads.removeLeftover(jobId);
      return;
    }
    await this.#act(jobId, "remove", async () => {
      await this.#api.removeIfThere(jobId);
      this.#list.forget(jobId);
    });
  };

  /** A new job from the audio that the API has; from this browser's where the API has it no more. */
  async #again({ jobId, name, retryId = this.#newJobId() }: StoredJob): Promise<void> {
    this.#list.store(jobId, { retryId });
    try {
      const job = await this.#api.retry(jobId, retryId);
      this.#list.store(jobId, { retryId: undefined });
      this.#list.add({ jobId: job.jobId, name, accepted: true });
      this.#list.learn(job);
      void this.#audio.copy(jobId, job.jobId);
    } catch (error) {
      const audio = isGone(error) ? await this.#audio.get(jobId) : null;
      if (audio !== null) this.start(audio.file, audio.options);
      else throw isGone(error) ? AUDIO_IS_GONE : error;
    }
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
}

const AUDIO_IS_GONE = new ApiError(
  410,
  "audio_gone",
  "Neither the transcription service nor this browser has the recording any more. Choose the file again.",
);
