/** What the page says of a failure. */

import { expect, test } from "vitest";
import { explanationOf } from "../demo/explanation";
import { sentence } from "../demo/format";
import { spokenSegment } from "../demo/playing";

test("a failure that the page knows is told with what to do", () => {
  const error = { code: "audio_truncated", message: "the file ends early, after 3.0 s of sound" };
  expect(explanationOf(error)).toMatch(/Choose it again\.$/);
});

test("another failure is told in the service's words, as a sentence", () => {
  const error = { code: "too_large", message: "the recording is larger than 536870912 bytes" };
  expect(explanationOf(error)).toBe("The recording is larger than 536870912 bytes.");
  expect(sentence("Try again.")).toBe("Try again.");
});

test("a failure without a reason is told too", () => {
  expect(explanationOf(null)).toContain("Try again.");
});

const segments = [
  { start: 0, end: 2, text: "One" },
  { start: 3, end: 4, text: "two" },
];

test.each([
  [0, 0],
  [1.9, 0],
  [2.5, -1],
  [2.995, 1],
  [3.5, 1],
  [4, -1],
])("at %s s the spoken segment is number %s", (seconds, index) => {
  expect(spokenSegment(segments, seconds)).toBe(index);
});
