import { memo, useRef, type KeyboardEvent } from "react";
import type { Segment, TranscriptionResult } from "../react";
import { clock } from "./format";
import { useFollowed } from "./useFollowed";

type Props = {
  name: string;
  result: TranscriptionResult;
  /** The index of the segment that is being spoken; -1: none. */
  spoken: number;
  isPlaying: () => boolean;
  /** Null where the recording cannot be played. */
  onPlayFrom: PlayFrom | null;
};

type PlayFrom = (seconds: number) => void;

/** What was said, with the time of each part where it is known. */
export function Words({ name, result, spoken, isPlaying, onPlayFrom }: Props) {
  const { text, segments, truncated } = result;
  const box = useRef<HTMLDivElement>(null);
  useFollowed(box, spoken, isPlaying);

  if (text.trim() === "") return <p className="quiet">No speech was found.</p>;
  return (
    <>
      {/* It scrolls, so it has to be reachable by keyboard. */}
      <div className="words" role="region" aria-label={`Text of ${name}`} tabIndex={0} ref={box}>
        {segments === null || segments.length === 0 ? (
          <p>{text}</p>
        ) : (
          <ol onKeyDown={moveByArrows}>
            {segments.map((segment, index) => (
              <Part
                key={index}
                segment={segment}
                isSpoken={index === spoken}
                isTabStop={index === Math.max(spoken, 0)}
                onPlayFrom={onPlayFrom}
              />
            ))}
          </ol>
        )}
      </div>
      {truncated && <p className="quiet">This is the beginning. The files have the whole text.</p>}
    </>
  );
}

type PartProps = {
  segment: Segment;
  isSpoken: boolean;
  /** One of all the times is: nobody has to press Tab a thousand times to come past a long text. */
  isTabStop: boolean;
  onPlayFrom: PlayFrom | null;
};

const Part = memo(function Part({ segment, isSpoken, isTabStop, onPlayFrom }: PartProps) {
  const { start, text } = segment;
  const time = <time dateTime={`PT${start}S`}>{clock(start)}</time>;
  return (
    <li aria-current={isSpoken ? "true" : undefined}>
      {onPlayFrom === null ? (
        <div className="part-time figures">{time}</div>
      ) : (
        <button
          type="button"
          className="part-time figures"
          tabIndex={isTabStop ? 0 : -1}
          aria-label={`Play from ${clock(start)}`}
          onClick={() => onPlayFrom(start)}
        >
          {time}
        </button>
      )}
      <span>{text.trim()}</span>
    </li>
  );
});

/** From one part's time to the next, by the arrow keys. */
function moveByArrows(event: KeyboardEvent<HTMLElement>): void {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step === undefined) return;
  const times = [...event.currentTarget.querySelectorAll<HTMLElement>("button")];
  const next = times[times.indexOf(event.target as HTMLElement) + step];
  // The focus brings the part into view; the keys are not to scroll the box besides.
  event.preventDefault();
  next?.focus();
}
