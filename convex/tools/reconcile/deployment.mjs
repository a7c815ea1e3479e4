/** Jobs as a deployment's queries show them to somebody who is not signed in and knows their ids. */
import { brief, parsed, request, Stop } from "./patience.mjs";

/** @typedef {Record<string, unknown>} Shown */

export class Deployment {
  /** @param {{ url: string, patienceMs: number }} options */
  constructor({ url, patienceMs }) {
    this.url = url;
    this.patienceMs = patienceMs;
  }

  /** Those that are shown, by id; at most 100 can be asked for. @param {string[]} jobIds @returns {Promise<Map<string, Shown>>} */
  async jobs(jobIds) {
    const call = { path: "transcriptionJobs:list", args: { jobIds }, format: "json" };
    const { status, text } = await request(
      `${this.url}/api/query`,
      {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(call),
      },
      this.patienceMs,
    );
    const { value } = parsed(text) ?? {};
    if (!Array.isArray(value)) throw this.#stop(status, text);
    return new Map(value.map((job) => [job.jobId, job]));
  }

  /** @param {number} status @param {string} text */
  #stop(status, text) {
    const advice =
      "Is --convex the address for clients (https://NAME.convex.cloud, self-hosted: port 3210)?";
    return new Stop(`${this.url} answers ${status}: ${brief(text)}\n${advice}`);
  }
}
