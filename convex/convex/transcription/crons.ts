/** What has to be done from time to time. */
import type { Crons } from "convex/server";
import { internal } from "../_generated/api";

export function addTranscriptionCrons(crons: Crons): void {
  crons.interval(
    "remove tombstones and registrations whose time is over",
    { minutes: 10 },
    internal.transcriptionJobs.removeExpired,
  );
}
