/** Every job of the transcription API, a page at a time. */
import { brief, parsed, request, Stop } from "./patience.mjs";

const PAGE_JOBS = 100;

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
  /** @param {{ url: string, key: string, patienceMs: number }} options */
  constructor({ url, key, patienceMs }) {
    this.url = url;
    this.headers = { Authorization: `Bearer ${key}` };
    this.patienceMs = patienceMs;
  }

  /** All pages from this cursor on. @param {string} from @returns {AsyncGenerator<Page>} */
  async *pages(from) {
    /** @type {string | null} */
    let cursor = from;
    while (cursor !== null) {
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
    const nextList = list === LISTS[0] ? `${LISTS[1]}:` : null;
    return { jobs: items, cursor, next: next === null ? nextList : `${list}:${next}` };
  }

  /** @param {string} path */
  async #get(path) {
    return await request(this.url + path, { headers: this.headers }, this.patienceMs);
  }

  /** @param {number} status @param {string} text */
  #stop(status, text) {
    const advice =
      status === 401
        ? "TRANSCRIBER_API_KEY has to be the API's own."
        : "Is --api the address of the transcription API?";
    return new Stop(`${this.url} answers ${status}: ${brief(text)}\n${advice}`);
  }
}

/** @param {unknown} value @returns {value is Job} */
function isJob(value) {
  const { jobId, status } = /** @type {Partial<Job>} */ (value ?? {});
  return typeof jobId === "string" && typeof status === "string";
}
