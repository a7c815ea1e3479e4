/** Tries again what may pass by itself, with growing waits, until patience ends. */
import { setTimeout as wait } from "node:timers/promises";

const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 10_000;
const ANSWER_MS = 30_000;

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

/**
 * The answer to a request that is neither 408, 425, 429 nor 5xx. Throws `Stop` where there is none in time.
 *
 * @param {string} url
 * @param {RequestInit} init
 * @param {number} patienceMs
 */
export async function request(url, init, patienceMs) {
  return await persistently(() => attempt(url, init), patienceMs);
}

/**
 * The first result of `attempt`. Throws `Stop` where it threw `Transient` for too long.
 *
 * @template T
 * @param {() => Promise<T>} attempt
 * @param {number} patienceMs
 * @returns {Promise<T>}
 */
async function persistently(attempt, patienceMs) {
  const deadline = Date.now() + patienceMs;
  for (let waitMs = FIRST_WAIT_MS; ; waitMs = Math.min(2 * waitMs, LONGEST_WAIT_MS)) {
    try {
      return await attempt();
    } catch (failure) {
      if (!(failure instanceof Transient)) throw failure;
      const pauseMs = failure.waitMs ?? waitMs * (0.8 + 0.4 * Math.random());
      if (Date.now() + pauseMs > deadline) throw new Stop(failure.message);
      await wait(pauseMs);
    }
  }
}

/** @param {string} url @param {RequestInit} init */
async function attempt(url, init) {
  const signal = AbortSignal.timeout(ANSWER_MS);
  const { origin } = new URL(url);
  try {
    const response = await fetch(url, { ...init, signal, redirect: "manual" });
    const { status } = response;
    const text = await response.text();
    if (status < 500 && ![408, 425, 429].includes(status)) return { status, text };
    throw new Transient(`${origin} answers ${status}: ${brief(text)}`, retryAfterMs(response));
  } catch (failure) {
    if (failure instanceof Transient) throw failure;
    throw new Transient(`${origin} does not answer: ${reasonOf(failure)}`);
  }
}

/** Both forms of the header; null without one. @param {Response} response */
function retryAfterMs(response) {
  const value = response.headers.get("Retry-After");
  if (value === null) return null;
  const waitMs = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return Number.isNaN(waitMs) ? null : Math.max(waitMs, 0);
}

/** `fetch` keeps the reason in the cause. @param {unknown} failure */
function reasonOf(failure) {
  if (!(failure instanceof Error)) return String(failure);
  return failure.cause instanceof Error ? failure.cause.message : failure.message;
}

/** What a person wants to see of an answer: a problem's own words, or the beginning. @param {string} text */
export function brief(text) {
  const { code, detail } = parsed(text) ?? {};
  return typeof code === "string" && typeof detail === "string"
    ? `${code}: ${detail}`
    : text.replaceAll(/\s+/g, " ").slice(0, 120) || "nothing";
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
