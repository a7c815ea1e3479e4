/** Jobs as a deployment's queries show them to somebody who is not signed in and knows their ids. */
import { brief, FUNCTION_FAILED, parsed, Stop } from "./patience.mjs";

/** @typedef {Record<string, unknown> & { jobId: string }} Shown */

const LIST = "transcriptionJobs:list";

export class Deployment {
  /** @param {{ url: string, patience: import("./patience.mjs").Patience }} options */
  constructor({ url, patience }) {
    this.url = url;
    this.patience = patience;
  }

  /**
   * Those that are shown, by id; at most 100 can be asked for. An answer has room for so many:
   * those that did not come are asked for again, until none of them comes.
   *
   * @param {string[]} jobIds
   * @returns {Promise<Map<string, Shown>>}
   */
  async jobs(jobIds) {
    /** @type {Map<string, Shown>} */
    const shown = new Map();
    for (let left = jobIds, asked = Infinity; left.length > 0 && left.length < asked;) {
      asked = left.length;
      for (const job of await this.#list(left)) shown.set(job.jobId, job);
      left = left.filter((jobId) => !shown.has(jobId));
    }
    return shown;
  }

  /** @param {string[]} jobIds @returns {Promise<Shown[]>} */
  async #list(jobIds) {
    const call = { path: LIST, args: { jobIds }, format: "json" };
    const { status, text } = await this.patience.request(`${this.url}/api/query`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(call),
    });
    const { value } = parsed(text) ?? {};
    if (!Array.isArray(value)) throw this.#stop(status, text);
    return value;
  }

  /** @param {number} status @param {string} text */
  #stop(status, text) {
    if (status === FUNCTION_FAILED) {
      return new Stop(
        `${LIST} at ${this.url} failed: ${brief(text)}\n\`npx convex logs\` may say more.`,
      );
    }
    const advice =
      "Is --convex the address for clients (https://NAME.convex.cloud, self-hosted: port 3210)?";
    return new Stop(`${this.url} answers ${status}: ${brief(text)}\n${advice}`);
  }
}
