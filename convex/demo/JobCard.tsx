import { memo } from "react";
import type { PersistentTranscription, TrackedJob } from "../react";
import { Progress } from "./Progress";
import { Recording } from "./Recording";
import { TakeAway } from "./TakeAway";
import { explanationOf } from "./explanation";
import { clock, languageName, sentence } from "./format";

export type JobCardProps = {
  job: TrackedJob;
  onCancel: (jobId: string) => unknown;
  onRetry: (jobId: string) => unknown;
  onRemove: (jobId: string) => unknown;
  onTranscript: PersistentTranscription["transcript"];
  onAudio: PersistentTranscription["audio"];
};

const STATUS: Record<TrackedJob["status"], string> = {
  loading: "Looking it up",
  uploading: "Uploading",
  queued: "Queued",
  processing: "Transcribing",
  completed: "Done",
  failed: "Failed",
  cancelled: "Cancelled",
  deleted: "Deleted",
};

/** One recording. The data attributes are the job's state for whoever drives the page from outside. */
export const JobCard = memo(function JobCard({ job, ...on }: JobCardProps) {
  const { jobId, name, status } = job;
  const finished = status === "completed" ? job.result : null;
  return (
    <li
      className="job"
      data-job-id={jobId}
      data-status={status}
      data-sequence={job.sequence}
      data-progress={job.progress}
    >
      <article aria-label={name}>
        <header className="job-head">
          <h3 title={name} tabIndex={-1}>
            {name}
          </h3>
          <p className="status" role="status">
            <span className="visually-hidden">{name}: </span>
            {STATUS[status]}
          </p>
        </header>
        <Facts job={job} />
        <Progress {...job} />
        {status === "failed" && <p className="problem">{explanationOf(job.error)}</p>}
        {finished !== null && (
          <Recording jobId={jobId} name={name} result={finished} onAudio={on.onAudio} />
        )}
        {job.problem !== null && (
          <p className="problem" role="alert">
            {sentence(job.problem)}
          </p>
        )}
        <div className="job-buttons">
          {finished !== null && (
            <TakeAway jobId={jobId} name={name} result={finished} onTranscript={on.onTranscript} />
          )}
          <Controls job={job} {...on} />
        </div>
      </article>
    </li>
  );
});

function Facts({ job: { addedAt, result } }: { job: TrackedJob }) {
  const facts = [
    new Date(addedAt).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" }),
    result?.durationSeconds != null && clock(result.durationSeconds),
    result?.language != null && languageName(result.language),
  ];
  return <p className="quiet figures">{facts.filter(Boolean).join(" · ")}</p>;
}

type ControlsProps = Pick<JobCardProps, "job" | "onCancel" | "onRetry" | "onRemove">;

function Controls({ job, onCancel, onRetry, onRemove }: ControlsProps) {
  const { jobId, action } = job;
  // Not `disabled`, which would take the focus away from the button that was just pressed.
  const common = {
    type: "button",
    className: "button small",
    "aria-disabled": action !== null,
  } as const;
  const unlessBusy = (ask: (jobId: string) => unknown) => () => action === null && ask(jobId);
  const which = <span className="visually-hidden"> {job.name}</span>;
  return (
    <>
      {job.canCancel && (
        <button {...common} onClick={unlessBusy(onCancel)}>
          {action === "cancel" ? "Cancelling…" : "Cancel"}
          {which}
        </button>
      )}
      {job.canRetry && (
        <button {...common} onClick={unlessBusy(onRetry)}>
          {action === "retry" ? "Trying again…" : "Try again"}
          {which}
        </button>
      )}
      <button {...common} className="button small plain last" onClick={unlessBusy(onRemove)}>
        {action === "remove" ? "Removing…" : "Remove"}
        {which}
      </button>
    </>
  );
}
