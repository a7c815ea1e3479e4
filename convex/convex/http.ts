import { httpRouter } from "convex/server";
import { addTranscriptionRoutes } from "./transcription/routes";

const http = httpRouter();
addTranscriptionRoutes(http);

export default http;
