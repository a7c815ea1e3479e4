/** What the hook makes of peers that stall or lie, of storage and locks that are denied, and of a clock that is set back. */

import { act, renderHook } from "@testing-library/react";
import { ConvexProvider, type ConvexReactClient } from "convex/react";
import { useEffect, type ReactNode } from "react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { memoryAudio } from "../react/audio";
import { memoryJobStorage } from "../react/storage";
import { usePersistentTranscription } from "../react/usePersistentTranscription";
import {
  aFile,
  aJob,
  API_URL,
  aStored,
  completed,
  FakeApi,
  FakeConvex,
  problem,
  pass,
  renderTranscription,
  withFakeTime,
  type Seen,
} from "./hookSupport";

const { jobId } = aJob();
const MINUTE = 60_000;

withFakeTime();
let convex: FakeConvex;
let api: FakeApi;

beforeEach(() => {
  convex = new FakeConvex();
  api = new FakeApi();
});

afterEach(() => void Reflect.deleteProperty(navigator, "locks"));

const open = (options: Parameters<typeof renderTranscription>[2] = {}) =>
  renderTranscription(convex, api, options).result;

type Opened = ReturnType<typeof open>;
const only = ({ current }: Opened) => current.jobs[0];

function start(hook: Opened): string {
  let id = "";
  act(() => void (id = hook.current.start(aFile())));
  return id;
}

/** A head, the beginning of a body, and then nothing. */
function stalled(_seen: Seen, signal: AbortSignal | null): Response {
  const body = new ReadableStream({
    start(controller) {
      controller.enqueue(new TextEncoder().encode('{"jobId'));
      signal?.addEventListener("abort", () => controller.error(signal.reason));
    },
  });
  return new Response(body, { status: 200 });
}

const aProxysPage = () =>
  new Response("<h1>404 Not Found</h1>", {
    status: 404,
    headers: { "Content-Type": "text/html" },
  });

test("an answer that stalls after its head ends a user's request with a problem", async () => {
  convex.setRows(aJob());
  api.answer = stalled;
  const hook = open({ stored: [aStored()] });
  await pass(0);
  act(() => void hook.current.cancel(jobId));
  await pass(MINUTE);
  expect(only(hook)).toMatchObject({ action: null, problem: expect.any(String) });
});

test("answers that stall after their heads do not add up", async () => {
  convex.setRows(aJob());
  let pending = 0;
  api.answer = (seen, signal) => {
    pending++;
    signal?.addEventListener("abort", () => pending--);
    return stalled(seen, signal);
  };
  const hook = open({ stored: [aStored()] });
  await pass(0);
  act(() => convex.setConnected(false));
  await pass(10 * MINUTE);
  expect(api.lines.length).toBeGreaterThan(30);
  expect(pending).toBeLessThanOrEqual(2);
  expect(hook.current.connection).toBe("offline");
});

test("a proxy's 404 does not end a job", async () => {
  convex.setRows(aJob());
  const hook = open({ stored: [aStored()] });
  await pass(0);
  act(() => convex.setConnected(false));
  api.answer = aProxysPage;
  await pass(15_000);
  expect(only(hook)).toMatchObject({ status: "processing" });
  api.answer = null;
  api.jobs.set(jobId, completed());
  await pass(MINUTE);
  expect(only(hook)).toMatchObject({ status: "completed" });
});

test("a proxy's 404 is no removal", async () => {
  convex.setRows(completed());
  api.answer = aProxysPage;
  const hook = open({ stored: [aStored()] });
  await act(() => hook.current.remove(jobId));
  expect(only(hook)).toMatchObject({ jobId, problem: expect.any(String) });
});

test("an upload that is cancelled after it had arrived is cancelled at the API, once", async () => {
  const hook = open();
  api.answer = (_seen, signal) =>
    new Promise((_resolve, reject) =>
      signal?.addEventListener("abort", () => reject(signal.reason)),
    );
  const id = start(hook);
  await pass(10);
  api.answer = null;
  api.jobs.set(id, aJob({ jobId: id, status: "queued", sequence: 1 }));
  await act(() => hook.current.cancel(id));
  for (const sequence of [1, 2]) {
    act(() => convex.setRows(aJob({ jobId: id, status: "queued", sequence })));
    await pass(10);
  }
  expect(api.lines).toEqual(["POST /v1/jobs", `POST /v1/jobs/${id}/cancel`]);
});

test("an app that retries by itself gets its upload through", async () => {
  let refusals = 2;
  api.answer = () => {
    if (--refusals === 0) api.answer = null;
    return problem(503, "disk_full", "No room.");
  };
  const wrapper = ({ children }: { children: ReactNode }) => (
    <ConvexProvider client={convex as unknown as ConvexReactClient}>{children}</ConvexProvider>
  );
  const options = { apiUrl: API_URL, fetch: api.fetch, storage: memoryJobStorage() };
  const { result } = renderHook(
    () => {
      const all = usePersistentTranscription(options);
      const failed = all.jobs.find((job) => job.canRetry)?.jobId;
      const { retry } = all;
      useEffect(() => {
        if (failed !== undefined) void retry(failed);
      }, [failed, retry]);
      return all;
    },
    { wrapper },
  );
  start(result);
  await pass(MINUTE);
  expect(only(result)).toMatchObject({ status: "queued" });
  expect(api.lines.filter((line) => line === "POST /v1/jobs")).toHaveLength(3);
});

test("an upload that the network cut off goes on when the network is back", async () => {
  const hook = open();
  api.answer = () => Promise.reject(new TypeError("Failed to fetch"));
  start(hook);
  await pass(5_000);
  expect(only(hook)).toMatchObject({ status: "failed", canRetry: true });
  api.answer = null;
  act(() => void window.dispatchEvent(new Event("online")));
  await pass(0);
  expect(only(hook)).toMatchObject({ status: "queued", error: null });
});

test("an upload that the API refused does not go on when the network is back", async () => {
  const hook = open();
  api.answer = () => problem(503, "disk_full", "No room.");
  start(hook);
  await pass(0);
  act(() => void window.dispatchEvent(new Event("online")));
  await pass(0);
  expect(only(hook)).toMatchObject({ status: "failed", canRetry: true });
  expect(api.lines).toHaveLength(1);
});

test("a browser that denies its locks uploads all the same", async () => {
  const request = async () => {
    throw new DOMException("Access to the Locks API is denied.", "SecurityError");
  };
  Object.defineProperty(navigator, "locks", { configurable: true, value: { request } });
  const hook = open();
  start(hook);
  await pass(0);
  expect(only(hook)).toMatchObject({ status: "queued" });
});

test("a read of the audio that fails once does not cost the upload", async () => {
  const audioStorage = memoryAudio();
  await audioStorage.put(jobId, { file: aFile(), options: {} });
  let failures = 1;
  const get = async (id: string) => {
    if (failures-- > 0) throw new DOMException("The connection was lost.", "UnknownError");
    return await audioStorage.get(id);
  };
  const hook = open({
    stored: [aStored({ accepted: false })],
    audioStorage: { ...audioStorage, get },
  });
  await pass(0);
  expect(only(hook)).toMatchObject({ status: "queued" });
});

test("a job says whether its audio outlives the page", async () => {
  const audioStorage = memoryAudio();
  let keep = () => {};
  const written = new Promise<void>((resolve) => (keep = resolve));
  const put = async (...stored: Parameters<typeof audioStorage.put>) => {
    await written;
    await audioStorage.put(...stored);
  };
  const hook = open({ audioStorage: { ...audioStorage, put } });
  start(hook);
  expect(only(hook)).toMatchObject({ isAudioStored: false });
  keep();
  await pass(0);
  expect(only(hook)).toMatchObject({ isAudioStored: true });
});

test("a job that is removed while the storage is full is not there after a reload", async () => {
  convex.setRows(completed());
  const storage = memoryJobStorage([aStored()]);
  const put = () => {
    throw new DOMException("The quota is exceeded.", "QuotaExceededError");
  };
  const hook = open({ storage: { ...storage, put } });
  start(hook);
  await pass(0);
  await act(() => hook.current.remove(jobId));
  expect(hook.current.jobs).toHaveLength(1);
  expect(storage.read()).toEqual([]);
});

test("a clock that is set back an hour does not stop the asking", async () => {
  vi.setSystemTime(new Date("2026-11-28T12:00:00Z"));
  convex.setRows(aJob());
  api.jobs.set(jobId, completed());
  const hook = open({ stored: [aStored()] });
  await pass(5_000);
  act(() => convex.setConnected(false));
  vi.setSystemTime(new Date("2026-11-28T11:00:05Z"));
  await pass(MINUTE);
  expect(only(hook)).toMatchObject({ status: "completed" });
  expect(api.lines).toHaveLength(1);
});
