/** `POST /webhooks/transcription-jobs`: what the gateway sends. */
import type { HttpRouter } from "convex/server";
import { getDocumentSize } from "convex/values";
import { internal } from "../_generated/api";
import { env, httpAction, type ActionCtx } from "../_generated/server";
import { parseJobUpdate } from "./jobUpdate";
import { Problem } from "./problem";
import { rowOf } from "./row";
import { isBearerOf } from "./webhookKey";

const MAX_BODY_BYTES = 1_000_000;
/** Convex's own limit. */
const MAX_DOCUMENT_BYTES = 1024 * 1024;

export function addTranscriptionRoutes(http: HttpRouter): void {
  http.route({
    path: "/webhooks/transcription-jobs",
    method: "POST",
    handler: transcriptionJobs,
  });
}

/** Takes one update of one job. Convex never repeats an HTTP action: the sender does. */
const transcriptionJobs = httpAction(async (ctx, request) => {
  try {
    await authorize(request);
    const outcome = await apply(ctx, await readText(request));
    return Response.json({ outcome });
  } catch (failure) {
    if (failure instanceof Problem) return failure.response();
    // A write conflict after Convex's own attempts, or overload: what comes again may pass.
    console.error("an update was not applied", failure);
    return new Problem("unavailable", "The update was not applied; send it again.").response();
  }
});

async function authorize(request: Request): Promise<void> {
  const current = env.TRANSCRIPTION_WEBHOOK_KEY?.trim();
  const previous = env.TRANSCRIPTION_WEBHOOK_KEY_PREVIOUS?.trim();
  if (!current) {
    throw new Problem(
      "not_configured",
      "TRANSCRIPTION_WEBHOOK_KEY is not set here: `npx convex env set TRANSCRIPTION_WEBHOOK_KEY`.",
    );
  }
  const keys = previous ? [current, previous] : [current];
  if (!(await isBearerOf(request.headers.get("Authorization"), keys))) {
    throw new Problem("unauthorized", "The Authorization header has to be `Bearer` and the key.");
  }
}

async function readText(request: Request): Promise<string> {
  const tooLarge = new Problem("too_large", `The body may have ${MAX_BODY_BYTES} bytes.`);
  if (Number(request.headers.get("Content-Length") ?? 0) > MAX_BODY_BYTES) throw tooLarge;
  const bytes = await request.arrayBuffer();
  if (bytes.byteLength > MAX_BODY_BYTES) throw tooLarge;
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new Problem("invalid_job", "The body has to be UTF-8.");
  }
}

async function apply(ctx: ActionCtx, body: string): Promise<"applied" | "duplicate" | "stale"> {
  const update = parseJobUpdate(body);
  // Thousands of short segments take more room in a document than in JSON.
  if (getDocumentSize(rowOf(update, 0)) > MAX_DOCUMENT_BYTES) {
    throw new Problem(
      "too_large",
      `The job takes more than ${MAX_DOCUMENT_BYTES} bytes of storage.`,
    );
  }
  const outcome = await ctx.runMutation(internal.transcriptionJobs.applyUpdate, { update });
  switch (outcome) {
    case "owner_mismatch":
      throw new Problem("owner_mismatch", `Job ${update.jobId} belongs to another user.`);
    case "unknown_job":
      throw new Problem("unknown_job", `Job ${update.jobId} was not registered by a page.`);
    default:
      return outcome;
  }
}
