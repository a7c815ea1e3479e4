/** The audio of the listed jobs: stored where that works, else in memory, and gone with its job. */

import type { Audio, AudioStorage } from "./audio";
import type { JobList, LogFailure } from "./list";
import { ifNoTabUploads } from "./tabs";

export class KeptAudio {
  readonly #storage: AudioStorage;
  readonly #list: JobList;
  readonly #logFailure: LogFailure;
  /** What is not stored: not yet, or because it cannot be. */
  readonly #inMemory = new Map<string, Audio>();
  #listed: string[] = [];
  #hasLogged = false;

  constructor(parts: { storage: AudioStorage; list: JobList; logFailure: LogFailure }) {
    this.#storage = parts.storage;
    this.#list = parts.list;
    this.#logFailure = parts.logFailure;
  }

  /** Removes audio whose job is not listed, now and from now on; returns the way to stop. */
  open(): () => void {
    const stop = this.#list.subscribe(() => this.#dropUnlisted());
    this.#dropUnlisted();
    void this.#sweep();
    return stop;
  }

  /** Has the audio at hand from here on; it is written by `store`. */
  hold(jobId: string, audio: Audio): void {
    this.#inMemory.set(jobId, audio);
  }

  /** Writes what is held. Its job has to be listed already, or another tab sweeps it away. */
  async store(jobId: string): Promise<void> {
    const audio = this.#inMemory.get(jobId);
    if (audio === undefined) return;
    if (!(await this.#try(() => this.#storage.put(jobId, audio)))) return;
    this.#inMemory.delete(jobId);
    this.#list.update(jobId, { isAudioStored: true });
  }

  /** Null where there is none, or none that can be read. */
  async get(jobId: string): Promise<Audio | null> {
    const held = this.#inMemory.get(jobId);
    if (held !== undefined) return held;
    const found = await this.#read(jobId);
    if (found !== null) this.#list.update(jobId, { isAudioStored: true });
    return found;
  }

  async copy(from: string, to: string): Promise<void> {
    const audio = await this.get(from);
    if (audio === null) return;
    this.hold(to, audio);
    await this.store(to);
  }

  async #read(jobId: string): Promise<Audio | null> {
    let found: Audio | null = null;
    const read = () => this.#try(async () => (found = await this.#storage.get(jobId)));
    // Once more: a connection to the database that was lost is noticed by the first use of it.
    if (!(await read())) await read();
    return found;
  }

  #dropUnlisted(): void {
    const gone = this.#listed.filter((jobId) => this.#list.get(jobId) === undefined);
    this.#listed = [...this.#list.entries()].map(({ stored }) => stored.jobId);
    for (const jobId of gone) {
      this.#inMemory.delete(jobId);
      void this.#try(() => this.#storage.delete(jobId));
    }
  }

  /** What a crash or another version of the page left behind. */
  async #sweep(): Promise<void> {
    await this.#try(async () => {
      const ids = await this.#storage.ids();
      // The list is read after the ids: whoever puts audio has listed its job before.
      if (!this.#list.refresh()) return;
      const orphans = ids.filter((jobId) => this.#list.get(jobId) === undefined);
      // News of the list can come later than the audio of another tab; but then that tab is uploading it.
      for (const jobId of orphans) await ifNoTabUploads(jobId, () => this.#storage.delete(jobId));
    });
  }

  /** Whether it went well. Only the first failure is logged: the others have the same cause. */
  async #try(work: () => Promise<unknown>): Promise<boolean> {
    try {
      await work();
      return true;
    } catch (error) {
      if (!this.#hasLogged) {
        this.#logFailure("The storage of audio fails: recordings may not survive a reload.", {
          reason: String(error),
        });
      }
      this.#hasLogged = true;
      return false;
    }
  }
}
