/** Which rows a caller may see, and whose a job may be. */
import type { UserIdentity } from "convex/server";
import type { Doc } from "../_generated/dataModel";
import { env, type QueryCtx } from "../_generated/server";

/** The transcription API's `userId` for jobs that nobody claimed. */
export const ANONYMOUS = "anonymous";

/** What is in the table, also where an app had rows of its own in it before. */
export type AnyRow = Doc<"transcriptionJobs">;
type Row = Extract<AnyRow, { sequence: number }>;
export type JobRow = Exclude<Row, { status: "deleted" }>;

export async function findRow(ctx: Pick<QueryCtx, "db">, jobId: string): Promise<AnyRow | null> {
  return await ctx.db
    .query("transcriptionJobs")
    .withIndex("by_jobId", (q) => q.eq("jobId", jobId))
    .unique();
}

/** Whether the row is of the webhook or of a registration, and not one that the app wrote before there were these. */
export function isOurs(row: AnyRow): row is Row {
  return "sequence" in row;
}

/**
 * Whether a caller who knows the row's job id may see it. A signed-in caller sees their own
 * jobs and unclaimed ones; a caller without an identity has the unguessable id for a key.
 */
export function isVisible(row: AnyRow | null, identity: UserIdentity | null): row is JobRow {
  if (row === null || !isOurs(row)) return false;
  return row.status !== "deleted" && !isOfAnother(row, identity);
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
