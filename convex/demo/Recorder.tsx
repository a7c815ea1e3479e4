import { useEffect, useState } from "react";
import { clock, extensionOf, recordingName } from "./format";

type State =
  | { is: "idle"; problem: string | null }
  | { is: "asking" }
  | { is: "recording"; recorder: MediaRecorder; since: number };

/** A button that records the microphone; absent where the browser gives pages no microphone (plain http). */
export function Recorder({ onRecorded }: { onRecorded: (file: File) => void }) {
  const [state, setState] = useState<State>({ is: "idle", problem: null });

  const recorder = state.is === "recording" ? state.recorder : null;
  useEffect(() => {
    if (recorder === null) return;
    const ask = (event: BeforeUnloadEvent) => event.preventDefault();
    window.addEventListener("beforeunload", ask);
    return () => {
      window.removeEventListener("beforeunload", ask);
      // What was spoken until here is added where the page goes away around the button.
      if (recorder.state !== "inactive") recorder.stop();
    };
  }, [recorder]);

  if (!("mediaDevices" in navigator) || typeof MediaRecorder === "undefined") return null;

  const begin = async () => {
    setState({ is: "asking" });
    try {
      const recorder = await record((file) => {
        setState({ is: "idle", problem: null });
        onRecorded(file);
      });
      setState({ is: "recording", recorder, since: Date.now() });
    } catch (error) {
      console.error("[page] The microphone could not be used.", error);
      const problem = "The microphone could not be used. Allow it for this page and try again.";
      setState({ is: "idle", problem });
    }
  };

  const isRecording = state.is === "recording";
  const press = () => {
    if (state.is === "recording") state.recorder.stop();
    else if (state.is === "idle") void begin();
  };

  // One button for both, so that it keeps the focus.
  return (
    <>
      <button
        type="button"
        className={isRecording ? "button recording" : "button"}
        aria-disabled={state.is === "asking"}
        onClick={press}
      >
        {isRecording ? (
          <>
            Stop and add · <Elapsed since={state.since} />
          </>
        ) : (
          "Record"
        )}
      </button>
      {state.is === "idle" && state.problem !== null && (
        <p className="problem" role="alert">
          {state.problem}
        </p>
      )}
    </>
  );
}

function Elapsed({ since }: { since: number }) {
  const [now, setNow] = useState(since);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 250);
    return () => clearInterval(timer);
  }, []);
  return <span className="figures">{clock((now - since) / 1000)}</span>;
}

/** Starts to record; the file comes when the recorder is stopped, by the user or by an unplugged microphone. */
async function record(onRecorded: (file: File) => void): Promise<MediaRecorder> {
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  const recorder = new MediaRecorder(stream);
  const startedAt = new Date();
  const parts: Blob[] = [];
  recorder.addEventListener("dataavailable", ({ data }) => parts.push(data));
  recorder.addEventListener("stop", () => {
    stream.getTracks().forEach((track) => track.stop());
    const type = recorder.mimeType;
    const name = recordingName(startedAt, extensionOf(type));
    onRecorded(new File(parts, name, { type }));
  });
  recorder.start();
  return recorder;
}
