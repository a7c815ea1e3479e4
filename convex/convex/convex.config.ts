import { defineApp } from "convex/server";
import { transcriptionEnvironment } from "./transcription/environment";

const app = defineApp({ env: { ...transcriptionEnvironment } });

export default app;
