import { cronJobs } from "convex/server";
import { internal } from "./_generated/api";

const crons = cronJobs();
crons.interval("ask for transcripts", { minutes: 1 }, internal.recordings.poll);

export default crons;
