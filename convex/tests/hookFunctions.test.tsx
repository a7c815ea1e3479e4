/** An app whose functions file is not where the hook looks by default. */

import { cleanup, waitFor } from "@testing-library/react";
import type { ConvexReactClient } from "convex/react";
import { cp, mkdtemp, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { connect, LiveBackend } from "./hookBackend";
import { aFile, aStored, completed, FakeApi, renderTranscription } from "./hookSupport";

const { jobId } = aStored();
let project: string;
let backend: LiveBackend;
let client: ConvexReactClient;

/** This project with its functions in `convex/transcription/jobs.ts`. */
async function movedFunctions(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "hook-functions-"));
  for (const name of ["package.json", "tsconfig.json", "convex", "devserver"]) {
    await cp(name, join(directory, name), { recursive: true });
  }
  await symlink(join(process.cwd(), "node_modules"), join(directory, "node_modules"));
  const functions = join(directory, "convex");
  await rename(join(functions, "transcriptionJobs.ts"), join(functions, "transcription/jobs.ts"));
  for (const name of ["crons.ts", "routes.ts", "jobs.ts"]) {
    await rewrite(join(functions, "transcription", name));
  }
  return directory;
}

async function rewrite(file: string): Promise<void> {
  const text = await readFile(file, "utf8");
  const moved = text
    .replaceAll("internal.transcriptionJobs.", "internal.transcription.jobs.")
    .replaceAll('"./_generated/', '"../_generated/')
    .replaceAll('"./transcription/', '"./');
  await writeFile(file, moved);
}

beforeAll(async () => {
  project = await movedFunctions();
  backend = new LiveBackend({ project });
  await backend.start();
}, 60_000);

afterAll(async () => {
  await backend.remove();
  await rm(project, { recursive: true });
});

beforeEach(() => {
  client = connect(backend.url);
});

afterEach(async () => {
  cleanup();
  await client.close();
});

test("jobs are followed and registered where functionsPath says that the functions are", async () => {
  const hook = renderTranscription(client, new FakeApi(), {
    functionsPath: "transcription/jobs",
    register: true,
    stored: [aStored()],
  });
  expect(await backend.deliver(completed())).toEqual({ outcome: "applied" });
  await waitFor(() => expect(hook.result.current.jobs).toMatchObject([{ status: "completed" }]), {
    timeout: 15_000,
  });

  const started = hook.result.current.start(aFile());
  await waitFor(
    () =>
      expect(hook.result.current.jobs).toMatchObject([
        { jobId: started, status: "queued" },
        { jobId, status: "completed" },
      ]),
    { timeout: 15_000 },
  );
});
