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

export function ConnectionBadge({ connection }: { connection: Connection }) {
  const { label, meaning } = WORDS[connection];
  return (
    <p className="badge" role="status" data-connection={connection} title={meaning}>
      {label}
      <span className="visually-hidden">. {meaning}</span>
    </p>
  );
}
