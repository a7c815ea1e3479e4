/** What players need beyond what the browser gives them. */

import type { Segment } from "../react";

/** The index of the segment that is spoken at this time; -1 before the first, in a gap and after the last. */
export function spokenSegment(segments: Segment[], seconds: number): number {
  // A player that was sent to a segment's start may stand a little before it.
  const now = seconds + 0.01;
  return segments.findLastIndex(({ start, end }) => start <= now && now < end);
}

export function pauseOthers(player: HTMLAudioElement): void {
  for (const other of document.querySelectorAll("audio")) {
    if (other !== player) other.pause();
  }
}

/** Recordings of a MediaRecorder do not say how long they are: the browser finds out, and can then seek, by going to the end. */
export function measureDuration(player: HTMLAudioElement): void {
  if (player.duration !== Infinity) return;
  const rewind = () => {
    player.currentTime = 0;
  };
  player.addEventListener("seeked", rewind, { once: true });
  player.currentTime = Number.MAX_SAFE_INTEGER;
}
