/** A made-up Convex client and transcription API for the hook: what time does to them is in the test's hands. */

import { act, cleanup, renderHook } from "@testing-library/react";
import { ConvexProvider, type ConvexReactClient } from "convex/react";
import { getFunctionName, type FunctionReference } from "convex/server";
import type { ReactNode } from "react";
import { afterEach, beforeEach, vi } from "vitest";
import type { Job } from "../react/job";
import { memoryJobStorage, type StoredJob } from "../react/storage";
import {
  usePersistentTranscription,
  type PersistentTranscriptionOptions,
} from "../react/usePersistentTranscription";

/** Each test of the file has its time in hand (see `pass`); what it writes to console.error is in the list given. */
export function withFakeTime(): string[] {
  const logged: string[] = [];

  beforeEach(() => {
    vi.useFakeTimers();
    logged.length = 0;
    vi.spyOn(console, "error").mockImplementation((message) => logged.push(String(message)));
  });

  afterEach(() => {
    cleanup();
    vi.restoreAllMocks();
    vi.useRealTimers();
  });

  return logged;
}

export const pass = (milliseconds: number) =>
  act(async () => await vi.advanceTimersByTimeAsync(milliseconds));

export const API_URL = "http://transcriber.test";

export function aJob(change: Partial<Job> = {}): Job {
  return {
    jobId: "job-0000000000000000001",
    userId: "anonymous",
    status: "processing",
    progress: 40,
    sequence: 3,
    result: null,
    error: null,
    timestamps: { createdAt: 1_000, startedAt: 2_000, completedAt: null },
    ...change,
  };
}

export function completed(change: Partial<Job> = {}): Job {
  const result = {
    text: "Ask not.",
    language: "en",
    durationSeconds: 2,
    segments: [{ start: 0, end: 2, text: "Ask not." }],
    transcriptUrl: null,
    truncated: false,
  };
  return aJob({ status: "completed", progress: 100, sequence: 9, result, ...change });
}

export function aStored(change: Partial<StoredJob> = {}): StoredJob {
  return { jobId: aJob().jobId, name: "talk.wav", addedAt: 500, accepted: true, ...change };
}

export const aFile = (name = "talk.wav") => new File(["RIFF"], name, { type: "audio/wav" });

/** The part of ConvexReactClient that the hooks of convex/react use. */
export class FakeConvex {
  readonly registered: string[] = [];
  readonly asked: string[][] = [];
  refusesToRegister: Error | null = null;
  #rows: Job[] = [];
  #state = { isWebSocketConnected: true };
  readonly #listeners = new Set<() => void>();
  readonly #results = new Map<string, Job[]>();

  /** What the table holds from now on. */
  setRows(...rows: Job[]): void {
    this.#rows = rows;
    this.#results.clear();
    this.#tell();
  }

  setConnected(isWebSocketConnected: boolean): void {
    this.#state = { isWebSocketConnected };
    this.#tell();
  }

  connectionState() {
    return this.#state;
  }

  subscribeToConnectionState(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  watchQuery(_query: unknown, { jobIds }: { jobIds: string[] }) {
    this.asked.push(jobIds);
    return {
      onUpdate: (listener: () => void) => this.subscribeToConnectionState(listener),
      localQueryResult: () => this.#result(jobIds),
      journal: () => undefined,
    };
  }

  async mutation(mutation: FunctionReference<"mutation">, { jobId }: { jobId: string }) {
    if (this.refusesToRegister !== null) throw this.refusesToRegister;
    this.registered.push(`${getFunctionName(mutation)} ${jobId}`);
    return null;
  }

  /** The same object until the rows change, as the real client has it. */
  #result(jobIds: string[]): Job[] {
    const key = jobIds.join();
    const rows = this.#results.get(key) ?? this.#rows.filter(({ jobId }) => jobIds.includes(jobId));
    this.#results.set(key, rows);
    return rows;
  }

  #tell(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}

export type Seen = {
  method: string;
  path: string;
  etag: string | null;
  form: FormData | null;
  json: unknown;
};

/** Answers as the transcription API does, from `jobs`; `answer` replaces the next answers. */
export class FakeApi {
  readonly seen: Seen[] = [];
  readonly jobs = new Map<string, Job>();
  answer: ((seen: Seen, signal: AbortSignal | null) => Response | Promise<Response>) | null = null;

  readonly fetch = async (input: RequestInfo | URL, init: RequestInit = {}): Promise<Response> => {
    const seen: Seen = {
      method: init.method ?? "GET",
      path: String(input).replace(API_URL, ""),
      etag: new Headers(init.headers).get("If-None-Match"),
      form: init.body instanceof FormData ? init.body : null,
      json: typeof init.body === "string" ? JSON.parse(init.body) : null,
    };
    this.seen.push(seen);
    return await (this.answer?.(seen, init.signal ?? null) ?? this.#answer(seen));
  };

  /** "GET /v1/jobs/x" for each request so far. */
  get lines(): string[] {
    return this.seen.map(({ method, path }) => `${method} ${path}`);
  }

  #answer({ method, path, etag, form, json }: Seen): Response {
    if (form !== null) return this.#create(form);
    const [, jobId = "", action] = /^\/v1\/jobs\/([^/?]+)(?:\/(\w+))?/.exec(path) ?? [];
    const job = this.jobs.get(jobId);
    if (job === undefined) return problem(404, "unknown_job", "There is no such job.");
    if (method === "DELETE") return new Response(null, { status: 204 });
    if (action === "retry") return this.#retry(json as { job_id: string });
    if (action === "cancel") return this.#take({ ...job, sequence: job.sequence + 1 }, 202);
    const current = `"${job.sequence}"`;
    if (etag === current) return new Response(null, { status: 304 });
    return Response.json(job, { headers: { ETag: current } });
  }

  #create(form: FormData): Response {
    const jobId = String(form.get("job_id"));
    return this.#take(aJob({ jobId, status: "queued", progress: 0, sequence: 1 }), 202);
  }

  #retry({ job_id: jobId }: { job_id: string }): Response {
    return this.#take(this.jobs.get(jobId) ?? aJob({ jobId, sequence: 1 }), 202);
  }

  #take(job: Job, status: number): Response {
    this.jobs.set(job.jobId, job);
    return Response.json(job, { status });
  }
}

export function problem(status: number, code: string, detail: string): Response {
  const body = JSON.stringify({ type: "about:blank", title: "Refused", status, detail, code });
  return new Response(body, { status, headers: { "Content-Type": "application/problem+json" } });
}

/** The hook under a client, with these jobs stored and this API. */
export function renderTranscription(
  client: FakeConvex | ConvexReactClient,
  fakeApi: FakeApi,
  options: Partial<PersistentTranscriptionOptions> & { stored?: StoredJob[] } = {},
) {
  const { stored = [], ...rest } = options;
  const storage = memoryJobStorage(stored);
  const wrapper = ({ children }: { children: ReactNode }) => (
    <ConvexProvider client={client as ConvexReactClient}>{children}</ConvexProvider>
  );
  const all = { apiUrl: API_URL, fetch: fakeApi.fetch, storage, ...rest };
  return {
    storage: all.storage,
    ...renderHook(() => usePersistentTranscription(all), { wrapper }),
  };
}
