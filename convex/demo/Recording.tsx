import { useCallback, useRef, useState } from "react";
import type { PersistentTranscription, TranscriptionResult } from "../react";
import { Words } from "./Words";
import { measureDuration, pauseOthers, spokenSegment } from "./playing";
import { useObjectUrl } from "./useObjectUrl";
import { useSeen } from "./useSeen";

type Props = {
  jobId: string;
  name: string;
  result: TranscriptionResult;
  onAudio: PersistentTranscription["audio"];
};

/** A finished recording: its player, and the text that follows it. */
export function Recording({ jobId, name, result, onAudio }: Props) {
  const [box, isSeen] = useSeen<HTMLDivElement>();
  const url = useObjectUrl(isSeen ? jobId : null, onAudio);
  const player = useRef<HTMLAudioElement>(null);
  const [isUnplayable, setIsUnplayable] = useState(false);
  const [spoken, setSpoken] = useState(-1);
  const isPlayable = typeof url === "string" && !isUnplayable;

  const follow = ({ currentTarget: { currentTime } }: { currentTarget: HTMLAudioElement }) =>
    setSpoken(spokenSegment(result.segments ?? [], currentTime));
  const playFrom = useCallback((seconds: number) => {
    if (player.current === null) return;
    player.current.currentTime = seconds;
    // What keeps it from playing is shown by the player, or is the user's pause.
    player.current.play().catch(() => {});
  }, []);
  const isPlaying = useCallback(() => player.current?.paused === false, []);

  return (
    <>
      <div className="player" ref={box}>
        {isPlayable && (
          <audio
            ref={player}
            src={url}
            controls
            preload="metadata"
            aria-label={name}
            onLoadedMetadata={({ currentTarget }) => measureDuration(currentTarget)}
            onPlay={({ currentTarget }) => pauseOthers(currentTarget)}
            onTimeUpdate={follow}
            onError={() => setIsUnplayable(true)}
          />
        )}
        {url === null && (
          <p className="quiet">
            It cannot be played here: the recording is kept only in the browser that added it.
          </p>
        )}
        {isUnplayable && <p className="quiet">This browser cannot play this kind of recording.</p>}
      </div>
      <Words
        name={name}
        result={result}
        spoken={spoken}
        isPlaying={isPlaying}
        onPlayFrom={isPlayable ? playFrom : null}
      />
    </>
  );
}
