import { readFile, writeFile } from "node:fs/promises";
import { ConvexHttpClient } from "convex/browser";
import { describe, expect, test } from "vitest";
import { api } from "../../convex/_generated/api";
import { DevServer, newJob, startServer, temporaryFile } from "./support";

async function read(server: DevServer, jobId: string) {
  return await new ConvexHttpClient(server.url, { logger: false }).query(
    api.transcriptionJobs.get,
    { jobId },
  );
}

/** The documents a data file ends in, by job. */
async function documentsIn(file: string) {
  const lines = (await readFile(file, "utf8")).trimEnd().split("\n").slice(1);
  const documents = lines.flatMap(
    (line) => (JSON.parse(line) as { put: Record<string, unknown>[] }).put,
  );
  return new Map(documents.map((document) => [document.jobId, document]));
}

describe("with a data file", () => {
  test("what was answered is there after kill -9, with the same id and creation time, and until then nobody else can use it", async () => {
    const file = await temporaryFile();
    const first = await startServer({ CONVEX_DATA_FILE: file });
    const changed = newJob();
    const jobs = [
      changed,
      newJob({ status: "failed", error: { code: "e", message: "m" } }),
      newJob(),
    ];
    for (const job of jobs) await first.post(job);
    const before = await Promise.all(jobs.map(({ jobId }) => read(first, jobId)));

    const intruder = DevServer.spawn({ CONVEX_DATA_FILE: file });
    expect(await intruder.ended()).toBe(1);
    expect(intruder.output.stderr).toContain(`in use by process ${first.process.pid}`);

    await first.end("SIGKILL");
    const written = await documentsIn(file);

    const second = await startServer({ CONVEX_DATA_FILE: file });
    expect(await Promise.all(jobs.map(({ jobId }) => read(second, jobId)))).toEqual(before);
    const added = newJob();
    await second.post({ ...changed, sequence: 9 });
    await second.post(added);
    await second.end("SIGKILL");

    const rewritten = await documentsIn(file);
    const keyOf = (jobId: string) => [
      rewritten.get(jobId)?._id,
      rewritten.get(jobId)?._creationTime,
    ];
    for (const { jobId } of jobs) {
      const document = written.get(jobId);
      expect(keyOf(jobId)).toEqual([document?._id, document?._creationTime]);
    }
    expect(new Set([...rewritten.values()].map(({ _id }) => _id)).size).toBe(jobs.length + 1);
  });

  test("every answered update is kept when the kill comes in the middle of many", async () => {
    const file = await temporaryFile();
    const server = await startServer({ CONVEX_DATA_FILE: file });
    const job = newJob();
    let answered = 0;
    const posting = (async () => {
      for (let sequence = 1; ; sequence++) {
        await server.post({ ...job, sequence });
        answered = sequence;
        if (sequence === 30) server.process.kill("SIGKILL");
      }
    })();
    await expect(posting).rejects.toThrow();
    await server.ended();
    const restarted = await startServer({ CONVEX_DATA_FILE: file });
    const { sequence = 0 } = (await read(restarted, job.jobId)) ?? {};
    expect(answered).toBeGreaterThanOrEqual(30);
    expect([answered, answered + 1]).toContain(sequence);
  });

  test("that cannot be used it does not start, says why, and leaves it as it is", async () => {
    const file = await temporaryFile();
    const row = { _id: "00001transcriptionJobs", _creationTime: 1, jobId: "a", status: "odd" };
    const header = JSON.stringify({ format: "convex-devserver", version: 1 });
    const content = `${header}\n${JSON.stringify({ put: [row], delete: [] })}\n`;
    await writeFile(file, content);
    const server = DevServer.spawn({ CONVEX_DATA_FILE: file });
    expect(await server.ended()).toBe(1);
    expect(server.output.stdout).toBe("");
    expect(server.output.stderr).toContain(`${file}: document ${row._id} does not fit the schema`);
    expect(server.output.stderr).not.toContain("    at ");
    expect(await readFile(file, "utf8")).toBe(content);
  });
});
