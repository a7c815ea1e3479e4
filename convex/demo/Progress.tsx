import type { TrackedJob } from "../react";

type Props = Pick<TrackedJob, "status" | "progress" | "name" | "isAudioStored">;

/** How far an unfinished job is. Only `processing` has a figure; the others wait for an unknown time and say for what. */
export function Progress({ status, progress, name, isAudioStored }: Props) {
  switch (status) {
    case "loading":
      return <p className="quiet">Asking the transcription service how it is.</p>;
    case "uploading":
      return (
        <>
          <Bar label={`Upload of ${name}`} percent={null} />
          <p className="quiet">
            {isAudioStored
              ? "If you close the page, it goes on when you open it again."
              : "Keep the page open until it is uploaded."}
          </p>
        </>
      );
    case "queued":
      return <p className="quiet">Waiting for its turn. You can close the page.</p>;
    case "processing":
      return <Bar label={`Progress of ${name}`} percent={Math.round(progress)} />;
    default:
      return null;
  }
}

/** `percent` is null where nobody knows it. */
function Bar({ label, percent }: { label: string; percent: number | null }) {
  const width = percent === null ? undefined : `${percent}%`;
  return (
    <div className="progress">
      <div
        className="progress-track"
        role="progressbar"
        aria-label={label}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={percent ?? undefined}
      >
        <div className="progress-done" style={{ width }} />
      </div>
      {percent !== null && <span className="figures">{percent} %</span>}
    </div>
  );
}
