/** Every job of the transcription API, a page at a time. */
import { brief, parsed, Stop } from "./patience.mjs";

/** The jobs are whole, up to 1 MB each: a page has to arrive within the time of one attempt. */
const PAGE_JOBS = 20;

/**
 * The API lists deleted jobs only when asked for them. They come second: a job that is deleted
 * while the others are read is found among them.
 */
const LISTS = /** @type {const} */ (["jobs", "deleted"]);

/**
 * @typedef {Record<string, unknown> & { jobId: string, status: string }} Job
 * @typedef {{ jobs: Job[], cursor: string, next: string | null }} Page `cursor` gives this page again
 */

/** `jobs` or `deleted`, and the API's own cursor in that list. */
export const CURSOR = /^(jobs|deleted):(\d{0,18})$/;
export const FIRST_CURSOR = "jobs:";

export class Transcriber {
  /** @param {{ url: string, key: string, patience: import("./patience.mjs").Patience }} options */
  constructor({ url, key, patience }) {
    this.url = url;
    this.headers = { Authorization: `Bearer ${key}` };
    this.patience = patience;
  }

  /** All pages from this cursor on. @param {string} from @returns {AsyncGenerator<Page>} */
  async *pages(from) {
    /** @type {string | null} */
    let cursor = from;
    const seen = new Set();
    while (cursor !== null) {
      if (seen.has(cursor)) throw this.#strange(cursor, "a second time");
      seen.add(cursor);
      const page = await this.#page(cursor);
      yield page;
      cursor = page.next;
    }
  }

  /** The job as it is now; null where the API does not know it. @param {string} jobId @returns {Promise<Job | null>} */
  async job(jobId) {
    const { status, text } = await this.#get(`/v1/jobs/${encodeURIComponent(jobId)}`);
    if (status === 404) return null;
    const job = parsed(text);
    if (!isJob(job)) throw this.#stop(status, text);
    return job;
  }

  /** @param {string} cursor @returns {Promise<Page>} */
  async #page(cursor) {
    const [, list = "jobs", position = ""] = CURSOR.exec(cursor) ?? [];
    const query = new URLSearchParams({ limit: String(PAGE_JOBS) });
    if (position) query.set("cursor", position);
    if (list === "deleted") query.set("status", "deleted");
    const { status, text } = await this.#get(`/v1/jobs?${query}`);
    const { items, next_cursor: next } = parsed(text) ?? {};
    if (!Array.isArray(items) || !items.every(isJob) || next === undefined) {
      throw this.#stop(status, text);
    }
    return { jobs: items, cursor, next: this.#following(list, next) };
  }

  /** @param {string} list @param {unknown} next the API's @returns {string | null} */
  #following(list, next) {
    if (next === null) return list === LISTS[0] ? `${LISTS[1]}:` : null;
    if (next === "" || !CURSOR.test(`${list}:${next}`)) {
      throw this.#strange(brief(String(next)), "which is none");
    }
    return `${list}:${next}`;
  }

  /** @param {string} path */
  async #get(path) {
    return await this.patience.request(this.url + path, { headers: this.headers });
  }

  /** @param {string} cursor @param {string} fault */
  #strange(cursor, fault) {
    const advice = "Is --api a transcription API of the version that these commands came with?";
    return new Stop(`${this.url} gives the cursor ${cursor}, ${fault}\n${advice}`);
  }

  /** @param {number} status @param {string} text */
  #stop(status, text) {
    const isKey = status === 401 || parsed(text)?.code === "list_closed";
    const advice = isKey
      ? "TRANSCRIBER_API_KEY has to be what the API was started with."
      : "Is --api the address of the transcription API?";
    return new Stop(`${this.url} answers ${status}: ${brief(text)}\n${advice}`);
  }
}

/** @param {unknown} value @returns {value is Job} */
function isJob(value) {
  const { jobId, status } = /** @type {Partial<Job>} */ (value ?? {});
  return typeof jobId === "string" && typeof status === "string";
}
