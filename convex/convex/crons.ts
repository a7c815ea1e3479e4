import { cronJobs } from "convex/server";
import { addTranscriptionCrons } from "./transcription/crons";

const crons = cronJobs();
addTranscriptionCrons(crons);

export default crons;
