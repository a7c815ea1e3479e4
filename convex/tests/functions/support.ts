/** The functions under convex-test, and jobs as the transcription API sends them. */
import { convexTest } from "convex-test";
import { afterEach, beforeEach, vi } from "vitest";
import schema from "../../convex/schema";
import type { JobUpdate } from "../../convex/transcription/tables";

const modules = import.meta.glob("../../convex/**/*.*s");

export const KEY = "key-of-the-gateway";
export const PATH = "/webhooks/transcription-jobs";
export const JOB_ID = "jfk-1961-inaugural-address";

export type Backend = ReturnType<typeof startBackend>;

export const startBackend = () => convexTest({ schema, modules, transactionLimits: true });

/** Each test of the file has the key set, and no setting of another test. */
export function useConfiguredEnvironment(): void {
  beforeEach(() => {
    vi.stubEnv("TRANSCRIPTION_WEBHOOK_KEY", KEY);
    vi.stubEnv("TRANSCRIPTION_WEBHOOK_KEY_PREVIOUS", undefined);
    vi.stubEnv("TRANSCRIPTION_REQUIRE_REGISTRATION", undefined);
  });
  afterEach(() => {
    vi.unstubAllEnvs();
    vi.useRealTimers();
    vi.restoreAllMocks();
  });
}

export function completedJob(changes: Partial<JobUpdate> = {}): JobUpdate {
  return {
    jobId: JOB_ID,
    userId: "anonymous",
    status: "completed",
    progress: 100,
    sequence: 4,
    result: {
      text: "Ask not what your country can do for you.",
      language: "en",
      durationSeconds: 11,
      segments: [{ start: 0, end: 11, text: "Ask not what your country can do for you." }],
      transcriptUrl: null,
      truncated: false,
    },
    error: null,
    timestamps: {
      createdAt: 1_700_000_000_000,
      startedAt: 1_700_000_000_100,
      completedAt: 1_700_000_002_000,
    },
    ...changes,
  };
}

/** What a job sends in its life, from queued to its deletion. */
export function lifeOfAJob(): JobUpdate[] {
  const { timestamps } = completedJob();
  const fresh = { ...completedJob(), result: null };
  const queuedAt = { ...timestamps, startedAt: null, completedAt: null };
  const startedAt = { ...timestamps, completedAt: null };
  return [
    { ...fresh, status: "queued", progress: 0, sequence: 1, timestamps: queuedAt },
    { ...fresh, status: "processing", progress: 0, sequence: 2, timestamps: startedAt },
    { ...fresh, status: "processing", progress: 60, sequence: 3, timestamps: startedAt },
    completedJob(),
    { ...fresh, status: "deleted", sequence: 5 },
  ];
}

type Sent = { key?: string; body?: BodyInit; headers?: Record<string, string> };

/** Posts a body (an object as JSON) as the gateway does. */
export async function post(t: Backend, body: unknown, { key = KEY, headers = {} }: Sent = {}) {
  const response = await t.fetch(PATH, {
    method: "POST",
    headers: { Authorization: `Bearer ${key}`, "Content-Type": "application/json", ...headers },
    body:
      typeof body === "string" || body instanceof Uint8Array
        ? (body as BodyInit)
        : JSON.stringify(body),
  });
  return {
    status: response.status,
    contentType: response.headers.get("Content-Type"),
    body: (await response.json()) as Record<string, unknown>,
  };
}
