import { useCallback } from "react";
import { usePersistentTranscription } from "../react";
import { ConnectionBadge } from "./ConnectionBadge";
import { Intake } from "./Intake";
import { JobCard } from "./JobCard";
import { useKeptFocus } from "./useKeptFocus";

export function App({ apiUrl }: { apiUrl: string }) {
  const { jobs, connection, start, cancel, retry, remove, transcript, audio } =
    usePersistentTranscription({ apiUrl });
  const startAll = useCallback((files: File[]) => files.forEach((file) => start(file)), [start]);
  const main = useKeptFocus<HTMLElement>();

  return (
    <main className="page" ref={main}>
      <header className="masthead">
        <h1>Transcriptions</h1>
        <ConnectionBadge connection={connection} />
      </header>
      <Intake onFiles={startAll} />
      <section aria-labelledby="jobs-heading">
        <h2 id="jobs-heading" tabIndex={-1}>
          Recordings
        </h2>
        {jobs.length === 0 && (
          <p className="empty">
            None yet. What you add stays in this list when you close the page.
          </p>
        )}
        <ul className="jobs">
          {jobs.map((job) => (
            <JobCard
              key={job.jobId}
              job={job}
              onCancel={cancel}
              onRetry={retry}
              onRemove={remove}
              onTranscript={transcript}
              onAudio={audio}
            />
          ))}
        </ul>
      </section>
    </main>
  );
}
