import { act } from "@testing-library/react";
import { beforeEach, describe, expect, test, vi } from "vitest";
import type { TrackedJob } from "../react";
import { memoryJobStorage } from "../react/storage";
import {
  aFile,
  aJob,
  aStored,
  completed,
  FakeApi,
  FakeConvex,
  problem,
  pass,
  renderTranscription,
  withFakeTime,
} from "./hookSupport";

const { jobId } = aJob();
const GET = `GET /v1/jobs/${jobId}`;

const logged = withFakeTime();
let convex: FakeConvex;
let api: FakeApi;

beforeEach(() => {
  convex = new FakeConvex();
  api = new FakeApi();
});

const render = (options: Parameters<typeof renderTranscription>[2] = {}) =>
  renderTranscription(convex, api, options);
const only = (rendered: ReturnType<typeof render>): TrackedJob | undefined => {
  expect(rendered.result.current.jobs).toHaveLength(1);
  return rendered.result.current.jobs[0];
};

describe("while the live connection brings news", () => {
  test("the API is never asked, and a newer state is shown at once", async () => {
    convex.setRows(aJob());
    const hook = render({ stored: [aStored()] });
    expect(only(hook)).toMatchObject({ status: "processing", progress: 40, name: "talk.wav" });
    for (let second = 1; second <= 60; second++) {
      await pass(1_000);
      act(() => convex.setRows(aJob({ sequence: 3 + second, progress: 40 + second / 2 })));
    }
    act(() => convex.setRows(completed({ sequence: 100 })));
    expect(only(hook)).toMatchObject({ status: "completed", result: { text: "Ask not." } });
    expect(api.lines).toEqual([]);
    expect(hook.result.current.connection).toBe("live");
  });

  test("an older state never replaces a newer one", () => {
    convex.setRows(completed());
    const hook = render({ stored: [aStored()] });
    act(() => convex.setRows(aJob({ sequence: 8 })));
    expect(only(hook)).toMatchObject({ status: "completed", sequence: 9 });
  });

  test("the query follows unfinished jobs only", () => {
    convex.setRows(completed(), aJob({ jobId: "another" }));
    render({ stored: [aStored(), aStored({ jobId: "another" })] });
    expect(convex.asked.at(-1)).toEqual(["another"]);
  });

  test("news is not written to storage", () => {
    convex.setRows(aJob());
    const storage = memoryJobStorage([aStored()]);
    const write = vi.spyOn(storage, "put");
    const hook = render({ storage });
    act(() => convex.setRows(completed()));
    expect(only(hook)).toMatchObject({ status: "completed" });
    expect(write).not.toHaveBeenCalled();
  });

  test("a job that stays silent is asked for after 60 s; if the API knows more, every 10 s until it is over", async () => {
    convex.setRows(aJob());
    api.jobs.set(jobId, aJob({ sequence: 4 }));
    const hook = render({ stored: [aStored()] });
    await pass(59_999);
    expect(api.lines).toEqual([]);
    await pass(1);
    expect(api.lines).toEqual([GET]);
    api.jobs.set(jobId, aJob({ sequence: 5 }));
    await pass(10_000);
    expect(api.seen.map(({ etag }) => etag)).toEqual([null, '"4"']);
    api.jobs.set(jobId, completed());
    await pass(10_000);
    expect(only(hook)).toMatchObject({ status: "completed" });
    await pass(120_000);
    expect(api.lines).toHaveLength(3);
  });

  test("a silent job of which the API knows no more is left alone for another 60 s", async () => {
    convex.setRows(aJob());
    api.jobs.set(jobId, aJob());
    render({ stored: [aStored()] });
    await pass(60_000);
    expect(api.lines).toHaveLength(1);
    await pass(59_999);
    expect(api.lines).toHaveLength(1);
    await pass(1);
    expect(api.seen.map(({ etag }) => etag)).toEqual([null, '"3"']);
    await pass(60_000);
    expect(api.lines).toHaveLength(3);
  });

  test("another job's news does not pass for news of a silent one", async () => {
    convex.setRows(aJob(), aJob({ jobId: "lively" }));
    api.jobs.set(jobId, aJob());
    render({ stored: [aStored(), aStored({ jobId: "lively" })] });
    for (let second = 1; second <= 60; second++) {
      await pass(1_000);
      act(() => convex.setRows(aJob(), aJob({ jobId: "lively", sequence: 3 + second })));
    }
    expect(api.lines).toEqual([GET]);
  });
});

describe("while the live connection is down", () => {
  test("an unfinished job is asked for every 10 s, with its ETag, until it is over", async () => {
    convex.setRows(aJob());
    api.jobs.set(jobId, aJob());
    const hook = render({ stored: [aStored()] });
    await pass(3_000);
    act(() => convex.setConnected(false));
    expect(hook.result.current.connection).toBe("polling");
    await pass(9_999);
    expect(api.lines).toEqual([]);
    await pass(1);
    expect(api.lines).toEqual([GET]);
    api.jobs.set(jobId, aJob({ sequence: 4, progress: 70 }));
    await pass(10_000);
    expect(only(hook)).toMatchObject({ sequence: 4, progress: 70 });
    await pass(10_000);
    expect(api.seen.map(({ etag }) => etag)).toEqual([null, '"3"', '"4"']);
    api.jobs.set(jobId, completed());
    await pass(10_000);
    expect(only(hook)).toMatchObject({ status: "completed" });
    await pass(120_000);
    expect(api.lines).toHaveLength(4);
  });

  test("a finished job is not asked for", async () => {
    convex.setRows(completed());
    render({ stored: [aStored()] });
    act(() => convex.setConnected(false));
    await pass(60_000);
    expect(api.lines).toEqual([]);
  });

  test("an older answer of the API does not replace what was shown", async () => {
    convex.setRows(aJob({ sequence: 7, progress: 80 }));
    api.jobs.set(jobId, aJob({ sequence: 5, progress: 60 }));
    const hook = render({ stored: [aStored()] });
    act(() => convex.setConnected(false));
    await pass(10_000);
    expect(api.lines).toEqual([GET]);
    expect(only(hook)).toMatchObject({ sequence: 7, progress: 80 });
  });

  test("asking ends when the connection is back", async () => {
    convex.setRows(aJob());
    api.jobs.set(jobId, aJob());
    const hook = render({ stored: [aStored()] });
    act(() => convex.setConnected(false));
    await pass(15_000);
    act(() => convex.setConnected(true));
    act(() => convex.setRows(aJob({ sequence: 6 })));
    await pass(29_999);
    expect(api.lines).toEqual([GET]);
    expect(hook.result.current.connection).toBe("live");
  });

  test("an API that does not answer either is said once an outage", async () => {
    convex.setRows(aJob());
    api.answer = () => Promise.reject(new TypeError("Failed to fetch"));
    const hook = render({ stored: [aStored()] });
    act(() => convex.setConnected(false));
    await pass(35_000);
    expect(api.lines).toHaveLength(3);
    expect(hook.result.current.connection).toBe("offline");
    expect(logged).toEqual([
      "[transcription] The live connection is lost; unfinished jobs are asked for at the API.",
      "[transcription] The API could not be asked for the job.",
    ]);
    expect(only(hook)).toMatchObject({ status: "processing" });
  });
});

describe("after a reload", () => {
  test("stored jobs are shown as they are in Convex", () => {
    convex.setRows(completed());
    expect(only(render({ stored: [aStored()] }))).toMatchObject({ status: "completed" });
  });

  test("a job that Convex does not have is asked for at once, and its text shown", async () => {
    api.jobs.set(jobId, completed());
    const hook = render({ stored: [aStored()] });
    expect(only(hook)).toMatchObject({ status: "loading" });
    await pass(2_000);
    expect(only(hook)).toMatchObject({ status: "completed" });
  });

  test("an upload that never arrived has failed, and says what to do", async () => {
    const hook = render({ stored: [aStored({ accepted: false })] });
    await pass(2_000);
    expect(only(hook)).toMatchObject({
      status: "failed",
      canRetry: false,
      error: { message: "The upload did not finish. Choose the file again." },
    });
    await pass(60_000);
    expect(api.lines).toEqual([GET]);
  });

  test("a registration that the API does not know has failed", async () => {
    convex.setRows(aJob({ sequence: 0, status: "queued" }));
    const hook = render({ stored: [aStored()] });
    await pass(60_000);
    expect(only(hook)).toMatchObject({ status: "failed", error: { code: "unknown_job" } });
  });

  test("a deleted job leaves the list", async () => {
    api.jobs.set(jobId, aJob({ status: "deleted", sequence: 10 }));
    const hook = render({ stored: [aStored()] });
    await pass(2_000);
    expect(hook.result.current.jobs).toEqual([]);
    expect(hook.storage.read()).toEqual([]);
  });
});

describe("start", () => {
  test("stores the id, uploads, and shows the job that the API made", async () => {
    const hook = render();
    act(() => void hook.result.current.start(aFile(), { language: "en" }));
    expect(only(hook)).toMatchObject({ status: "uploading", canCancel: true });
    expect(hook.storage.read()).toMatchObject([{ name: "talk.wav", accepted: false }]);
    await pass(0);
    expect(only(hook)).toMatchObject({ status: "queued", sequence: 1 });
    expect(hook.storage.read()).toMatchObject([{ accepted: true }]);
    expect(api.seen[0]?.form?.get("language")).toBe("en");
    expect(convex.registered).toEqual([]);
  });

  test("gives each job an id of its own of 128 random bits", () => {
    const { start } = render().result.current;
    const ids: string[] = [];
    act(() => {
      for (let n = 0; n < 5; n++) ids.push(start(aFile()));
    });
    expect(new Set(ids).size).toBe(5);
    for (const id of ids) expect(id).toMatch(/^[0-9a-f]{32}$/);
  });

  test("registers the job before its upload where the app asks for it", async () => {
    const hook = render({ register: true });
    act(() => void hook.result.current.start(aFile()));
    await pass(0);
    expect(convex.registered).toEqual([`transcriptionJobs:register ${only(hook)?.jobId}`]);
    expect(api.lines).toEqual(["POST /v1/jobs"]);
  });

  test("a refused registration is a failed job that can be tried again", async () => {
    convex.refusesToRegister = new Error("Sign in to register a job.");
    const hook = render({ register: true });
    act(() => void hook.result.current.start(aFile()));
    await pass(0);
    expect(only(hook)).toMatchObject({
      status: "failed",
      canRetry: true,
      error: { message: "Sign in to register a job." },
    });
    expect(api.lines).toEqual([]);
  });

  test("an upload that a later try may get through can be tried again, under the same id", async () => {
    api.answer = () => problem(503, "disk_full", "The service has no room. Try again later.");
    const hook = render();
    act(() => void hook.result.current.start(aFile()));
    await pass(0);
    expect(only(hook)).toMatchObject({
      status: "failed",
      canRetry: true,
      error: { code: "disk_full", message: "The service has no room. Try again later." },
    });
    const id = only(hook)?.jobId ?? "";
    api.answer = null;
    await act(() => hook.result.current.retry(id));
    expect(only(hook)).toMatchObject({ jobId: id, status: "queued", error: null });
    expect(logged).toEqual(["[transcription] The upload failed."]);
  });

  test("a file that is refused for what it is cannot be tried again", async () => {
    api.answer = () => problem(422, "not_audio", "notes.txt is not audio.");
    const hook = render();
    act(() => void hook.result.current.start(aFile("notes.txt")));
    await pass(0);
    expect(only(hook)).toMatchObject({
      status: "failed",
      canRetry: false,
      error: { message: "notes.txt is not audio." },
    });
  });

  test("an upload whose answer got lost is shown as the job that it became", async () => {
    api.answer = () => Promise.reject(new TypeError("Failed to fetch"));
    const hook = render();
    act(() => void hook.result.current.start(aFile()));
    await pass(0);
    const id = only(hook)?.jobId ?? "";
    expect(only(hook)).toMatchObject({ status: "failed" });
    act(() => convex.setRows(aJob({ jobId: id, sequence: 2 })));
    expect(only(hook)).toMatchObject({ status: "processing", error: null });
    expect(hook.storage.read()).toMatchObject([{ accepted: true }]);
  });

  test("works in memory where nothing can be stored, and says so once", async () => {
    const full = () => {
      throw new Error("QuotaExceededError");
    };
    const storage = { ...memoryJobStorage(), put: full };
    const hook = render({ storage });
    act(() => void hook.result.current.start(aFile()));
    await pass(0);
    expect(only(hook)).toMatchObject({ status: "queued" });
    expect(logged).toEqual([
      "[transcription] The list of jobs cannot be stored: it will not survive a reload.",
    ]);
  });
});

/** The id that the latest retry was asked with. */
const newIdAsked = () =>
  (api.seen.findLast(({ json }) => json !== null)?.json as { job_id: string }).job_id;

describe("cancel, retry and remove", () => {
  beforeEach(() => {
    convex.setRows(aJob());
    api.jobs.set(jobId, aJob());
  });

  test("cancel says so until the job has ended", async () => {
    const hook = render({ stored: [aStored()] });
    await act(() => hook.result.current.cancel(jobId));
    expect(api.lines).toEqual([`POST /v1/jobs/${jobId}/cancel`]);
    expect(only(hook)).toMatchObject({ status: "processing", action: "cancel" });
    act(() => convex.setRows(aJob({ status: "cancelled", sequence: 5 })));
    expect(only(hook)).toMatchObject({ status: "cancelled", action: null, canRetry: true });
  });

  test("cancel stops an upload, which can then be sent again", async () => {
    api.answer = (_, signal) =>
      new Promise((_resolve, reject) => {
        signal?.addEventListener("abort", () => reject(new DOMException("Stopped", "AbortError")));
      });
    const hook = render();
    act(() => void hook.result.current.start(aFile()));
    await pass(0);
    const id = only(hook)?.jobId ?? "";
    await act(() => hook.result.current.cancel(id));
    await pass(0);
    expect(only(hook)).toMatchObject({ status: "cancelled", canRetry: true });
    api.answer = null;
    await act(() => hook.result.current.retry(id));
    expect(only(hook)).toMatchObject({ jobId: id, status: "queued" });
    expect(logged).toEqual([]);
  });

  test("retry adds the new job that the API makes, and keeps the old one", async () => {
    convex.setRows(aJob({ status: "failed", error: { code: "decode", message: "Cut short." } }));
    const hook = render({ stored: [aStored()] });
    await act(() => hook.result.current.retry(jobId));
    const again = newIdAsked();
    expect(hook.result.current.jobs).toMatchObject([
      { jobId: again, name: "talk.wav", status: "processing" },
      { jobId, status: "failed", action: null },
    ]);
    expect(hook.storage.read().map((job) => job.jobId)).toEqual([again, jobId]);
  });

  test("a retry whose answer is lost is asked again with the same id, after a reload too; then with another", async () => {
    convex.setRows(aJob({ status: "failed", error: { code: "decode", message: "Cut short." } }));
    api.answer = () => Promise.reject(new TypeError("Failed to fetch"));
    const first = render({ stored: [aStored()] });
    await act(() => first.result.current.retry(jobId));
    const asked = newIdAsked();
    first.unmount();
    api.answer = null;
    const second = render({ stored: first.storage.read() });
    await act(() => second.result.current.retry(jobId));
    expect(newIdAsked()).toBe(asked);
    expect(second.result.current.jobs.map((job) => job.jobId)).toEqual([asked, jobId]);
    await act(() => second.result.current.retry(jobId));
    expect(newIdAsked()).not.toBe(asked);
    expect(logged).toEqual(["[transcription] The request failed: retry."]);
  });

  test("remove deletes the job at the API and forgets it", async () => {
    const hook = render({ stored: [aStored()] });
    await act(() => hook.result.current.remove(jobId));
    expect(api.lines).toEqual([`DELETE /v1/jobs/${jobId}`]);
    expect(hook.result.current.jobs).toEqual([]);
    expect(hook.storage.read()).toEqual([]);
  });

  test("remove forgets a job that the API no longer has", async () => {
    api.jobs.clear();
    const hook = render({ stored: [aStored()] });
    await act(() => hook.result.current.remove(jobId));
    expect(hook.result.current.jobs).toEqual([]);
    expect(logged).toEqual([]);
  });

  test("a request that fails is told in the job, which stays as it was", async () => {
    api.answer = () => problem(503, "stopping", "The service is stopping. Try again.");
    const hook = render({ stored: [aStored()] });
    await act(() => hook.result.current.remove(jobId));
    expect(only(hook)).toMatchObject({
      status: "processing",
      action: null,
      problem: "The service is stopping. Try again.",
    });
    expect(logged).toEqual(["[transcription] The request failed: remove."]);
  });

  test("an upload that arrives after its removal is removed at the API too", async () => {
    let arrive: (answer: Response) => void = () => {};
    api.answer = ({ method }) =>
      method === "POST"
        ? new Promise((resolve) => (arrive = resolve))
        : new Response(null, { status: 204 });
    const hook = render();
    act(() => void hook.result.current.start(aFile()));
    await pass(0);
    const id = only(hook)?.jobId ?? "";
    await act(() => hook.result.current.remove(id));
    expect(hook.result.current.jobs).toEqual([]);
    arrive(Response.json(aJob({ jobId: id, sequence: 1 }), { status: 202 }));
    await pass(0);
    expect(api.lines.slice(1)).toEqual([`DELETE /v1/jobs/${id}`, `DELETE /v1/jobs/${id}`]);
  });

  test("a job that fails while it is watched is logged once", async () => {
    const hook = render({ stored: [aStored()] });
    const error = { code: "decode", message: "The audio is cut short." };
    act(() => convex.setRows(aJob({ status: "failed", sequence: 4, error })));
    act(() => convex.setRows(aJob({ status: "failed", sequence: 4, error })));
    expect(only(hook)).toMatchObject({ status: "failed", error });
    expect(logged).toEqual(["[transcription] The job failed."]);
  });
});
