import { useState } from "react";
import type { PersistentTranscription, TranscriptFormat, TranscriptionResult } from "../react";
import { withExtension } from "./format";

type Props = {
  jobId: string;
  name: string;
  result: TranscriptionResult;
  onTranscript: PersistentTranscription["transcript"];
};

const FILES = [
  { format: "text", extension: "txt" },
  { format: "srt", extension: "srt" },
  { format: "vtt", extension: "vtt" },
] as const;

/** The buttons that copy and download a transcript, and what came of the last one. */
export function TakeAway({ jobId, name, result, onTranscript }: Props) {
  const [outcome, setOutcome] = useState("");

  const report = async (success: string, run: () => Promise<unknown>) => {
    try {
      await run();
      setOutcome(success);
    } catch (error) {
      console.error("[page] The text could not be taken away.", error);
      setOutcome(error instanceof Error ? error.message : String(error));
    }
  };
  const copy = () => report("Copied.", () => copyText(result.text));
  const download = (format: TranscriptFormat, extension: string) =>
    report("", async () => {
      const isHere = format === "text" && !result.truncated;
      const file = isHere ? new Blob([result.text]) : await onTranscript(jobId, format);
      save(file, withExtension(name, extension));
    });

  return (
    <>
      <button type="button" className="button small" onClick={() => void copy()}>
        Copy<span className="visually-hidden"> the text of {name}</span>
      </button>
      {FILES.map(({ format, extension }) => (
        <button
          key={format}
          type="button"
          className="button small"
          title={`Download as .${extension}`}
          onClick={() => void download(format, extension)}
        >
          <span className="visually-hidden">Download {name} as </span>.{extension}
        </button>
      ))}
      <span className="quiet" role="status">
        {outcome}
      </span>
    </>
  );
}

async function copyText(text: string): Promise<void> {
  if (!("clipboard" in navigator)) {
    throw new Error("The browser lets only pages on https copy. Select the text instead.");
  }
  await navigator.clipboard.writeText(text);
}

function save(file: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = name;
  link.click();
  // The download has taken its own hold of the data by the next task.
  setTimeout(() => URL.revokeObjectURL(link.href));
}
