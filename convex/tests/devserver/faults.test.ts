import { ConvexHttpClient } from "convex/browser";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { api } from "../../convex/_generated/api";
import { Faults } from "../../devserver/backend/faults";
import {
  connect,
  DevServer,
  eventually,
  newJob,
  startServer,
  temporaryFile,
  tokenOf,
} from "./support";

const { get, register } = api.transcriptionJobs;

async function setFaults(server: DevServer, faults: object): Promise<void> {
  const body = JSON.stringify({ seed: 1, ...faults });
  const response = await fetch(`${server.url}/devserver/faults`, { method: "PUT", body });
  expect(response.status).toBe(200);
}

async function given(server: DevServer): Promise<Record<string, number>> {
  const response = await fetch(`${server.url}/devserver/faults`);
  return ((await response.json()) as { given: Record<string, number> }).given;
}

let shared: DevServer;
beforeAll(async () => void (shared = await DevServer.start()));
afterAll(async () => void (await shared.end()));

async function starting(faults: object): Promise<DevServer> {
  await setFaults(shared, faults);
  return shared;
}

async function call(server: DevServer, path = "/api/mutation", name = "register") {
  const { jobId } = newJob();
  const body = JSON.stringify({ path: `transcriptionJobs:${name}`, args: { jobId } });
  const response = await fetch(`${server.url}${path}`, { method: "POST", body });
  return { jobId, response, body: (await response.json()) as Record<string, unknown> };
}

/** Whether the table has the job, looked at without faults. */
async function has(server: DevServer, jobId: string): Promise<boolean> {
  await setFaults(server, {});
  const client = new ConvexHttpClient(server.url, { logger: false });
  return (await client.query(get, { jobId })) !== null;
}

describe("a write conflict", () => {
  test("in an HTTP action is the action's own 503, and nothing is written", async () => {
    const server = await starting({ writeConflict: 1 });
    const job = newJob();
    expect(await server.post(job)).toMatchObject({ status: 503, body: { code: "unavailable" } });
    expect(await given(server)).toMatchObject({ writeConflict: 1 });
    expect(await has(server, job.jobId)).toBe(false);
  });

  test("in a mutation over HTTP is the service's 503, which other pages may read", async () => {
    const server = await starting({ writeConflict: 1 });
    const { jobId, response, body } = await call(server);
    expect(response.status).toBe(503);
    expect(body.code).toBe("OptimisticConcurrencyControlFailure");
    expect(body.message).toContain('the "transcriptionJobs" table changed');
    expect(response.headers.get("Access-Control-Allow-Origin")).toBe("*");
    expect(await has(server, jobId)).toBe(false);
  });

  test("fails a mutation of ConvexHttpClient, and leaves its queries alone", async () => {
    const server = await starting({ writeConflict: 1 });
    const client = new ConvexHttpClient(server.url, { logger: false });
    const { jobId } = newJob();
    await expect(client.mutation(register, { jobId })).rejects.toThrow(
      "OptimisticConcurrencyControlFailure",
    );
    expect(await client.query(get, { jobId })).toBeNull();
  });

  test("leaves the data file without what was rolled back", async () => {
    const dataFile = await temporaryFile();
    const server = await startServer({ CONVEX_DATA_FILE: dataFile });
    await setFaults(server, { writeConflict: 1 });
    const job = newJob();
    await server.post(job);
    await server.end("SIGKILL");
    expect(await has(await startServer({ CONVEX_DATA_FILE: dataFile }), job.jobId)).toBe(false);
  });

  test("makes ConvexClient send its mutation again, until it is done", async () => {
    const server = await starting({ writeConflict: 1 });
    const client = connect(server.url);
    const { jobId } = newJob();
    const done = client.mutation(register, { jobId });
    await eventuallyGiven(server, "writeConflict", 1);
    await setFaults(server, {});
    await done;
    expect(await has(server, jobId)).toBe(true);
  });
});

describe.each([
  ["429", 429, "TooManyConcurrentRequests"],
  ["503", 503, "ServiceUnavailable"],
])("a %s", (kind, status, code) => {
  test("comes before anything is run, with the service's body, and other pages may read it", async () => {
    const server = await starting({ [kind]: 1 });
    const job = newJob();
    expect(await server.post(job)).toMatchObject({ status, body: { code } });
    for (const [path, name] of [
      ["/api/query", "get"],
      ["/api/mutation", "register"],
    ]) {
      const { response, body } = await call(server, path, name);
      expect(response.status).toBe(status);
      expect(Object.keys(body)).toEqual(["code", "message"]);
      expect(response.headers.get("Access-Control-Allow-Origin")).toBe("*");
    }
    expect(await given(server)).toMatchObject({ [kind]: 3 });
    expect(await has(server, job.jobId)).toBe(false);
  });
});

describe("a dropped answer", () => {
  test("to an HTTP action breaks the connection, and the update is there", async () => {
    const server = await starting({ dropAnswer: 1 });
    const job = newJob();
    await expect(server.post(job)).rejects.toThrow();
    expect(await has(server, job.jobId)).toBe(true);
  });

  test("to ConvexHttpClient breaks its mutation, not its queries", async () => {
    const server = await starting({ dropAnswer: 1 });
    const client = new ConvexHttpClient(server.url, { logger: false });
    const { jobId } = newJob();
    await expect(client.mutation(register, { jobId })).rejects.toThrow();
    expect(await client.query(get, { jobId })).toMatchObject({ jobId });
  });

  test("to ConvexClient makes it send its mutation again, and it is not run twice", async () => {
    const server = await starting({ dropAnswer: 1 });
    const { jobId } = newJob();
    const client = connect(server.url);
    const done = client.mutation(register, { jobId });
    await eventuallyGiven(server, "dropAnswer", 1);
    await setFaults(server, {});
    // Run again, it would be refused: the job has become another user's.
    await server.post(newJob({ jobId, userId: "ada" }));
    client.setAuth(async () => tokenOf("eve"));
    expect(await done).toBeNull();
  });
});

test.each([1, 2, 3])(
  "a sender that repeats ends with the right rows, with every fault in 3 of 10 (seed %i)",
  async (seed) => {
    const faults = { writeConflict: 0.3, "429": 0.3, "503": 0.3, dropAnswer: 0.3, seed };
    const server = await starting(faults);
    const jobs = Array.from({ length: 8 }, () => newJob());
    await Promise.all(
      jobs.map(async (job) => {
        for (let sequence = 1; sequence <= 5; sequence++) await send(server, { ...job, sequence });
      }),
    );
    for (const count of Object.values(await given(server))) expect(count).toBeGreaterThan(0);
    await setFaults(server, {});
    const client = new ConvexHttpClient(server.url, { logger: false });
    for (const job of jobs) {
      expect(await client.query(get, { jobId: job.jobId })).toMatchObject({ ...job, sequence: 5 });
    }
  },
);

/** As the gateway does: again after 429, 503 and a connection that broke. */
async function send(server: DevServer, job: ReturnType<typeof newJob>): Promise<void> {
  for (;;) {
    const answer = await server.post(job).catch(() => null);
    if (answer?.status === 200) return;
    expect([undefined, 429, 503]).toContain(answer?.status);
  }
}

async function eventuallyGiven(server: DevServer, kind: string, count: number): Promise<void> {
  let seen = 0;
  await eventually(() => {
    void given(server).then((counts) => (seen = counts[kind] ?? 0));
    return seen >= count;
  });
}

describe("settings", () => {
  test("are off until they are set, and read back with the count of what was given", async () => {
    const off = { writeConflict: 0, "429": 0, "503": 0, dropAnswer: 0 };
    expect(new Faults(null).describe()).toMatchObject({ settings: off, given: off });
    const server = await starting({ "503": 1, seed: 7 });
    await server.post(newJob());
    const response = await fetch(`${server.url}/devserver/faults`);
    expect(await response.json()).toEqual({
      settings: { ...off, "503": 1, seed: 7 },
      given: { ...off, "503": 1 },
    });
  });

  test("with the same seed give the same faults", () => {
    const drawn = (seed: number) => {
      const faults = new Faults(JSON.stringify({ "429": 0.5, seed }));
      return Array.from({ length: 50 }, () => faults.happens("429"));
    };
    expect(drawn(1)).toEqual(drawn(1));
    expect(drawn(1)).not.toEqual(drawn(2));
  });

  test.each([
    ["no JSON", "often", "JSON object"],
    ["no object", "[0.1]", "JSON object"],
    ["null", "null", "JSON object"],
    ["an unknown fault", '{"500": 0.1}', '"500" is no fault'],
    ["a chance above 1", '{"429": 2}', '"429": 2 is no chance'],
    ["a chance below 0", '{"503": -0.1}', '"503": -0.1 is no chance'],
    ["a chance that is no number", '{"503": "1"}', '"503": "1" is no chance'],
    ["a seed that is no whole number", '{"seed": 0.5}', '"seed": 0.5 is no whole number'],
  ])("that are %s are refused, and those there were stay", async (_name, text, message) => {
    const faults = new Faults('{"429": 1, "seed": 1}');
    expect(() => faults.set(text)).toThrow(message);
    expect(faults.describe().settings).toMatchObject({ "429": 1, seed: 1 });
  });

  test("that are refused are a 400 of the route, and end the start", async () => {
    const server = await starting({});
    const body = '{"429": 2}';
    const response = await fetch(`${server.url}/devserver/faults`, { method: "PUT", body });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ code: "BadFaults" });
    expect((await fetch(`${server.url}/devserver/faults`, { method: "POST" })).status).toBe(405);
    const refused = DevServer.spawn({ CONVEX_DEV_FAULTS: body });
    expect(await refused.ended()).toBe(1);
    expect(refused.output.stderr).toContain(`CONVEX_DEV_FAULTS=${body}: "429": 2 is no chance`);
    expect(refused.output.stderr).not.toContain("    at ");
  });
});
