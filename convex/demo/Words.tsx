import type { TranscriptionResult } from "../react";
import { clock } from "./format";

/** What was said, with the time of each part where it is known. */
export function Words({ name, result }: { name: string; result: TranscriptionResult }) {
  const { text, segments, truncated } = result;
  if (text.trim() === "") return <p className="quiet">No speech was found.</p>;
  return (
    <>
      {/* It scrolls, so it has to be reachable by keyboard. */}
      <div className="words" role="region" aria-label={`Text of ${name}`} tabIndex={0}>
        {segments === null || segments.length === 0 ? (
          <p>{text}</p>
        ) : (
          <ol>
            {segments.map((segment, index) => (
              <li key={index}>
                <time className="figures quiet" dateTime={`PT${segment.start}S`}>
                  {clock(segment.start)}
                </time>
                <span>{segment.text.trim()}</span>
              </li>
            ))}
          </ol>
        )}
      </div>
      {truncated && <p className="quiet">This is the beginning. The files have the whole text.</p>}
    </>
  );
}
