import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { lock } from "../../devserver/backend/lock";
import { startServer, temporaryFile } from "./support";

const living = process.ppid;

test("a lock is refused while the process that took it lives, and free after kill -9", async () => {
  const file = await temporaryFile();
  const server = await startServer({ CONVEX_DATA_FILE: file });
  expect(() => lock(file)).toThrow(`in use by process ${server.process.pid}`);
  await server.end("SIGKILL");
  expect(fs.existsSync(`${file}.lock`)).toBe(true);
  lock(file)();
  expect(fs.existsSync(`${file}.lock`)).toBe(false);
});

test("a lock left behind is taken over when its number is another process's by now", async () => {
  const file = await temporaryFile();
  const startedAt = "before the machine was started again 4711";
  fs.writeFileSync(`${file}.lock`, JSON.stringify({ pid: living, startedAt }));
  lock(file)();
});

test("where nobody says when a process started, one that lives has the lock", async () => {
  const file = await temporaryFile();
  fs.writeFileSync(`${file}.lock`, JSON.stringify({ pid: living, startedAt: null }));
  expect(() => lock(file)).toThrow(`in use by process ${living}`);
  expect(() => lock(file)).toThrow(`remove ${file}.lock`);
});

test.each(["", "{", "null", "[]", '{"pid":"x"}', "\0"])(
  "what a crash left of a lock (%j) is none",
  async (content) => {
    const file = await temporaryFile();
    fs.writeFileSync(`${file}.lock`, content);
    lock(file)();
  },
);

const LOCKER = fileURLToPath(new URL("locker.mjs", import.meta.url));
const ROUNDS = 300;

const answer = async (locker: ChildProcess) => ((await once(locker, "message")) as [boolean])[0];

async function startLocker(): Promise<ChildProcess> {
  const locker = fork(LOCKER);
  onTestFinished(() => void locker.kill("SIGKILL"));
  await answer(locker);
  return locker;
}

test("of two that find a lock left behind, one takes it over, and nothing of it stays", async () => {
  const lockers = await Promise.all([startLocker(), startLocker()]);
  const file = await temporaryFile();
  const startedAt = "before the machine was started again 4711";
  const left = JSON.stringify({ pid: living, startedAt });
  for (let round = 0; round < ROUNDS; round++) {
    const one = `${file}.${round}`;
    fs.writeFileSync(`${one}.lock`, left);
    const answers = Promise.all(lockers.map(answer));
    for (const locker of lockers) locker.send(one);
    expect(await answers, `round ${round}`).toSatisfy(
      (taken: boolean[]) => taken.filter(Boolean).length === 1,
    );
    const { pid } = JSON.parse(fs.readFileSync(`${one}.lock`, "utf8")) as { pid: number };
    expect(lockers.map((locker) => locker.pid)).toContain(pid);
  }
  expect(fs.readdirSync(path.dirname(file))).toHaveLength(ROUNDS);
});
