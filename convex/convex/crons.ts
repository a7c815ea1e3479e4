import { cronJobs } from "convex/server";
import { internal } from "./_generated/api";

const crons = cronJobs();

crons.interval(
  "remove tombstones and registrations whose time is over",
  { minutes: 10 },
  internal.transcriptionJobs.removeExpired,
);

export default crons;
