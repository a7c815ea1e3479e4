import type { UserIdentity } from "convex/server";
import { ConvexError, getDocumentSize, v } from "convex/values";
import { internal } from "./_generated/api";
import { internalMutation, mutation, query, type QueryCtx } from "./_generated/server";
import {
  ANONYMOUS,
  findRow,
  isOfAnother,
  isOurs,
  isRegistrationRequired,
  isVisible,
  type AnyRow,
} from "./transcription/access";
import { JOB_ID } from "./transcription/jobUpdate";
import { registration, rowOf, toJob } from "./transcription/row";
import { job, jobUpdate, type TranscriptionJob } from "./transcription/tables";

const LIST_LIMIT = 100;
/** Half of what one query may read. */
const LIST_BYTES = 8 * 1024 * 1024;
/** What a row counts at the least, so that many small ones are not more than one query may read (32,000). */
const LEAST_ROW_BYTES = 1024;
const EXPIRED_BATCH = 200;

/** The job, or null: unknown, deleted, or (for a signed-in caller) somebody else's. */
export const get = query({
  args: { jobId: v.string() },
  returns: v.nullable(job),
  handler: async (ctx, { jobId }) => {
    const row = await findRow(ctx, jobId);
    return isVisible(row, await ctx.auth.getUserIdentity()) ? toJob(row) : null;
  },
});

/**
 * The visible ones of these jobs, in the order asked for, each once; without `jobIds` the
 * signed-in caller's latest jobs, newest first (nobody signed in: none). At most 100, and of
 * very long ones only the first that fit into 8 MiB: ask for the others without these.
 */
export const list = query({
  args: { jobIds: v.optional(v.array(v.string())) },
  returns: v.array(job),
  handler: async (ctx, { jobIds }) => {
    const identity = await ctx.auth.getUserIdentity();
    if (jobIds === undefined) {
      if (identity === null) return [];
      const own = ctx.db
        .query("transcriptionJobs")
        .withIndex("by_userId", (q) => q.eq("userId", identity.subject));
      return await firstVisible(own.order("desc"), identity);
    }
    const unique = [...new Set(jobIds)];
    if (unique.length > LIST_LIMIT) {
      throw new ConvexError({
        code: "too_many",
        message: `${unique.length} job ids were asked for; at most ${LIST_LIMIT} can be.`,
      });
    }
    return await firstVisible(rowsOf(ctx, unique), identity);
  },
});

/**
 * Notes a job that the page is about to send to the API, so that it is shown at once.
 * Repeating it changes nothing. Refused with `invalid_job_id`, with `owner_mismatch` where the row
 * is another user's or none of ours, and with
 * `unauthenticated` where only registered jobs are taken and nobody is signed in.
 */
export const register = mutation({
  args: { jobId: v.string() },
  returns: v.null(),
  handler: async (ctx, { jobId }) => {
    if (!JOB_ID.test(jobId)) {
      throw new ConvexError({
        code: "invalid_job_id",
        message: "A job id has 1 to 128 characters of A-Z a-z 0-9 _ -.",
      });
    }
    const identity = await ctx.auth.getUserIdentity();
    if (identity === null && isRegistrationRequired()) {
      throw new ConvexError({ code: "unauthenticated", message: "Sign in to register a job." });
    }
    const existing = await findRow(ctx, jobId);
    if (existing === null) {
      const userId = identity?.subject ?? ANONYMOUS;
      await ctx.db.insert("transcriptionJobs", registration(jobId, userId, Date.now()));
    } else if (!isOurs(existing) || isOfAnother(existing, identity)) {
      throw new ConvexError({ code: "owner_mismatch", message: "This job id is not yours." });
    }
    return null;
  },
});

/**
 * Makes the row what the update says, if its `sequence` is higher than the row's: nothing
 * else decides, so updates of one job may come in any order and any number of times. A row
 * that is not ours has none, and any update replaces it, but where only registered jobs are taken.
 */
export const applyUpdate = internalMutation({
  args: { update: jobUpdate },
  returns: v.union(
    v.literal("applied"),
    v.literal("duplicate"),
    v.literal("stale"),
    v.literal("owner_mismatch"),
    v.literal("unknown_job"),
  ),
  handler: async (ctx, { update }) => {
    const existing = await findRow(ctx, update.jobId);
    if (existing === null || !isOurs(existing)) {
      if (isRegistrationRequired()) return "unknown_job" as const;
    } else {
      // Nobody was signed in when the page registered it: the API's word decides whose it is.
      const unclaimed = existing.sequence === 0 && existing.userId === ANONYMOUS;
      if (existing.userId !== update.userId && !unclaimed) return "owner_mismatch" as const;
      if (update.sequence === existing.sequence) return "duplicate" as const;
      if (update.sequence < existing.sequence) return "stale" as const;
    }
    const row = rowOf(update, Date.now());
    if (existing === null) await ctx.db.insert("transcriptionJobs", row);
    else await ctx.db.replace("transcriptionJobs", existing._id, row);
    return "applied" as const;
  },
});

/** Removes rows whose time is over, a batch a transaction, until none is left. */
export const removeExpired = internalMutation({
  args: {},
  returns: v.null(),
  handler: async (ctx) => {
    const rows = await ctx.db
      .query("transcriptionJobs")
      .withIndex("by_expiresAt", (q) => q.gt("expiresAt", 0).lte("expiresAt", Date.now()))
      .take(EXPIRED_BATCH);
    for (const row of rows) await ctx.db.delete("transcriptionJobs", row._id);
    if (rows.length === EXPIRED_BATCH) {
      await ctx.scheduler.runAfter(0, internal.transcriptionJobs.removeExpired, {});
    }
    return null;
  },
});

/** One after another: none is read that is not asked for. */
async function* rowsOf(ctx: QueryCtx, jobIds: string[]): AsyncGenerator<AnyRow> {
  for (const jobId of jobIds) {
    const row = await findRow(ctx, jobId);
    if (row !== null) yield row;
  }
}

/** What is not visible is read as well, and counts. */
async function firstVisible(
  rows: AsyncIterable<AnyRow>,
  identity: UserIdentity | null,
): Promise<TranscriptionJob[]> {
  const jobs: TranscriptionJob[] = [];
  let room = LIST_BYTES;
  for await (const row of rows) {
    room -= Math.max(getDocumentSize(row), LEAST_ROW_BYTES);
    if (room < 0) break;
    if (isVisible(row, identity)) jobs.push(toJob(row));
    if (jobs.length === LIST_LIMIT) break;
  }
  return jobs;
}
