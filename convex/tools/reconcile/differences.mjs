/** Where what Convex shows of a job is not what the API says. */
import { isDeepStrictEqual } from "node:util";

/** `updatedAt` is Convex's own. */
const FIELDS = ["userId", "status", "progress", "sequence", "result", "error", "timestamps"];

/**
 * A sentence, or null where both are the same. A deleted job is not to be shown.
 *
 * @param {Record<string, unknown>} job in the API
 * @param {Record<string, unknown> | null} shown in Convex
 */
export function differenceOf(job, shown) {
  if (job.status === "deleted") return shown === null ? null : "is deleted, and Convex shows it";
  if (shown === null) return "is not in Convex";
  const fields = FIELDS.filter((field) => !isSame(job[field], shown[field]));
  if (fields.length === 0) return null;
  return `differs in ${fields.map((field) => both(field, job[field], shown[field])).join(", ")}`;
}

/** As JSON, which has one zero. @param {unknown} inApi @param {unknown} inConvex */
function isSame(inApi, inConvex) {
  return isDeepStrictEqual(asJson(inApi), asJson(inConvex));
}

/** @param {unknown} value @returns {unknown} */
function asJson(value) {
  return JSON.parse(JSON.stringify(value ?? null));
}

/** What somebody said is not repeated. @param {string} field @param {unknown} inApi @param {unknown} inConvex */
function both(field, inApi, inConvex) {
  return field === "result"
    ? field
    : `${field} (API ${JSON.stringify(inApi)}, Convex ${JSON.stringify(inConvex)})`;
}
