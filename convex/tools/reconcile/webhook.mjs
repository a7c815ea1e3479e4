/** The webhook route of a deployment, as the gateway uses it. */
import { brief, parsed, Stop } from "./patience.mjs";

const OUTCOMES = /** @type {const} */ (["applied", "duplicate", "stale"]);
/** What is wrong with this one job. Any other refusal would meet every job. */
const REFUSALS = ["invalid_job", "too_large", "owner_mismatch", "unknown_job"];

/** @typedef {(typeof OUTCOMES)[number]} Outcome */

export class Webhook {
  /** @param {{ url: string, key: string, patience: import("./patience.mjs").Patience }} options */
  constructor({ url, key, patience }) {
    this.url = url;
    this.key = key;
    this.patience = patience;
  }

  /**
   * What became of the job. Throws `Stop` where no job would be taken.
   *
   * @param {import("./transcriber.mjs").Job} job
   * @returns {Promise<{ outcome: Outcome } | { outcome: "refused", reason: string }>}
   */
  async post(job) {
    const { status, text } = await this.patience.request(
      `${this.url}/webhooks/transcription-jobs`,
      {
        method: "POST",
        headers: { Authorization: `Bearer ${this.key}`, "Content-Type": "application/json" },
        body: JSON.stringify(job),
      },
    );
    const answer = parsed(text);
    const outcome = OUTCOMES.find((known) => known === answer?.outcome);
    if (status === 200 && outcome) return { outcome };
    // Nobody registered it, and it is gone: there is nothing for a tombstone to keep out.
    if (job.status === "deleted" && answer?.code === "unknown_job") return { outcome: "duplicate" };
    if (REFUSALS.includes(String(answer?.code))) return { outcome: "refused", reason: brief(text) };
    throw this.#stop(status, text);
  }

  /** @param {number} status @param {string} text */
  #stop(status, text) {
    const advice =
      status === 401
        ? "TRANSCRIPTION_WEBHOOK_KEY has to be what `npx convex env get TRANSCRIPTION_WEBHOOK_KEY` says."
        : "Is --site the address of the HTTP actions (https://NAME.convex.site, self-hosted: port 3211)?";
    return new Stop(`${this.url} answers ${status}: ${brief(text)}\n${advice}`);
  }
}
