/** The hook with the real Convex client, connected to the development backend as its own process. */

import { act, cleanup, waitFor } from "@testing-library/react";
import { ConvexReactClient } from "convex/react";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { WebSocket } from "ws";
import type { Job } from "../react/job";
import { aJob, aStored, completed, FakeApi, renderTranscription } from "./hookSupport";

const WEBHOOK_KEY = "a-made-up-key-of-the-hook-tests";
const directory = mkdtempSync(join(tmpdir(), "hook-live-"));

let backend: { process: ChildProcess; url: string; siteUrl: string };
let client: ConvexReactClient;
let api: FakeApi;
let jobId: string;

async function startBackend(port = 0) {
  const process_ = spawn(process.execPath, ["devserver/main.mjs"], {
    stdio: ["ignore", "pipe", "inherit"],
    env: {
      ...process.env,
      PORT: String(port),
      SITE_PROXY_PORT: "0",
      CONVEX_DATA_FILE: join(directory, "tables.json"),
      TRANSCRIPTION_WEBHOOK_KEY: WEBHOOK_KEY,
    },
  });
  const [line] = await once(createInterface(process_.stdout), "line");
  return { process: process_, ...(JSON.parse(String(line)) as { url: string; siteUrl: string }) };
}

async function stopBackend() {
  const ended = once(backend.process, "exit");
  backend.process.kill("SIGTERM");
  expect(await ended).toEqual([0, null]);
}

/** What the gateway does with a job's update. */
async function deliver(job: Job): Promise<unknown> {
  const response = await fetch(`${backend.siteUrl}/webhooks/transcription-jobs`, {
    method: "POST",
    headers: { Authorization: `Bearer ${WEBHOOK_KEY}`, "Content-Type": "application/json" },
    body: JSON.stringify(job),
  });
  return await response.json();
}

beforeAll(async () => {
  backend = await startBackend();
}, 30_000);

afterAll(async () => {
  await stopBackend();
  rmSync(directory, { recursive: true });
});

beforeEach(() => {
  client = new ConvexReactClient(backend.url, {
    webSocketConstructor: WebSocket as unknown as typeof globalThis.WebSocket,
    logger: false,
  });
  api = new FakeApi();
  jobId = `live-${crypto.randomUUID()}`;
  vi.spyOn(console, "error").mockImplementation(() => {});
});

afterEach(async () => {
  cleanup();
  await client.close();
  vi.restoreAllMocks();
});

const render = () =>
  renderTranscription(client, api, { stored: [aStored({ jobId })], pollIntervalMs: 250 });
const shows = async (hook: ReturnType<typeof render>, expected: object) =>
  await waitFor(() => expect(hook.result.current.jobs).toMatchObject([expected]), {
    timeout: 15_000,
  });

test("an update that the HTTP action took is shown, without a request to the API", async () => {
  const hook = render();
  expect(await deliver(aJob({ jobId, status: "queued", sequence: 1 }))).toEqual({
    outcome: "applied",
  });
  await shows(hook, { status: "queued", sequence: 1 });
  await deliver(completed({ jobId }));
  await shows(hook, { status: "completed", result: completed().result });
  expect(hook.result.current.connection).toBe("live");
  expect(api.lines).toEqual([]);
});

test("a late update does not take the shown state back", async () => {
  const hook = render();
  await deliver(aJob({ jobId, sequence: 5, progress: 80 }));
  await shows(hook, { progress: 80 });
  expect(await deliver(aJob({ jobId, sequence: 4, progress: 70 }))).toEqual({ outcome: "stale" });
  await deliver(aJob({ jobId, sequence: 6, progress: 90 }));
  await shows(hook, { progress: 90, sequence: 6 });
});

test("while the backend is gone the API is asked, and afterwards news is live again", async () => {
  const hook = render();
  await deliver(aJob({ jobId, sequence: 3, progress: 40 }));
  await shows(hook, { progress: 40 });

  await stopBackend();
  api.jobs.set(jobId, aJob({ jobId, sequence: 5, progress: 60 }));
  await shows(hook, { progress: 60, sequence: 5 });
  expect(hook.result.current.connection).toBe("polling");

  // It comes back with the state that it had, which is older than what is shown.
  backend = await startBackend(Number(new URL(backend.url).port));
  await waitFor(() => expect(hook.result.current.connection).toBe("live"), { timeout: 15_000 });
  await act(async () => await deliver(completed({ jobId })));
  await shows(hook, { status: "completed", sequence: 9 });
});
