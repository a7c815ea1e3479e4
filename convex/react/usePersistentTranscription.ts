/** React's door to persistent transcription jobs: live from Convex, by asking the API where that is silent. */

import { useConvexConnectionState, useMutation, useQuery } from "convex/react";
import { useEffect, useState, useSyncExternalStore } from "react";
import { TranscriptionApi, type StartOptions, type TranscriptFormat } from "./api";
import { indexedDbAudio, memoryAudio, type AudioStorage } from "./audio";
import { Commands } from "./commands";
import type { TrackedJob } from "./entry";
import { DEFAULT_FUNCTIONS_PATH, functionsAt } from "./functions";
import { KeptAudio } from "./keptAudio";
import { JobList } from "./list";
import { Poller, type Connection } from "./poller";
import { localJobStorage, type JobStorage } from "./storage";
import { Uploads } from "./uploads";

/** Read once, when the component mounts. */
export type PersistentTranscriptionOptions = {
  /** The transcription API, or the app's own server in front of it. */
  apiUrl: string;
  /** Where the job ids are kept. Default: localStorage, so that the list survives a reload. */
  storage?: JobStorage;
  /** Where the audio is kept. Default: IndexedDB; in memory where `storage` is the app's own, since each list needs its own. */
  audioStorage?: AudioStorage;
  /** Sends the requests to the API; the place to add credentials. Default: the browser's `fetch`. */
  fetch?: typeof fetch;
  /** Where the functions file is below the app's `convex/` folder, without its extension: "transcription/jobs". Default: "transcriptionJobs". */
  functionsPath?: string;
  /** Register each job under the signed-in user before its upload; for apps with TRANSCRIPTION_REQUIRE_REGISTRATION. Default: false. */
  register?: boolean;
  /** Between two requests for an unfinished job while the live connection is down or silent. Default: 10 000. */
  pollIntervalMs?: number;
  /** How long an unfinished job may stay silent on a live connection before the API is asked. Default: 60 000. */
  silentAfterMs?: number;
};

export type PersistentTranscription = {
  /** This browser's jobs, newest first. */
  jobs: TrackedJob[];
  connection: Connection;
  /** Begins a job and returns its id at once; how the upload goes is seen in `jobs`. */
  start: (file: File, options?: StartOptions) => string;
  /** These three never reject: a failure is shown in the job's `problem`. */
  cancel: (jobId: string) => Promise<void>;
  retry: (jobId: string) => Promise<void>;
  remove: (jobId: string) => Promise<void>;
  /** The whole transcript as a file; rejects with an ApiError whose message can be shown. */
  transcript: (jobId: string, format: TranscriptFormat) => Promise<Blob>;
  /** The recording, to be played; null where this browser does not have it. Never rejects. */
  audio: (jobId: string) => Promise<Blob | null>;
};

export function usePersistentTranscription(
  options: PersistentTranscriptionOptions,
): PersistentTranscription {
  const [functions] = useState(() => functionsAt(options.functionsPath ?? DEFAULT_FUNCTIONS_PATH));
  const register = useMutation(functions.register);
  const [{ list, kept, uploads, poller, commands, transcript, audio }] = useState(() =>
    assemble(options, (jobId) => register({ jobId })),
  );
  const { jobs, followed } = useSyncExternalStore(list.subscribe, list.listing, list.listing);
  const connection = useSyncExternalStore(poller.subscribe, poller.connection, poller.connection);
  const { isWebSocketConnected } = useConvexConnectionState();
  const rows = useQuery(functions.list, followed.length === 0 ? "skip" : { jobIds: followed });

  useEffect(() => list.open(), [list]);
  useEffect(() => kept.open(), [kept]);
  useEffect(() => uploads.open(), [uploads]);
  useEffect(() => poller.open(), [poller]);
  useEffect(() => poller.setLive(isWebSocketConnected), [poller, isWebSocketConnected]);
  useEffect(() => {
    for (const row of rows ?? []) list.learn(row, { heardAt: Date.now() });
  }, [list, rows]);

  const { start, cancel, retry, remove } = commands;
  return { jobs, connection, start, cancel, retry, remove, transcript, audio };
}

function assemble(
  options: PersistentTranscriptionOptions,
  register: (jobId: string) => Promise<unknown>,
) {
  const parts = { now: () => Date.now(), logFailure };
  const api = new TranscriptionApi({
    apiUrl: options.apiUrl,
    fetch: options.fetch ?? ((...request) => fetch(...request)),
  });
  const list = new JobList({ ...parts, storage: options.storage ?? localJobStorage() });
  const kept = new KeptAudio({ ...parts, storage: audioStorage(options), list });
  const patience = {
    pollIntervalMs: options.pollIntervalMs ?? 10_000,
    silentAfterMs: options.silentAfterMs ?? 60_000,
  };
  const uploads = new Uploads({
    ...parts,
    api,
    list,
    audio: kept,
    register: options.register === true ? register : null,
  });
  return {
    list,
    kept,
    uploads,
    poller: new Poller({ ...parts, api, list, patience }),
    commands: new Commands({ ...parts, api, list, audio: kept, uploads, newJobId }),
    transcript: (jobId: string, format: TranscriptFormat) => api.transcript(jobId, format),
    audio: async (jobId: string) => (await kept.get(jobId))?.file ?? null,
  };
}

function audioStorage(options: PersistentTranscriptionOptions): AudioStorage {
  return options.audioStorage ?? (options.storage ? memoryAudio() : indexedDbAudio());
}

/** 128 random bits. Not crypto.randomUUID(), which pages on plain http (a phone on the local network) do not have. */
function newJobId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function logFailure(message: string, details: Record<string, unknown>): void {
  console.error(`[transcription] ${message}`, details);
}
