/** The audio outlives the page: what a reload, another tab and a failing storage do to uploads and recordings. */

import { act, cleanup } from "@testing-library/react";
import { beforeEach, describe, expect, test } from "vitest";
import { memoryAudio, type AudioStorage } from "../react/audio";
import { memoryJobStorage, parseStored, type JobStorage, type StoredJob } from "../react/storage";
import {
  aFile,
  aJob,
  aStored,
  FakeApi,
  FakeConvex,
  problem,
  pass,
  renderTranscription,
  withFakeTime,
} from "./hookSupport";

const { jobId } = aJob();
const unconfirmed = (change: Partial<StoredJob> = {}) => aStored({ accepted: false, ...change });
const recording = { file: aFile(), options: { language: "en" } };

const logged = withFakeTime();
let convex: FakeConvex;
let api: FakeApi;
let storage: JobStorage;
let audioStorage: AudioStorage;

beforeEach(() => {
  convex = new FakeConvex();
  api = new FakeApi();
  storage = storageOfTabs();
  audioStorage = memoryAudio();
});

/** Tells every tab of what one has written. */
function storageOfTabs(): JobStorage {
  const stored = memoryJobStorage();
  const listeners = new Set<() => void>();
  const tell = () => [...listeners].forEach((listener) => listener());
  return {
    ...stored,
    put: (job) => {
      stored.put(job);
      tell();
    },
    remove: (id) => {
      stored.remove(id);
      tell();
    },
    subscribe: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/** A tab is opened; what it does at once is done. */
async function open() {
  const { result } = renderTranscription(convex, api, { storage, audioStorage });
  await pass(0);
  return result;
}

/** A tab that is closed and opened again while the job was on its way. */
async function reload() {
  cleanup();
  return await open();
}

async function started() {
  const tab = await open();
  let id = "";
  act(() => void (id = tab.current.start(recording.file, recording.options)));
  await pass(0);
  return { tab, id };
}

/** Takes uploads and says nothing until they are given up. */
const silence = (_: unknown, signal: AbortSignal | null) =>
  new Promise<Response>((_resolve, reject) => {
    signal?.addEventListener("abort", () => reject(new DOMException("Stopped", "AbortError")));
  });

const stored = async (id = jobId) => (await audioStorage.get(id)) !== null;

describe("after a reload, an upload that the API has not confirmed", () => {
  test("goes on by itself under the same id, with the same audio and options", async () => {
    storage.put(unconfirmed());
    await audioStorage.put(jobId, recording);
    const tab = await open();
    expect(tab.current.jobs).toMatchObject([{ jobId, status: "queued" }]);
    expect(api.lines).toEqual(["POST /v1/jobs"]);
    expect(api.seen[0]?.form?.get("job_id")).toBe(jobId);
    expect(api.seen[0]?.form?.get("language")).toBe("en");
    expect(storage.read()).toMatchObject([{ accepted: true }]);
  });

  test("is shown as uploading meanwhile", async () => {
    storage.put(unconfirmed());
    await audioStorage.put(jobId, recording);
    api.answer = silence;
    expect((await open()).current.jobs).toMatchObject([{ status: "uploading", canCancel: true }]);
  });

  test("is not sent where another tab has had it confirmed", async () => {
    storage.put(aStored());
    await audioStorage.put(jobId, recording);
    await open();
    expect(api.lines).toEqual([]);
  });

  test("is sent again although it failed before for a reason that may pass", async () => {
    api.answer = () => problem(503, "disk_full", "No room. Try again later.");
    const { tab, id } = await started();
    expect(tab.current.jobs).toMatchObject([{ status: "failed", canRetry: true }]);
    api.answer = null;
    expect((await reload()).current.jobs).toMatchObject([{ jobId: id, status: "queued" }]);
  });

  test("is sent again although nobody was signed in", async () => {
    api.answer = () => problem(401, "unauthorized", "Sign in.");
    await started();
    api.answer = null;
    expect((await reload()).current.jobs).toMatchObject([{ status: "queued" }]);
  });

  test("stays cancelled when the user cancelled it, and can then be sent", async () => {
    api.answer = silence;
    const { tab, id } = await started();
    await act(() => tab.current.cancel(id));
    const opened = await reload();
    expect(opened.current.jobs).toMatchObject([{ status: "cancelled", canRetry: true }]);
    expect(api.lines).toEqual(["POST /v1/jobs"]);
    api.answer = null;
    await act(() => opened.current.retry(id));
    expect(opened.current.jobs).toMatchObject([{ jobId: id, status: "queued" }]);
    expect((await reload()).current.jobs).not.toMatchObject([{ status: "cancelled" }]);
  });

  test("stays refused when it was refused for what it is, with the reason", async () => {
    api.answer = () => problem(422, "not_audio", "notes.txt is not audio.");
    await started();
    const error = { code: "not_audio", message: "notes.txt is not audio." };
    expect((await reload()).current.jobs).toMatchObject([
      { status: "failed", canRetry: false, error },
    ]);
    expect(api.lines).toEqual(["POST /v1/jobs"]);
  });

  test("has failed and can be tried again no more where a cancelled one's audio is gone", async () => {
    storage.put(unconfirmed({ stopped: { status: "cancelled", error: null } }));
    const tab = await open();
    act(() => void tab.current.retry(jobId));
    await pass(1_000);
    await pass(2_000);
    expect(tab.current.jobs).toMatchObject([
      {
        status: "failed",
        canRetry: false,
        error: { message: "The upload did not finish. Choose the file again." },
      },
    ]);
  });
});

test("an upload is not sent again and again where the API answers with another job", async () => {
  api.answer = ({ method }) =>
    method === "POST" ? Response.json(aJob(), { status: 202 }) : problem(404, "unknown_job", "No.");
  const { tab } = await started();
  await pass(60_000);
  expect(tab.current.jobs).toMatchObject([{ status: "failed" }]);
  expect(api.lines.filter((line) => line.startsWith("POST"))).toHaveLength(1);
});

describe("of two tabs", () => {
  test("the second sees the first one's refusal, and its reason", async () => {
    const second = await open();
    api.answer = () => problem(422, "not_audio", "notes.txt is not audio.");
    await started();
    expect(second.current.jobs).toMatchObject([
      { status: "failed", error: { message: "notes.txt is not audio." } },
    ]);
  });

  test("either can cancel the upload of the other", async () => {
    api.answer = silence;
    const { tab, id } = await started();
    const second = await open();
    await act(() => second.current.cancel(id));
    await pass(0);
    for (const { current } of [tab, second]) {
      expect(current.jobs).toMatchObject([{ status: "cancelled", canRetry: true }]);
    }
    expect(storage.read()).toMatchObject([{ stopped: { status: "cancelled" } }]);
    expect(logged).toEqual([]);
  });

  test("the second shows what the API has confirmed to the first", async () => {
    const second = await open();
    const { id } = await started();
    expect(storage.read()).toMatchObject([{ jobId: id, accepted: true }]);
    expect(second.current.jobs).not.toMatchObject([{ status: "uploading" }]);
  });
});

describe("the recording of a job", () => {
  test("can be played as long as the job is listed, after a reload too", async () => {
    const { id } = await started();
    const tab = await reload();
    expect(await tab.current.audio(id)).toBe(recording.file);
    await act(() => tab.current.remove(id));
    await pass(0);
    expect(await tab.current.audio(id)).toBeNull();
    expect(await stored(id)).toBe(false);
  });

  test("is also that of the job made from it", async () => {
    storage.put(aStored());
    await audioStorage.put(jobId, recording);
    api.jobs.set(jobId, aJob({ status: "failed" }));
    convex.setRows(aJob({ status: "failed" }));
    const tab = await open();
    await act(() => tab.current.retry(jobId));
    await pass(0);
    const again = tab.current.jobs[0]?.jobId ?? "";
    expect(again).not.toBe(jobId);
    expect(await tab.current.audio(again)).toBe(recording.file);
    expect((await audioStorage.ids()).sort()).toEqual([jobId, again].sort());
  });

  test("goes with a job that another tab removes", async () => {
    storage.put(aStored());
    await audioStorage.put(jobId, recording);
    await open();
    act(() => storage.remove(jobId));
    await pass(0);
    expect(await stored()).toBe(false);
  });

  test("goes with a job that the API has deleted", async () => {
    storage.put(aStored());
    await audioStorage.put(jobId, recording);
    api.jobs.set(jobId, aJob({ status: "deleted", sequence: 10 }));
    await open();
    await pass(2_000);
    expect(await stored()).toBe(false);
  });

  test("is swept away at the next load where no job is listed, and only there", async () => {
    storage.put(aStored());
    await audioStorage.put(jobId, recording);
    await audioStorage.put("left-behind", recording);
    await open();
    expect(await audioStorage.ids()).toEqual([jobId]);
  });

  test("is not swept away while the list cannot be read", async () => {
    await audioStorage.put(jobId, recording);
    const read = () => {
      throw new Error("SecurityError");
    };
    storage = { ...storage, read };
    await open();
    expect(await stored()).toBe(true);
  });

  test("makes a new job where the API has lost its own copy", async () => {
    storage.put(aStored());
    await audioStorage.put(jobId, recording);
    convex.setRows(aJob({ status: "failed" }));
    api.answer = ({ path, form }) =>
      path.endsWith("/retry")
        ? problem(410, "audio_gone", "The audio is gone.")
        : Response.json(aJob({ jobId: String(form?.get("job_id")), sequence: 1 }), { status: 202 });
    const tab = await open();
    await act(() => tab.current.retry(jobId));
    await pass(0);
    expect(tab.current.jobs).toMatchObject([
      { name: "talk.wav", status: "processing" },
      { jobId, status: "failed", problem: null },
    ]);
    expect(api.lines).toEqual([`POST /v1/jobs/${jobId}/retry`, "POST /v1/jobs"]);
  });

  test("says so where nobody has it any more", async () => {
    storage.put(aStored());
    convex.setRows(aJob({ status: "failed" }));
    const tab = await open();
    await act(() => tab.current.retry(jobId));
    expect(tab.current.jobs).toMatchObject([
      { status: "failed", problem: expect.stringContaining("Choose the file again.") },
    ]);
  });
});

describe("where audio cannot be stored", () => {
  const broken = async () => {
    throw new DOMException("No room.", "QuotaExceededError");
  };

  test("uploads and playback go on in memory, and it is said once", async () => {
    audioStorage = { put: broken, get: broken, delete: broken, ids: broken };
    const { tab, id } = await started();
    expect(tab.current.jobs).toMatchObject([{ status: "queued" }]);
    expect(await tab.current.audio(id)).toBe(recording.file);
    await act(() => tab.current.remove(id));
    await pass(0);
    expect(await tab.current.audio(id)).toBeNull();
    expect(logged).toEqual([
      "[transcription] The storage of audio fails: recordings may not survive a reload.",
    ]);
  });

  test("a browser without IndexedDB is such a place", async () => {
    const hook = renderTranscription(convex, api, { storage: undefined });
    let id = "";
    act(() => void (id = hook.result.current.start(recording.file)));
    await pass(0);
    expect(hook.result.current.jobs).toMatchObject([{ jobId: id, status: "queued" }]);
    expect(await hook.result.current.audio(id)).toBe(recording.file);
    expect(logged).toEqual([
      "[transcription] The storage of audio fails: recordings may not survive a reload.",
    ]);
    await act(() => hook.result.current.remove(id));
  });
});

describe("a stored job", () => {
  const stopped = { status: "failed", error: { code: "not_audio", message: "No." } } as const;
  const isRead = (job: object) => parseStored(JSON.stringify(job)) !== null;

  test("may say how its upload ended", () => {
    expect(isRead(unconfirmed())).toBe(true);
    expect(parseStored(JSON.stringify(unconfirmed({ stopped })))).toEqual(unconfirmed({ stopped }));
  });

  test.each([{ status: "asleep", error: null }, { status: "failed", error: "No." }, "failed"])(
    "is left out where it says that its upload ended in %j",
    (strange) => {
      expect(isRead({ ...unconfirmed(), stopped: strange })).toBe(false);
    },
  );
});
