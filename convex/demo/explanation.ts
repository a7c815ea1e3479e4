/** Why a recording failed, in words that say what to do. */

import type { JobError } from "../react";
import { sentence } from "./format";

/** For codes whose own message speaks to programs or does not say what to do; the others are shown as they are. */
const WORDS: Record<string, string> = {
  empty: "The file is empty. Choose another one.",
  not_audio: "The file is not audio or video in a format that is known. Choose another one.",
  no_audio: "There is no sound in the file. Choose another one.",
  audio_truncated: "The recording ends early: it was cut off or not copied whole. Choose it again.",
  not_decodable: "The recording cannot be decoded. Save it in another format and choose that.",
  job_id_reused: "The upload got mixed up with another one. Choose the file again.",
  unauthorized: "You are not signed in to the transcription service. Sign in, then try again.",
  engine_not_ready: "The speech engine is not ready. Try again in a minute.",
  engine_timeout: "Transcribing took too long. Try again later.",
  engine_unreachable: "The speech engine could not be reached. Try again later.",
  engine_unavailable: "The speech engine is overloaded. Try again later.",
  engine_unreadable: "The speech engine gave no usable answer. Try again later.",
  gave_up: "The service was interrupted too often while it transcribed. Try again.",
  stopped: "The service was stopped while it transcribed. Try again.",
};

export function explanationOf(error: JobError | null): string {
  if (error === null) return "It failed, and nothing says why. Try again.";
  return WORDS[error.code] ?? sentence(error.message);
}
