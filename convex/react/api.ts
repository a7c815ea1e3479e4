/** The transcription API's routes as functions; every failure is an ApiError that says what to tell the user. */

import { isRecord, parseJob, type Job, type JobError } from "./job";

/** What a user may ask of a new job; the API's form fields of the same names. */
export type StartOptions = {
  /** A claim, not an identity; the API's default is "anonymous". */
  userId?: string;
  language?: string;
  model?: string;
  prompt?: string;
  timestampGranularities?: ("word" | "segment")[];
};

export type TranscriptFormat = "json" | "text" | "srt" | "vtt";

/** The code of an ApiError for want of an answer. */
export const UNREACHABLE = "unreachable";

/** `status` is null when no answer came; `code` and the message come from the problem+json body where it has them. */
export class ApiError extends Error {
  override name = "ApiError";
  readonly status: number | null;
  readonly code: string;

  constructor(status: number | null, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** Whether the API does not have the job (any more). A 404 without a code is none of the API's: a proxy's, or a wrong address. */
export function isGone(error: unknown): boolean {
  if (!(error instanceof ApiError)) return false;
  return error.status === 410 || (error.status === 404 && error.code !== "http_404");
}

/** What to show and to log of anything that was thrown. */
export function reasonOf(error: unknown): JobError {
  if (error instanceof ApiError) {
    return { code: error.code, message: error.message };
  }
  const message = error instanceof Error ? error.message : String(error);
  return { code: "unexpected", message };
}

/** A job with its ETag, or null where the ETag given is still right. */
export type Fetched = { job: Job; etag: string | null } | null;

const ANSWER_WITHIN_MS = 15_000;

export class TranscriptionApi {
  readonly #baseUrl: string;
  readonly #fetch: typeof fetch;

  /** `fetch` is where an app that puts the API behind its own server adds its credentials. */
  constructor({ apiUrl, fetch }: { apiUrl: string; fetch: typeof globalThis.fetch }) {
    this.#baseUrl = apiUrl.replace(/\/+$/, "");
    this.#fetch = fetch;
  }

  /** Sends the audio. The same `jobId` with the same audio makes one job however often it is sent. No time limit: a large file over a slow line takes long. */
  async create(
    upload: {
      jobId: string;
      file: File;
      options: StartOptions;
    },
    signal: AbortSignal,
  ): Promise<Job> {
    const body = uploadForm(upload);
    return jobOf(await this.#send("/v1/jobs", { method: "POST", body, signal }));
  }

  async get(jobId: string, etag: string | null): Promise<Fetched> {
    return await this.#sendInTime(path(jobId), revalidation(etag), async (response) => {
      const current = response.headers.get("ETag");
      if (response.status === 304 || (etag !== null && current === etag)) return null;
      return { job: await jobOf(response), etag: current };
    });
  }

  async cancel(jobId: string): Promise<Job> {
    return await this.#sendInTime(path(jobId, "/cancel"), { method: "POST" }, jobOf);
  }

  /** The new job made from the same audio. The same `newJobId` makes one job however often it is asked. */
  async retry(jobId: string, newJobId: string): Promise<Job> {
    const headers = { "Content-Type": "application/json" };
    const body = JSON.stringify({ job_id: newJobId });
    return await this.#sendInTime(path(jobId, "/retry"), { method: "POST", headers, body }, jobOf);
  }

  async remove(jobId: string): Promise<void> {
    await this.#sendInTime(path(jobId), { method: "DELETE" }, async () => {});
  }

  /** Succeeds where there is nothing to remove, too. */
  async removeIfThere(jobId: string): Promise<void> {
    try {
      await this.remove(jobId);
    } catch (error) {
      if (!isGone(error)) throw error;
    }
  }

  async transcript(jobId: string, format: TranscriptFormat): Promise<Blob> {
    const route = path(jobId, `/transcript?format=${format}`);
    // Only its beginning has a limit: a long text over a slow line takes long.
    const response = await this.#sendInTime(route, {}, async (begun) => begun);
    return await response.blob();
  }

  /** The time counts until `read` is through: a peer may answer with a head and then nothing. */
  async #sendInTime<T>(
    route: string,
    init: RequestInit,
    read: (response: Response) => Promise<T>,
  ): Promise<T> {
    const limit = new AbortController();
    const timer = setTimeout(() => limit.abort(), ANSWER_WITHIN_MS);
    try {
      return await read(await this.#send(route, { ...init, signal: limit.signal }));
    } catch (error) {
      throw limit.signal.aborted ? this.#unanswered() : error;
    } finally {
      clearTimeout(timer);
    }
  }

  async #send(route: string, init: RequestInit): Promise<Response> {
    const send = this.#fetch;
    let response: Response;
    try {
      response = await send(this.#baseUrl + route, { cache: "no-store", ...init });
    } catch {
      throw this.#unanswered();
    }
    if (response.ok || response.status === 304) return response;
    throw await refusalOf(response);
  }

  #unanswered(): ApiError {
    return new ApiError(
      null,
      UNREACHABLE,
      `The transcription service at ${this.#baseUrl} did not answer. Check the connection and try again.`,
    );
  }
}

/**
 * Asks only for news. Where there is a browser's cache, it is what sends the ETag: a header of ours
 * would cost a CORS preflight with each request. Elsewhere (Node.js, React Native) there is no such cache.
 */
function revalidation(etag: string | null): RequestInit {
  if ("caches" in globalThis) return { cache: "no-cache" };
  return etag === null ? {} : { headers: { "If-None-Match": etag } };
}

const path = (jobId: string, rest = "") => `/v1/jobs/${encodeURIComponent(jobId)}${rest}`;

function uploadForm(upload: { jobId: string; file: File; options: StartOptions }): FormData {
  const { options } = upload;
  const form = new FormData();
  // The id goes first: the API can refuse it before it has read the audio.
  form.append("job_id", upload.jobId);
  if (options.userId !== undefined) form.append("user_id", options.userId);
  if (options.language !== undefined) form.append("language", options.language);
  if (options.model !== undefined) form.append("model", options.model);
  if (options.prompt !== undefined) form.append("prompt", options.prompt);
  for (const name of options.timestampGranularities ?? []) {
    form.append("timestamp_granularities[]", name);
  }
  form.append("file", upload.file, upload.file.name);
  return form;
}

async function jobOf(response: Response): Promise<Job> {
  const job = parseJob(await bodyOf(response));
  if (job !== null) return job;
  throw new ApiError(
    response.status,
    "unreadable_answer",
    `The transcription service answered ${response.status} with something that is not a job. Check the address it is reached at.`,
  );
}

async function refusalOf(response: Response): Promise<ApiError> {
  const problem = await bodyOf(response);
  const said = isRecord(problem) ? problem : {};
  const text = [said.detail, said.title].find((part) => typeof part === "string" && part !== "");
  return new ApiError(
    response.status,
    typeof said.code === "string" ? said.code : `http_${response.status}`,
    typeof text === "string" ? text : `The transcription service answered ${response.status}.`,
  );
}

/** The JSON of an answer; null where it has none, since proxies on the way answer in HTML. */
async function bodyOf(response: Response): Promise<unknown> {
  try {
    return await response.json();
  } catch {
    return null;
  }
}
