/** The environment variables of the functions: a deploy is refused, naming the variable, until the first is set. */
import { v } from "convex/values";

export const transcriptionEnvironment = {
  /** The key the gateway sends as `Authorization: Bearer …`. */
  TRANSCRIPTION_WEBHOOK_KEY: v.string(),
  /** The key before, taken as well while a new one is being rolled out. */
  TRANSCRIPTION_WEBHOOK_KEY_PREVIOUS: v.optional(v.string()),
  /** "true": only jobs that a signed-in page registered are taken. Default "false". */
  TRANSCRIPTION_REQUIRE_REGISTRATION: v.optional(v.union(v.literal("true"), v.literal("false"))),
};
