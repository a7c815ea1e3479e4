/** Whatever comes from whichever side in whatever order, the shown state never goes back. */

import { act, cleanup } from "@testing-library/react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { aJob, aStored, completed, FakeApi, FakeConvex, renderTranscription } from "./hookSupport";

const LAST = completed({ sequence: 30 });
const SEEDS = Array.from({ length: 40 }, (_, seed) => seed);

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(console, "error").mockImplementation(() => {});
});

afterEach(() => {
  cleanup();
  vi.restoreAllMocks();
  vi.useRealTimers();
});

/** The numbers of mulberry32, from 0 up to `below`. */
function randomOf(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** Each state says its sequence in its progress too: a state that was mixed of two is noticed. */
const stateOf = (sequence: number) =>
  sequence === LAST.sequence ? LAST : aJob({ sequence, progress: sequence });

test.each(SEEDS)("of 60 random events (seed %i) none takes the state back", async (seed) => {
  const random = randomOf(seed);
  const convex = new FakeConvex();
  const api = new FakeApi();
  // What the API says when it is asked comes some seconds later, when it may be old.
  api.answer = async () => {
    const job = stateOf(1 + random(LAST.sequence));
    await new Promise((resolve) => setTimeout(resolve, random(12_000)));
    return Response.json(job);
  };
  const hook = renderTranscription(convex, api, { stored: [aStored()] });
  const events = [
    () => convex.setRows(stateOf(1 + random(LAST.sequence))),
    () => convex.setConnected(random(2) === 0),
    () => vi.advanceTimersByTimeAsync(random(40_000)),
  ];
  let highest = 0;
  for (let event = 0; event < 60; event++) {
    await act(async () => await events[random(events.length)]?.());
    const [shown] = hook.result.current.jobs;
    expect(shown?.sequence).toBeGreaterThanOrEqual(highest);
    highest = shown?.sequence ?? 0;
    expect(shown).toMatchObject(highest === 0 ? {} : { progress: stateOf(highest).progress });
  }
  act(() => convex.setRows(LAST));
  expect(hook.result.current.jobs).toMatchObject([{ sequence: 30, status: "completed" }]);
});
