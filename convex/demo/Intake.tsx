import { useEffect, useState, type ChangeEvent } from "react";
import { Recorder } from "./Recorder";

/** Takes recordings in: dropped anywhere on the page, chosen, or spoken. */
export function Intake({ onFiles }: { onFiles: (files: File[]) => void }) {
  const isDraggedOver = useDroppedFiles(onFiles);

  const choose = ({ target }: ChangeEvent<HTMLInputElement>) => {
    onFiles([...(target.files ?? [])]);
    // So that the same file can be chosen again.
    target.value = "";
  };

  return (
    <section className="intake" aria-label="Add a recording" data-dragged-over={isDraggedOver}>
      <p className="intake-title">{isDraggedOver ? "Let go to add it" : "Add a recording"}</p>
      <p className="quiet">
        Any audio or video with speech: choose it, drop it anywhere on this page, or speak.
      </p>
      <div className="intake-ways">
        <label className="button primary">
          Choose files
          <input
            className="visually-hidden"
            type="file"
            accept="audio/*,video/*"
            multiple
            onChange={choose}
          />
        </label>
        <Recorder onRecorded={(file) => onFiles([file])} />
      </div>
    </section>
  );
}

/** Whether files are being dragged over the page. The whole page takes them: a near miss must not open the file instead. */
function useDroppedFiles(onFiles: (files: File[]) => void): boolean {
  const [isDraggedOver, setIsDraggedOver] = useState(false);

  useEffect(() => {
    const over = (event: DragEvent) => {
      event.preventDefault();
      setIsDraggedOver(true);
    };
    const leave = (event: DragEvent) => {
      if (event.relatedTarget === null) setIsDraggedOver(false);
    };
    const drop = (event: DragEvent) => {
      event.preventDefault();
      setIsDraggedOver(false);
      onFiles([...(event.dataTransfer?.files ?? [])]);
    };
    window.addEventListener("dragover", over);
    window.addEventListener("dragleave", leave);
    window.addEventListener("drop", drop);
    return () => {
      window.removeEventListener("dragover", over);
      window.removeEventListener("dragleave", leave);
      window.removeEventListener("drop", drop);
    };
  }, [onFiles]);

  return isDraggedOver;
}
