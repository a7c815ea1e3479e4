/** When the API has to be asked for a job, because the live connection says nothing of it. Pure. */

/** What the decision needs to know of one job; times are Unix milliseconds. */
export type Watched = {
  /** Nothing is known of a job that was restored from storage and not heard of since. */
  isKnown: boolean;
  /** Nothing is waited for: the job is final, or it failed or is being uploaded here. */
  isOver: boolean;
  /** When the live connection last told of it, or the API had no more to tell; for a new one, when it was started. */
  heardAt: number;
  /** When the API was last asked for it; null: never. */
  askedAt: number | null;
};

export type Line = {
  isLive: boolean;
  /** Since when it is so. */
  since: number;
};

export type Patience = {
  /** Between two requests for the same job, and before the first when the live connection is lost. */
  pollIntervalMs: number;
  /** How long an unfinished job may stay silent on a live connection. */
  silentAfterMs: number;
};

/** After a load, the live connection has this long to tell of stored jobs before the API is asked. */
export const SETTLE_MS = 2_000;

/** When to ask next; null: not at all. A time in the past means now. */
export function nextAskAt(
  job: Watched,
  line: Line,
  patience: Patience,
  now: number,
): number | null {
  if (job.isOver) return null;
  // A time to come is one of a clock that was set back since.
  const past = (time: number) => (time <= now ? time : -Infinity);
  const first = firstAskAt(
    { ...job, heardAt: past(job.heardAt) },
    { ...line, since: past(line.since) },
    patience,
  );
  return job.askedAt === null
    ? first
    : Math.max(first, past(job.askedAt) + patience.pollIntervalMs);
}

function firstAskAt(job: Watched, line: Line, patience: Patience): number {
  if (!job.isKnown) return job.heardAt + SETTLE_MS;
  const quiet = line.isLive ? patience.silentAfterMs : patience.pollIntervalMs;
  return Math.max(job.heardAt, line.since) + quiet;
}
