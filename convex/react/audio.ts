/** Where the audio of jobs is kept, so that an upload outlives the tab that began it and the recording can be played again. */

import type { StartOptions } from "./api";

export type Audio = { file: File; options: StartOptions };

/** Keyed by job id. Anything here may reject; the hook then goes on in memory. */
export interface AudioStorage {
  put(jobId: string, audio: Audio): Promise<void>;
  get(jobId: string): Promise<Audio | null>;
  /** Does nothing where there is none. */
  delete(jobId: string): Promise<void>;
  ids(): Promise<string[]>;
}

export const DEFAULT_AUDIO_DATABASE = "transcription-audio";

const STORE = "audio";

/** A database of its own for each list of jobs: what the list does not name is removed from it. */
export function indexedDbAudio(name = DEFAULT_AUDIO_DATABASE): AudioStorage {
  let opening: Promise<IDBDatabase> | null = null;

  const database = () => {
    opening ??= openDatabase(name, () => (opening = null));
    return opening;
  };
  const run = async <T>(mode: IDBTransactionMode, ask: (store: IDBObjectStore) => IDBRequest<T>) =>
    await outcome((await database()).transaction(STORE, mode), ask);

  return {
    put: async (jobId, audio) => void (await run("readwrite", (store) => store.put(audio, jobId))),
    get: async (jobId) => (await run<Audio | undefined>("readonly", (s) => s.get(jobId))) ?? null,
    delete: (jobId) => run("readwrite", (store) => store.delete(jobId)),
    ids: async () => (await run("readonly", (store) => store.getAllKeys())).map(String),
  };
}

/** For tests, and for apps that want nothing kept beyond the page. */
export function memoryAudio(): AudioStorage {
  const kept = new Map<string, Audio>();
  return {
    put: async (jobId, audio) => void kept.set(jobId, audio),
    get: async (jobId) => kept.get(jobId) ?? null,
    delete: async (jobId) => void kept.delete(jobId),
    ids: async () => [...kept.keys()],
  };
}

/** `onLost` is called when the connection must not be used any more, so that the next use opens another. */
function openDatabase(name: string, onLost: () => void): Promise<IDBDatabase> {
  return new Promise<IDBDatabase>((resolve, reject) => {
    const request = indexedDB.open(name, 1);
    request.onupgradeneeded = () => void request.result.createObjectStore(STORE);
    request.onblocked = () => reject(new Error(`Another tab holds the database ${name}.`));
    request.onerror = () => reject(request.error);
    request.onsuccess = () => {
      const database = request.result;
      database.onclose = onLost;
      // Without this a page could not delete the database while another is open.
      database.onversionchange = () => {
        onLost();
        database.close();
      };
      resolve(database);
    };
  }).catch((error: unknown) => {
    onLost();
    throw error;
  });
}

/** What was asked for, once it is on disk: only the end of the transaction says so, and only it tells of a full disk. */
function outcome<T>(
  transaction: IDBTransaction,
  ask: (store: IDBObjectStore) => IDBRequest<T>,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const request = ask(transaction.objectStore(STORE));
    transaction.oncomplete = () => resolve(request.result);
    transaction.onabort = () => reject(transaction.error ?? request.error);
  });
}
