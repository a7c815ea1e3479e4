import fs from "node:fs";
import { expect, test } from "vitest";
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
