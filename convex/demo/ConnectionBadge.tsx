import type { Connection } from "../react";

const WORDS: Record<Connection, { label: string; meaning: string }> = {
  connecting: { label: "Connecting", meaning: "The live connection is being made." },
  live: { label: "Live", meaning: "Changes appear at once." },
  polling: {
    label: "Reconnecting",
    meaning: "The live connection is lost. Unfinished recordings are checked every 10 seconds.",
  },
  offline: {
    label: "Offline",
    meaning: "Nothing answers. Recordings that are already there go on without this page.",
  },
};

/** How news comes; what it means is there to be read where it is not as it should be. */
export function ConnectionBadge({ connection }: { connection: Connection }) {
  const { label, meaning } = WORDS[connection];
  const isTrouble = connection === "polling" || connection === "offline";
  return (
    <p className="connection" role="status" data-connection={connection}>
      <span className="badge">{label}</span>
      <span className={isTrouble ? "connection-meaning" : "visually-hidden"}>{meaning}</span>
    </p>
  );
}
