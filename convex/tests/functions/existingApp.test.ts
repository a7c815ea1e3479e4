// @vitest-environment node
import { makeFunctionReference } from "convex/server";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { api } from "../../convex/_generated/api";
import { runConvex } from "../../tools/deployment-stub.mjs";
import { faultsOf } from "../../tools/uploaded-modules.mjs";
import { completedJob, JOB_ID, post, useConfiguredEnvironment } from "./support";
import {
  cronsOf,
  discard,
  ownFile,
  readInstructions,
  startApp,
  takeIn,
  typeFaults,
  type Instructions,
} from "./takingIn";

useConfiguredEnvironment();

const SLOW_MS = 60_000;

let instructions: Instructions;
let directory: string;

beforeAll(async () => {
  instructions = await readInstructions();
  directory = await takeIn(instructions);
  const run = await runConvex(["codegen", "--typecheck", "disable"], { directory });
  expect(run.code, run.output).toBe(0);
}, SLOW_MS);

afterAll(async () => {
  await discard(directory);
});

/** The lines of `after` that `before` has not; null where a line of `before` is missing or has moved. */
function addedLines(before: string, after: string): string[] | null {
  const expected = before.split("\n");
  const added: string[] = [];
  for (const line of after.split("\n")) {
    if (line === expected[0]) expected.shift();
    else added.push(line);
  }
  return expected.length === 0 ? added : null;
}

describe("an app that takes the functions in as docs/convex.md says", () => {
  test.each(["schema", "http", "crons"])("adds two lines to its own %s.ts", async (name) => {
    const file = `convex/${name}.ts`;
    const [before, after] = [await ownFile(file), instructions.files.get(file)];
    const added = addedLines(before ?? "", after ?? "");
    expect(added).toHaveLength(2);
  });

  test("has what this project has for its variables", async () => {
    const ours = await import("../../convex/convex.config?raw");
    expect(instructions.files.get("convex/convex.config.ts")).toBe(ours.default);
  });

  test("has no type fault", { timeout: SLOW_MS }, () => {
    expect(typeFaults(directory)).toBe("");
  });

  test("uploads its own modules and the ones of this project", { timeout: SLOW_MS }, async () => {
    const run = await runConvex(["deploy", "--yes"], { directory });
    expect({ code: run.code, finished: run.finished }, run.output).toEqual({
      code: 0,
      finished: true,
    });
    expect(faultsOf(run.pushed, ["recordings.js"])).toEqual([]);
  });

  test("has its own rows by its own route, and jobs besides", async () => {
    const t = await startApp(directory);
    const recording = { file: "jfk.wav", speechId: "speech-1" };
    await t.mutation(makeFunctionReference<"mutation">("recordings:add"), recording);
    expect(await post(t, completedJob())).toMatchObject({ status: 200 });
    expect(await (await t.fetch("/recordings/waiting")).json()).toEqual(["speech-1"]);
    expect(await t.query(api.transcriptionJobs.get, { jobId: JOB_ID })).toMatchObject({
      status: "completed",
    });
  });

  test("has both crons", async () => {
    const jobs = Object.values(await cronsOf(directory)).map(({ name }) => name);
    expect(jobs).toEqual(["recordings:poll", "transcriptionJobs:removeExpired"]);
  });
});
