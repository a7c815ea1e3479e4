import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { ConvexClient } from "convex/browser";
import { WebSocket } from "ws";
import { api } from "../../convex/_generated/api";
import type { JobUpdate } from "../../convex/transcription/tables";
import type * as BackendModule from "../../devserver/backend/backend";
import type * as FaultsModule from "../../devserver/backend/faults";
import { createLoader } from "../../devserver/loader.mjs";
import type * as SyncModule from "../../devserver/sync/server";
import { connect, DevServer, eventually, newJob, startServer, tokenOf } from "./support";

const { get } = api.transcriptionJobs;
const MIB = 1024 * 1024;

let server: DevServer;
beforeAll(async () => void (server = await DevServer.start()));
afterAll(async () => void (await server.end()));

/** The sequences that a client is shown of a job. */
function follow(client: ConvexClient, jobId: string): number[] {
  const seen: number[] = [];
  client.onUpdate(get, { jobId }, (job) => seen.push(job?.sequence ?? 0));
  return seen;
}

test("200 clients see a job's updates in order, and each the last one", async () => {
  const job = newJob();
  const clients = Array.from({ length: 200 }, () => connect(server.url));
  const seen = clients.map((client) => follow(client, job.jobId));
  await eventually(() => seen.every((sequences) => sequences.length > 0));
  const last = 30;
  for (let sequence = 1; sequence <= last; sequence++) await server.post({ ...job, sequence });
  await eventually(() => seen.every((sequences) => sequences.at(-1) === last));
  for (const sequences of seen) {
    expect(sequences).toEqual([...new Set(sequences)].sort((a, b) => a - b));
  }
});

test("200 clients that follow a job each are told of theirs only", async () => {
  const jobs = Array.from({ length: 200 }, () => newJob());
  const seen = jobs.map(({ jobId }) => follow(connect(server.url), jobId));
  await eventually(() => seen.every((sequences) => sequences.length > 0));
  for (const job of jobs.slice(0, 20)) await server.post({ ...job, sequence: 1 });
  await eventually(() => seen.slice(0, 20).every((sequences) => sequences.at(-1) === 1));
  expect(seen).toEqual(jobs.map((_job, index) => (index < 20 ? [0, 1] : [0])));
});

test("a client that does not read is cut off, comes back and sees the last update", async () => {
  const sockets: WebSocket[] = [];
  class Watched extends WebSocket {
    constructor(url: string) {
      super(url);
      sockets.push(this);
    }
  }
  const client = new ConvexClient(server.url, {
    webSocketConstructor: Watched as unknown as typeof globalThis.WebSocket,
    logger: false,
  });
  onTestFinished(() => client.close());
  const job = newJob();
  const seen = follow(client, job.jobId);
  await eventually(() => seen.length === 1);
  sockets[0]?.pause();
  let sequence = 0;
  // More than the bound on what waits for one client, and what the two kernels' buffers take.
  for (; sequence < 90; sequence++) await server.post(largeJob(job, sequence + 1));
  sockets[0]?.resume();
  await eventually(() => sockets.length > 1 && seen.at(-1) === sequence);
});

test("memory does not grow with the updates that were sent", { timeout: 60_000 }, async () => {
  const measured = await startServer({ NODE_OPTIONS: "--max-old-space-size=128" });
  const job = newJob();
  const seen = follow(connect(measured.url), job.jobId);
  // More in all than the process may hold.
  const last = 90;
  for (let sequence = 1; sequence <= last; sequence++) {
    await measured.post(largeJob(job, sequence));
    await eventually(() => seen.at(-1) === sequence);
  }
  expect(await measured.end()).toBe(0);
});

test("a client that has left has no subscription left behind", async () => {
  const loader = await createLoader();
  onTestFinished(async () => await loader.close());
  const load = async (path: string) => await loader.ssrLoadModule(`/devserver/${path}`);
  const { Backend } = (await load("backend/backend.ts")) as typeof BackendModule;
  const { Faults } = (await load("backend/faults.ts")) as typeof FaultsModule;
  const { serveSync } = (await load("sync/server.ts")) as typeof SyncModule;
  const faults = new Faults(null);
  const backend = await Backend.open({ dataFile: null, faults });
  const open = countSubscriptions(backend);
  const http = createServer().listen(0, "127.0.0.1");
  const endSync = serveSync({ backend, faults, server: http });
  onTestFinished(() => {
    endSync();
    backend.close();
    http.close();
  });
  await once(http, "listening");
  const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
  const clients = Array.from({ length: 5 }, () => connect(url));
  for (const client of clients) for (const jobId of ["a", "b"]) follow(client, jobId);
  await eventually(() => open.count === 10);
  await clients[0]?.close();
  await eventually(() => open.count === 8);
  clients[1]?.setAuth(async () => tokenOf("ada"));
  await eventually(() => open.started === 12);
  for (const client of clients.slice(1)) await client.close();
  await eventually(() => open.count === 0);
});

/** How many subscriptions there are, and were begun. */
function countSubscriptions(backend: BackendModule.Backend) {
  const open = { count: 0, started: 0 };
  const subscribe = backend.subscribe.bind(backend);
  backend.subscribe = (question, onChange) => {
    open.count += 1;
    open.started += 1;
    const subscription = subscribe(question, onChange);
    const end = () => {
      open.count -= 1;
      subscription.end();
    };
    return { ...subscription, end };
  };
  return open;
}

/** A job with a transcript of nearly a megabyte. */
function largeJob(job: JobUpdate, sequence: number): JobUpdate {
  const text = "x".repeat(0.9 * MIB);
  const parts = { language: null, durationSeconds: null, segments: null, transcriptUrl: null };
  return { ...job, sequence, result: { text, ...parts, truncated: false } };
}
