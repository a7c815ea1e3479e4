import { memo, useRef } from "react";
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
          <ol>
            {segments.map((segment, index) => (
              <Part
                key={index}
                segment={segment}
                isSpoken={index === spoken}
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

type PartProps = { segment: Segment; isSpoken: boolean; onPlayFrom: PlayFrom | null };

const Part = memo(function Part({ segment: { start, text }, isSpoken, onPlayFrom }: PartProps) {
  const time = <time dateTime={`PT${start}S`}>{clock(start)}</time>;
  return (
    <li aria-current={isSpoken ? "true" : undefined}>
      {onPlayFrom === null ? (
        <div className="part-time figures">{time}</div>
      ) : (
        <button
          type="button"
          className="part-time figures"
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
