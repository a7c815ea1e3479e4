/**
 * What only one of the open tabs may do at a time. Pages on plain http have no Web Locks, and they are
 * denied where site data is blocked and in sandboxed frames; there two
 * tabs may send the same audio, which is harmless: the same id and content make one job.
 */

const lockOf = (jobId: string) => `transcription-upload-${jobId}`;

/** Runs `work` while no other tab uploads this job: a tab that is closed makes room. Rejects when `signal` ends the wait. */
export async function uploadAlone<T>(
  jobId: string,
  signal: AbortSignal,
  work: () => Promise<T>,
): Promise<T> {
  if (!("locks" in navigator)) return await work();
  let hasBegun = false;
  const begin = () => {
    hasBegun = true;
    return work();
  };
  try {
    return await navigator.locks.request(lockOf(jobId), { signal }, begin);
  } catch (error) {
    const isDenied = error instanceof DOMException && error.name === "SecurityError";
    if (hasBegun || !isDenied) throw error;
    return await work();
  }
}

/** Runs `work` unless a tab is uploading this job or about to. */
export async function ifNoTabUploads(jobId: string, work: () => Promise<void>): Promise<void> {
  if (!("locks" in navigator)) return await work();
  await navigator.locks.request(lockOf(jobId), { ifAvailable: true }, async (lock) => {
    if (lock !== null) await work();
  });
}
