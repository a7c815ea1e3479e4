/** The hook with the real Convex client, connected to the development backend as its own process. */

import { act, cleanup, waitFor } from "@testing-library/react";
import type { ConvexReactClient } from "convex/react";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { connect, LiveBackend } from "./hookBackend";
import { aJob, aStored, completed, FakeApi, renderTranscription } from "./hookSupport";

const backend = new LiveBackend();
let client: ConvexReactClient;
let api: FakeApi;
let jobId: string;

beforeAll(() => backend.start(), 30_000);

afterAll(() => backend.remove());

beforeEach(() => {
  client = connect(backend.url);
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
  expect(await backend.deliver(aJob({ jobId, status: "queued", sequence: 1 }))).toEqual({
    outcome: "applied",
  });
  await shows(hook, { status: "queued", sequence: 1 });
  await backend.deliver(completed({ jobId }));
  await shows(hook, { status: "completed", result: completed().result });
  expect(hook.result.current.connection).toBe("live");
  expect(api.lines).toEqual([]);
});

test("a late update does not take the shown state back", async () => {
  const hook = render();
  await backend.deliver(aJob({ jobId, sequence: 5, progress: 80 }));
  await shows(hook, { progress: 80 });
  expect(await backend.deliver(aJob({ jobId, sequence: 4, progress: 70 }))).toEqual({
    outcome: "stale",
  });
  await backend.deliver(aJob({ jobId, sequence: 6, progress: 90 }));
  await shows(hook, { progress: 90, sequence: 6 });
});

test("while the backend is gone the API is asked, and afterwards news is live again", async () => {
  const hook = render();
  await backend.deliver(aJob({ jobId, sequence: 3, progress: 40 }));
  await shows(hook, { progress: 40 });

  await backend.stop();
  api.jobs.set(jobId, aJob({ jobId, sequence: 5, progress: 60 }));
  await shows(hook, { progress: 60, sequence: 5 });
  expect(hook.result.current.connection).toBe("polling");

  // It comes back with the state that it had, which is older than what is shown.
  await backend.start();
  // Convex's client lets up to 16 s pass between two tries, and half as many again.
  await waitFor(() => expect(hook.result.current.connection).toBe("live"), { timeout: 40_000 });
  await act(async () => await backend.deliver(completed({ jobId })));
  await shows(hook, { status: "completed", sequence: 9 });
}, 60_000);

test("a long history of long texts is shown after a reload, though one query cannot give it", async () => {
  const stored = Array.from({ length: 20 }, (_, n) => aStored({ jobId: `${jobId}-${n}` }));
  const long = completed();
  for (const { jobId: id } of stored) {
    await backend.deliver({
      ...long,
      jobId: id,
      result: long.result && { ...long.result, text: "word ".repeat(178_000) },
    });
  }
  const hook = renderTranscription(client, api, { stored });
  await waitFor(
    () => expect(hook.result.current.jobs.every((job) => job.status === "completed")).toBe(true),
    { timeout: 30_000 },
  );
  expect(hook.result.current.jobs).toHaveLength(20);
}, 60_000);
