/** Tries again what may pass by itself, with growing waits, until patience ends. */
import { setTimeout as wait } from "node:timers/promises";

const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 10_000;
const ANSWER_MS = 30_000;
/** Also where patience is over sooner: without any time nobody could answer. */
const LEAST_ANSWER_MS = 1000;

/** What Convex answers where a function threw: it would again. */
export const FUNCTION_FAILED = 560;

/** What no further attempt changes, or what none has changed in time: the message says what to do. */
export class Stop extends Error {}

/** One attempt that may pass later. */
class Transient extends Error {
  /** @param {string} message @param {number | null} waitMs what the other side asked for */
  constructor(message, waitMs = null) {
    super(message);
    this.waitMs = waitMs;
  }
}

export class Patience {
  #ms;
  /** Whose not answering was said. */
  #named = new Set();

  /** @param {number} ms how long one request is tried */
  constructor(ms) {
    this.#ms = ms;
  }

  /**
   * The answer to a request that is neither 408, 425, 429 nor 5xx but 560. Throws `Stop` where
   * there is none in time.
   *
   * @param {string} url
   * @param {RequestInit} init
   */
  async request(url, init) {
    const deadline = Date.now() + this.#ms;
    for (let waitMs = FIRST_WAIT_MS; ; waitMs = Math.min(2 * waitMs, LONGEST_WAIT_MS)) {
      try {
        return await attempt(url, init, deadline);
      } catch (failure) {
        if (!(failure instanceof Transient)) throw failure;
        const pauseMs = Math.max(failure.waitMs ?? 0, waitMs * (0.8 + 0.4 * Math.random()));
        if (Date.now() + pauseMs > deadline) throw new Stop(failure.message);
        this.#sayOnce(new URL(url).origin, failure.message);
        await wait(pauseMs);
      }
    }
  }

  /** Whoever looks on is told why nothing happens. @param {string} origin @param {string} message */
  #sayOnce(origin, message) {
    if (this.#named.has(origin)) return;
    this.#named.add(origin);
    console.error(`${message}; trying for up to ${this.#ms / 1000} s`);
  }
}

/** @param {string} url @param {RequestInit} init @param {number} deadline */
async function attempt(url, init, deadline) {
  const answerMs = Math.max(Math.min(ANSWER_MS, deadline - Date.now()), LEAST_ANSWER_MS);
  const signal = AbortSignal.timeout(answerMs);
  const { origin } = new URL(url);
  try {
    const response = await fetch(url, { ...init, signal, redirect: "manual" });
    const { status } = response;
    const text = await response.text();
    const mayPass = status >= 500 && status !== FUNCTION_FAILED;
    if (!mayPass && ![408, 425, 429].includes(status)) return { status, text };
    throw new Transient(`${origin} answers ${status}: ${brief(text)}`, retryAfterMs(response));
  } catch (failure) {
    if (signal.aborted) {
      throw new Transient(`${origin} does not answer: nothing in ${Math.round(answerMs / 1000)} s`);
    }
    throw failure instanceof TypeError ? unsent(origin, failure) : failure;
  }
}

/**
 * `fetch` keeps the reason in the cause, with a code where the network or the other side is it.
 * What has no cause is a fault of ours.
 *
 * @param {string} origin
 * @param {TypeError} failure
 */
function unsent(origin, failure) {
  if (!(failure.cause instanceof Error)) return failure;
  const { message, code } = /** @type {NodeJS.ErrnoException} */ (failure.cause);
  return code
    ? new Transient(`${origin} does not answer: ${message || code}`)
    : new Stop(`${origin} cannot be asked: ${message}`);
}

/** Both forms of the header; null without one. @param {Response} response */
function retryAfterMs(response) {
  const value = response.headers.get("Retry-After");
  if (value === null) return null;
  const waitMs = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return Number.isNaN(waitMs) ? null : Math.max(waitMs, 0);
}

/** What a person wants to see of an answer: its own words, or the beginning. @param {string} text */
export function brief(text) {
  const { code, detail, errorMessage } = parsed(text) ?? {};
  if (typeof code === "string" && typeof detail === "string") return `${code}: ${detail}`;
  const words = typeof errorMessage === "string" ? errorMessage : text.slice(0, 120);
  return words.replaceAll(/\s+/g, " ") || "nothing";
}

/** The object that the text is in JSON, or null. @param {string} text @returns {Record<string, unknown> | null} */
export function parsed(text) {
  try {
    const value = JSON.parse(text);
    return typeof value === "object" && !Array.isArray(value) ? value : null;
  } catch {
    return null;
  }
}
