/** What the hook does not do: ask without need, draw without news, say a failure twice, forget the time it slept. */

import { act, cleanup } from "@testing-library/react";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { aJob, aStored, completed, FakeApi, FakeConvex, renderTranscription } from "./hookSupport";

const { jobId } = aJob();
const GET = `GET /v1/jobs/${jobId}`;
const MINUTE = 60_000;

let convex: FakeConvex;
let api: FakeApi;
let logged: string[];

beforeEach(() => {
  vi.useFakeTimers();
  convex = new FakeConvex();
  api = new FakeApi();
  logged = [];
  vi.spyOn(console, "error").mockImplementation((message) => logged.push(String(message)));
});

afterEach(() => {
  cleanup();
  vi.restoreAllMocks();
  vi.useRealTimers();
});

const pass = (milliseconds: number) =>
  act(async () => await vi.advanceTimersByTimeAsync(milliseconds));
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
