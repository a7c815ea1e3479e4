/** The hook, the real Convex client and the development backend, with a network between them that fails. */

import { act, cleanup, waitFor } from "@testing-library/react";
import type { ConvexReactClient } from "convex/react";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { connect, LiveBackend } from "./hookBackend";
import { Line } from "./hookLine";
import { aJob, aStored, completed, FakeApi, renderTranscription } from "./hookSupport";

const backend = new LiveBackend();
let line: Line;
let client: ConvexReactClient;
let api: FakeApi;
let jobId: string;

beforeAll(() => backend.start(), 30_000);

afterAll(() => backend.remove());

beforeEach(async () => {
  line = await Line.to(backend.url);
  api = new FakeApi();
  jobId = `network-${crypto.randomUUID()}`;
  vi.spyOn(console, "error").mockImplementation(() => {});
});

afterEach(async () => {
  cleanup();
  // The other way round the client would wait for an answer of a dead line.
  await line.close();
  await client.close();
  vi.restoreAllMocks();
});

function render(pollIntervalMs: number) {
  client = connect(line.url);
  return renderTranscription(client, api, { stored: [aStored({ jobId })], pollIntervalMs });
}

const within = { timeout: 15_000 };
const shows = async (hook: ReturnType<typeof render>, job: object, connection: string) =>
  await waitFor(() => {
    expect(hook.result.current.jobs).toMatchObject([job]);
    expect(hook.result.current.connection).toBe(connection);
  }, within);

test("a page opened without a network shows the job's state once there is one", async () => {
  line.cut();
  api.answer = () => Promise.reject(new TypeError("Failed to fetch"));
  const hook = render(250);
  await shows(hook, { status: "loading" }, "offline");

  await backend.deliver(completed({ jobId }));
  line.mend();
  act(() => void window.dispatchEvent(new Event("online")));
  await shows(hook, { status: "completed" }, "live");
});

test("no request is made any more once the live connection is back", async () => {
  await backend.deliver(aJob({ jobId }));
  api.jobs.set(jobId, aJob({ jobId }));
  const hook = render(250);
  await shows(hook, { sequence: 3 }, "live");
  line.cut();
  await waitFor(() => expect(api.lines.length).toBeGreaterThan(3), within);

  line.mend();
  await shows(hook, { sequence: 3 }, "live");
  const asked = api.lines.length;
  for (let sequence = 4; sequence < 9; sequence++) {
    await backend.deliver(aJob({ jobId, sequence }));
    await shows(hook, { sequence }, "live");
  }
  await backend.deliver(completed({ jobId }));
  await shows(hook, { status: "completed" }, "live");
  expect(api.lines).toHaveLength(asked);
});

test("a page that wakes on a dead connection shows how the job ended meanwhile", async () => {
  await backend.deliver(aJob({ jobId }));
  const hook = render(60_000);
  await shows(hook, { sequence: 3 }, "live");

  line.die();
  api.jobs.set(jobId, completed({ jobId }));
  const asleep = Date.now() + 10 * 60_000;
  vi.spyOn(Date, "now").mockReturnValue(asleep);
  await shows(hook, { status: "completed" }, "live");
  expect(api.lines).toEqual([`GET /v1/jobs/${jobId}`]);
});
