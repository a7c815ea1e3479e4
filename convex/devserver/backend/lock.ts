/** Keeps two backends from writing one data file: a file beside it that names the process. */
import fs from "node:fs";

/**
 * Takes the lock and returns how to give it back. Throws where a living process has it. One that
 * a killed process left behind is taken over.
 */
export function lock(file: string): () => void {
  const path = `${file}.lock`;
  const holder = holderOf(path);
  if (holder !== null && isAlive(holder)) {
    throw new Error(
      `${file} is in use by process ${holder}: end that, or set CONVEX_DATA_FILE to another. ` +
        `If that process is no Convex backend, remove ${path}.`,
    );
  }
  fs.rmSync(path, { force: true });
  fs.writeFileSync(path, String(process.pid), { flag: "wx" });
  return () => fs.rmSync(path, { force: true });
}

function holderOf(path: string): number | null {
  const text = fs.existsSync(path) ? fs.readFileSync(path, "utf8") : "";
  return /^\d+$/.test(text) ? Number(text) : null;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return pid !== process.pid;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM"; // alive, and another user's
  }
}
