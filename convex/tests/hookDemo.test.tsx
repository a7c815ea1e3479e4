/** The parts of the demonstration page that need no browser. */

import { cleanup, render, screen } from "@testing-library/react";
import { afterEach, expect, test, vi } from "vitest";
import { Broken } from "../demo/Broken";
import { clock, extensionOf, languageName, recordingName, withExtension } from "../demo/format";

afterEach(() => {
  cleanup();
  vi.restoreAllMocks();
});

test.each([
  [0, "0:00"],
  [59.9, "0:59"],
  [60, "1:00"],
  [3599, "59:59"],
  [3600, "1:00:00"],
  [36_061, "10:01:01"],
  [-1, "0:00"],
])("%s seconds are read as %s", (seconds, text) => {
  expect(clock(seconds)).toBe(text);
});

test.each([
  ["talk.mp3", "talk.srt"],
  ["a.b.c.wav", "a.b.c.srt"],
  ["untitled", "untitled.srt"],
])("the subtitles of %s are in %s", (name, file) => {
  expect(withExtension(name, "srt")).toBe(file);
});

test("a spoken recording is named after its time and its format", () => {
  const name = recordingName(new Date(2026, 0, 2, 3, 4, 5), extensionOf("audio/mp4;codecs=opus"));
  expect(name).toBe("Recording 2026-01-02 03.04.05.mp4");
  expect(extensionOf("")).toBe("webm");
});

test("a language is named, and a code that nobody knows is shown as it is", () => {
  expect(languageName("de")).toBe("German");
  expect(languageName("not a code")).toBe("not a code");
});

test("a page that cannot be drawn says why", () => {
  vi.spyOn(console, "error").mockImplementation(() => {});
  const Failing = () => {
    throw new Error("Could not find public function for 'transcriptionJobs:list'.");
  };
  render(
    <Broken>
      <Failing />
    </Broken>,
  );
  expect(screen.getByRole("alert").textContent).toContain("transcriptionJobs:list");
});
