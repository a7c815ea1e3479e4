import { useEffect, useState } from "react";
import type { PersistentTranscription } from "../react";

/** An address for the job's audio; undefined until it is known (for no job: for ever), null where there is no audio. */
export function useObjectUrl(
  jobId: string | null,
  audio: PersistentTranscription["audio"],
): string | null | undefined {
  const [url, setUrl] = useState<string | null>();

  useEffect(() => {
    if (jobId === null) return;
    let isWanted = true;
    let made: string | null = null;
    void audio(jobId).then((blob) => {
      if (!isWanted) return;
      made = blob === null ? null : URL.createObjectURL(blob);
      setUrl(made);
    });
    return () => {
      isWanted = false;
      if (made !== null) URL.revokeObjectURL(made);
    };
  }, [jobId, audio]);

  return url;
}
