/** Which rows a caller may see, and whose a job may be. */
import type { UserIdentity } from "convex/server";
import type { Doc } from "../_generated/dataModel";
import { env, type QueryCtx } from "../_generated/server";

/** The transcription API's `userId` for jobs that nobody claimed. */
export const ANONYMOUS = "anonymous";

type Row = Doc<"transcriptionJobs">;
export type JobRow = Exclude<Row, { status: "deleted" }>;

export async function findRow(ctx: Pick<QueryCtx, "db">, jobId: string): Promise<Row | null> {
  return await ctx.db
    .query("transcriptionJobs")
    .withIndex("by_jobId", (q) => q.eq("jobId", jobId))
    .unique();
}

/**
 * Whether a caller who knows the row's job id may see it. A signed-in caller sees their own
 * jobs and unclaimed ones; a caller without an identity has the unguessable id for a key.
 */
export function isVisible(row: Row | null, identity: UserIdentity | null): row is JobRow {
  return row !== null && row.status !== "deleted" && !isOfAnother(row, identity);
}

/** Whether the row belongs to a user who is not this signed-in caller. */
export function isOfAnother(row: Row, identity: UserIdentity | null): boolean {
  return identity !== null && row.userId !== identity.subject && row.userId !== ANONYMOUS;
}

/** Whether only registered jobs are taken. A value that is neither "true" nor "false" counts as "true". */
export function isRegistrationRequired(): boolean {
  const setting: string = env.TRANSCRIPTION_REQUIRE_REGISTRATION ?? "";
  return setting !== "" && setting !== "false";
}
