/** What the hook does not do: ask without need, draw without news, say a failure twice, forget the time it slept. */

import { act } from "@testing-library/react";
import { beforeEach, describe, expect, test, vi } from "vitest";
import {
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
const LOST =
  "[transcription] The live connection is lost; unfinished jobs are asked for at the API.";
const UNASKED = "[transcription] The API could not be asked for the job.";
const MINUTE = 60_000;

const logged = withFakeTime();
let convex: FakeConvex;
let api: FakeApi;

beforeEach(() => {
  convex = new FakeConvex();
  api = new FakeApi();
});

/** The clock goes on and no timer does. */
const sleep = (milliseconds: number) => vi.setSystemTime(Date.now() + milliseconds);
const render = (...jobIds: string[]) =>
  renderTranscription(convex, api, { stored: jobIds.map((id) => aStored({ jobId: id })) });

describe("after the machine has slept", () => {
  beforeEach(() => {
    convex.setRows(aJob());
    api.jobs.set(jobId, completed());
  });

  test.each([
    ["whose live connection died without a word", true],
    ["whose live connection was down before", false],
  ])("an unfinished job %s is asked for at once", async (_, isConnected) => {
    const hook = render(jobId);
    act(() => convex.setConnected(isConnected));
    await pass(3_000);
    sleep(10 * MINUTE);
    await pass(1_000);
    expect(api.lines).toEqual([GET]);
    expect(hook.result.current.jobs).toMatchObject([{ status: "completed" }]);
  });
});

describe("a final state", () => {
  test("ends every request and every timer, whatever the connection does afterwards", async () => {
    convex.setRows(aJob());
    api.jobs.set(jobId, completed());
    render(jobId);
    act(() => convex.setConnected(false));
    await pass(10_000);
    expect(api.lines).toEqual([GET]);
    expect(vi.getTimerCount()).toBe(0);
    for (let hour = 0; hour < 10; hour++) {
      await pass(30 * MINUTE);
      act(() => convex.setConnected(true));
      await pass(30 * MINUTE);
      act(() => convex.setConnected(false));
    }
    expect(api.lines).toEqual([GET]);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("an answer that nothing is new", () => {
  test("draws nothing again", async () => {
    convex.setRows(aJob());
    api.jobs.set(jobId, aJob());
    const hook = render(jobId);
    act(() => convex.setConnected(false));
    await pass(10_000);
    const shown = hook.result.current;
    await pass(MINUTE);
    expect(api.seen.slice(1).map(({ etag }) => etag)).toEqual(Array(6).fill('"3"'));
    expect(hook.result.current).toBe(shown);
  });
});

describe("a failure is logged once", () => {
  test("where an outage lasts for many intervals, and again for the next outage", async () => {
    convex.setRows(aJob(), aJob({ jobId: "another" }));
    api.answer = () => Promise.reject(new TypeError("Failed to fetch"));
    render(jobId, "another");
    for (const outage of [1, 2]) {
      act(() => convex.setConnected(false));
      await pass(60 * MINUTE);
      act(() => convex.setConnected(true));
      await pass(1_000);
      expect(logged).toEqual(Array(outage).fill([LOST, UNASKED]).flat());
    }
  });

  test("where the API refuses one job again and again and answers for another", async () => {
    convex.setRows(aJob(), aJob({ jobId: "another" }));
    api.jobs.set("another", aJob({ jobId: "another" }));
    api.answer = ({ path }) =>
      path.endsWith(jobId)
        ? problem(500, "broken", "It broke.")
        : Response.json(aJob({ jobId: "another" }));
    render(jobId, "another");
    act(() => convex.setConnected(false));
    await pass(10 * MINUTE);
    expect(logged).toEqual([LOST, UNASKED]);
  });

  test("and again where the job was answered for in between", async () => {
    convex.setRows(aJob());
    const refuse = () => problem(500, "broken", "It broke.");
    api.answer = refuse;
    render(jobId);
    act(() => convex.setConnected(false));
    await pass(MINUTE);
    api.answer = () => Response.json(aJob());
    await pass(10_000);
    api.answer = refuse;
    await pass(MINUTE);
    expect(logged).toEqual([LOST, UNASKED, UNASKED]);
  });
});
