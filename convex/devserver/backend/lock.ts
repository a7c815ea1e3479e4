/** Keeps two backends from writing one data file: a file beside it that names the process. */
import fs from "node:fs";

/** `startedAt` tells the process from a later one with the same number; null where nobody says. */
type Holder = { pid: number; startedAt: string | null };

/**
 * Takes the lock and returns how to give it back. Throws where a living process has it. One that
 * a killed process left behind is taken over.
 */
export function lock(file: string): () => void {
  return take(`${file}.lock`, file);
}

/**
 * Of several who find a lock left behind, one may remove it: who has the lock of that lock, taken
 * in the same way. A process that was killed with it makes this go one deeper.
 */
function take(path: string, file: string): () => void {
  if (!create(path)) {
    refuseIfHeld(path, file);
    const giveBack = take(`${path}.lock`, file);
    try {
      refuseIfHeld(path, file); // somebody may have taken it over meanwhile
      fs.rmSync(path, { force: true });
      if (!create(path)) throw new Error(`${file} is in use: another backend was faster.`);
    } finally {
      giveBack();
    }
  }
  return () => fs.rmSync(path, { force: true });
}

/** False where there is one. It appears with all that is in it. */
function create(path: string): boolean {
  const own: Holder = { pid: process.pid, startedAt: startOf(process.pid) };
  const prepared = `${path}.${process.pid}`;
  fs.writeFileSync(prepared, JSON.stringify(own));
  try {
    fs.linkSync(prepared, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    return false;
  } finally {
    fs.rmSync(prepared);
  }
}

function refuseIfHeld(path: string, file: string): void {
  const holder = holderOf(path);
  if (holder === null || !isAlive(holder)) return;
  throw new Error(
    `${file} is in use by process ${holder.pid}: end that, or set CONVEX_DATA_FILE to another. ` +
      `If that process is no Convex backend, remove ${path}.`,
  );
}

/** null where there is no lock, or what a crash left of one. */
function holderOf(path: string): Holder | null {
  try {
    const holder = JSON.parse(fs.readFileSync(path, "utf8")) as Partial<Holder>;
    const { pid, startedAt = null } = Object(holder) as Partial<Holder>;
    return Number.isSafeInteger(pid) ? { pid: pid as number, startedAt } : null;
  } catch {
    return null;
  }
}

function isAlive({ pid, startedAt }: Holder): boolean {
  if (pid === process.pid) return false;
  const isAnother = startedAt !== null && startOf(pid) !== startedAt;
  return !isAnother && isRunning(pid);
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM"; // alive, and another user's
  }
}

/** When the machine and the process started, on Linux; null elsewhere and where there is none. */
function startOf(pid: number): string | null {
  try {
    const boot = fs.readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    // The command, in brackets, may hold anything; the start is the 20th field after it.
    const fields = fs
      .readFileSync(`/proc/${pid}/stat`, "utf8")
      .replace(/^.*\) /s, "")
      .split(" ");
    return `${boot} ${fields[19]}`;
  } catch {
    return null;
  }
}
