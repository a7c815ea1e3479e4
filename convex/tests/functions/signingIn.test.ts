// @vitest-environment node
/** An app whose users sign in, with the `auth.config.ts` of docs/convex.md. */
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { expect, test, vi } from "vitest";
import { api } from "../../convex/_generated/api";
import { runConvex } from "../../tools/deployment-stub.mjs";
import { faultsOf } from "../../tools/uploaded-modules.mjs";
import { PROJECT, withCopy } from "../../tools/workspace.mjs";
import { completedJob, JOB_ID, post, startBackend, useConfiguredEnvironment } from "./support";
import { typeFaults } from "./takingIn";

useConfiguredEnvironment();

const SLOW_MS = 60_000;
const CONFIGURATION = /^```ts\n\/\/ convex\/auth\.config\.ts\n(.*?)^```$/ms;
const { get, list, register } = api.transcriptionJobs;

test(
  "the documented auth.config.ts has no type fault and is uploaded",
  { timeout: SLOW_MS },
  async () => {
    const text = await readFile(path.join(PROJECT, "../docs/convex.md"), "utf8");
    await withCopy(async (directory) => {
      const file = path.join(directory, "convex/auth.config.ts");
      await writeFile(file, CONFIGURATION.exec(text)?.[1] ?? "");
      expect(typeFaults(directory)).toBe("");
      const run = await runConvex(["deploy", "--yes"], { directory });
      expect(run.code, run.output).toBe(0);
      expect(faultsOf(run.pushed, ["auth.config.js"])).toEqual([]);
    });
  },
);

test("where registration is required a job is its user's from the page's registration to its list", async () => {
  vi.stubEnv("TRANSCRIPTION_REQUIRE_REGISTRATION", "true");
  const t = startBackend();
  const [ada, eve] = ["ada", "eve"].map((subject) => t.withIdentity({ subject }));
  await ada?.mutation(register, { jobId: JOB_ID });
  expect((await post(t, completedJob({ userId: "anonymous" }))).status).toBe(409);
  expect((await post(t, completedJob({ userId: "eve" }))).status).toBe(409);
  expect((await post(t, completedJob({ userId: "ada" }))).status).toBe(200);
  expect(await ada?.query(list, {})).toMatchObject([{ jobId: JOB_ID, status: "completed" }]);
  expect(await eve?.query(get, { jobId: JOB_ID })).toBeNull();
});
