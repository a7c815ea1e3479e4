import type { TrackedJob } from "../react";

type Props = Pick<TrackedJob, "status" | "progress" | "name">;

/** How far an unfinished job is. Only `processing` has a figure; the others wait for an unknown time and say so. */
export function Progress({ status, progress, name }: Props) {
  if (!["uploading", "queued", "processing"].includes(status)) return null;
  const isMeasured = status === "processing";
  const percent = Math.round(progress);
  return (
    <div className="progress">
      <div
        className="progress-track"
        role="progressbar"
        aria-label={`Progress of ${name}`}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={isMeasured ? percent : undefined}
        aria-valuetext={isMeasured ? undefined : status}
      >
        <div className="progress-done" style={isMeasured ? { width: `${percent}%` } : undefined} />
      </div>
      {isMeasured && <span className="figures">{percent} %</span>}
    </div>
  );
}
