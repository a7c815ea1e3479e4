// @vitest-environment node
/** The commands of docs/convex.md against the official `convex` command. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { runConvex } from "../../tools/deployment-stub.mjs";
import { withCopy } from "../../tools/workspace.mjs";

const SLOW_MS = 60_000;
const PROJECT = path.resolve(import.meta.dirname, "../..");
const TEXT = readFileSync(path.join(PROJECT, "../docs/convex.md"), "utf8");

/** Each `npx convex …` in a block of commands, as its words. */
const commands = [...TEXT.matchAll(/^```sh\n(.*?)^```$/gms)]
  .flatMap(([, block = ""]) => block.split("\n"))
  .flatMap((line) => /npx convex ([^#|]+)/.exec(line)?.[1]?.trim() ?? [])
  .map((command) => command.split(/\s+/));

const help = (words: string[]) =>
  execFileSync(process.execPath, ["node_modules/convex/bin/main.js", ...words, "--help"], {
    cwd: PROJECT,
    encoding: "utf8",
  });

const lines = [...new Set(commands.map((words) => words.join(" ")))];

test.each(lines)("convex %s is a command with these options", { timeout: SLOW_MS }, (line) => {
  const words = line.split(" ");
  const name = words.slice(0, words[0] === "env" ? 2 : 1);
  const text = help(name);
  expect(text).toContain(`Usage: convex ${name.join(" ")} `);
  for (const option of words.filter((word) => word.startsWith("--")))
    expect(text).toContain(option);
});

test("the documented pipe gives the functions their key", { timeout: SLOW_MS }, async () => {
  const run = await withCopy((directory) =>
    runConvex(["env", "set", "TRANSCRIPTION_WEBHOOK_KEY"], { directory, input: "made-up-key\n" }),
  );
  expect(run.code, run.output).toBe(0);
  expect(run.variables.TRANSCRIPTION_WEBHOOK_KEY?.trim()).toBe("made-up-key");
});
