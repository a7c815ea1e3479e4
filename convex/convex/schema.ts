import { defineSchema } from "convex/server";
import { transcriptionTables } from "./transcription/tables";

export default defineSchema({ ...transcriptionTables });
