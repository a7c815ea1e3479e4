/** What the commands ask of whoever runs them, and how they end. */
import { parseArgs } from "node:util";
import { Patience, Stop } from "./patience.mjs";

/** What was asked for cannot be begun. */
export class UsageError extends Error {}

const PATIENCE_SECONDS = "300";

/**
 * The values of the options; all are strings or, with `type: "boolean"`, flags.
 *
 * @template {Record<string, { type: "string" | "boolean", default?: string | boolean }>} T
 * @param {T} options
 */
export function readOptions(options) {
  try {
    const all = { patience: { type: /** @type {const} */ ("string"), default: PATIENCE_SECONDS } };
    return parseArgs({ options: { ...all, ...options }, strict: true }).values;
  } catch (failure) {
    throw new UsageError(failure instanceof Error ? failure.message : String(failure));
  }
}

/** An address without a slash at its end. @param {string} name @param {unknown} value */
export function address(name, value) {
  const text = String(value);
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new UsageError(`--${name} has to be an address such as https://example.com.`);
  }
  if (url.username || url.password || url.search || url.hash) {
    throw new UsageError(`--${name} has to be an address without a user, a password, ? and #.`);
  }
  return `${url.origin}${url.pathname}`.replace(/\/+$/, "");
}

/** @param {string} name of an environment variable */
export function key(name) {
  const value = process.env[name]?.trim();
  if (!value) throw new UsageError(`${name} is not set: export it, it is not an argument.`);
  if (!/^[\x21-\x7e]+$/.test(value)) {
    throw new UsageError(`${name} is no key: it may only have ASCII characters, without spaces.`);
  }
  return value;
}

/** How long one request is tried. @param {unknown} seconds */
export function patienceOf(seconds) {
  const value = Number(seconds);
  if (!(value >= 0)) throw new UsageError("--patience has to be a number of seconds.");
  return new Patience(value * 1000);
}

/**
 * Runs the command to its exit code: what it returns, 1 where it had to stop, 2 where it cannot begin.
 *
 * @param {string} usage
 * @param {() => Promise<number>} command
 */
export async function run(usage, command) {
  try {
    process.exitCode = await command();
  } catch (failure) {
    if (!(failure instanceof Stop || failure instanceof UsageError)) throw failure;
    console.error(failure.message);
    if (failure instanceof UsageError) console.error(`\n${usage}`);
    process.exitCode = failure instanceof UsageError ? 2 : 1;
  }
}
