import net from "node:net";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { WebSocket } from "ws";
import { DevServer, eventually, KEY, newJob } from "./support";

let server: DevServer;
beforeAll(async () => void (server = await DevServer.start()));
afterAll(async () => {
  const { body } = await server.post(newJob());
  expect(body).toEqual({ outcome: "applied" }); // nothing of all this broke it
  expect(await server.end()).toBe(0);
});

const GET = { path: "transcriptionJobs:get", args: { jobId: "unknown" } };

async function call(body: unknown, { path = "/api/query", method = "POST" } = {}) {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const response = await fetch(`${server.url}${path}`, {
    method,
    ...(method === "POST" && { body: text }),
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

describe("the function API", () => {
  test("takes arguments as an object and in an array, with a client version in the path or not, and modules as files", async () => {
    const success = { status: 200, body: { status: "success", value: null, logLines: [] } };
    expect(await call(GET)).toEqual(success);
    expect(await call({ ...GET, args: [GET.args] })).toEqual(success);
    expect(await call(GET, { path: "/api/1.48.0/query" })).toEqual(success);
    expect(await call({ ...GET, path: "transcriptionJobs.js:get" })).toEqual(success);
  });

  test.each([
    ["no JSON", "{"],
    ["nothing", ""],
    ["no object", "7"],
    ["null", "null"],
    ["no path", { args: {} }],
    ["a path that is no string", { path: 7, args: {} }],
    ["arguments that are no object", { ...GET, args: "x" }],
    ["arguments that are null", { ...GET, args: [null] }],
  ])("answers 400 to %s", async (_name, body) => {
    expect(await call(body)).toMatchObject({ status: 400, body: { code: "BadJsonBody" } });
  });

  test.each([
    [{ ...GET, args: { jobId: { $odd: 1 } } }],
    [{ ...GET, path: "" }],
    [{ ...GET, path: "__proto__:x" }],
    [{ ...GET, path: "schema:default" }],
    [{ ...GET, path: "_generated/api:api" }],
  ])("answers %j as a function that failed", async (body) => {
    expect(await call(body)).toMatchObject({ status: 560, body: { status: "error" } });
  });

  test("knows no other paths and methods", async () => {
    expect((await call(GET, { path: "/api/drop" })).status).toBe(404);
    expect((await call(GET, { method: "GET" })).status).toBe(405);
  });

  test("lets pages of other origins in", async () => {
    const response = await fetch(`${server.url}/api/query`, { method: "OPTIONS" });
    expect(response.status).toBe(204);
    expect(response.headers.get("Access-Control-Allow-Origin")).toBe("*");
  });

  test("answers 413 to a body over 16 MiB", async () => {
    expect(await raw(new URL(server.url), largeRequest(16 * 1024 * 1024 + 1))).toContain(
      "413 Payload Too Large",
    );
  });
});

describe("HTTP actions", () => {
  test("are served on the site port, and on the main port below /http", async () => {
    for (const base of [server.siteUrl, `${server.url}/http`]) {
      const response = await fetch(`${base}/webhooks/transcription-jobs`, { method: "POST" });
      expect(response.status).toBe(401);
      expect(response.headers.get("WWW-Authenticate")).toBe("Bearer");
    }
  });

  test("without a route are 404, as on the service", async () => {
    for (const path of ["/", "/other", "//", "/webhooks/transcription-jobs"]) {
      const response = await fetch(`${server.siteUrl}${path}`);
      expect(response.status).toBe(404);
      expect(await response.text()).toBe("No matching routes found");
    }
  });

  test("a posted body over the function's bound is the function's 413", async () => {
    const response = await fetch(`${server.siteUrl}/webhooks/transcription-jobs`, {
      method: "POST",
      headers: { Authorization: `Bearer ${KEY}` },
      body: "x".repeat(1_000_001),
    });
    expect(response.status).toBe(413);
    expect(await response.json()).toMatchObject({ code: "too_large" });
  });

  test.each([
    ["another method", "BREW / HTTP/1.1\r\nHost: x\r\n\r\n", 400],
    [
      "a method that Request does not take",
      "TRACE / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
      400,
    ],
    ["a target that is no path", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 400],
    ["a whole URL", "GET http://other/ HTTP/1.1\r\nHost: x\r\n\r\n", 400],
    ["a header beyond ASCII", "GET / HTTP/1.1\r\nHost: x\r\nX: \xff\r\n\r\n", 404],
    ["nonsense", "nonsense\r\n\r\n", 400],
    ["a header of 70 kB", `GET / HTTP/1.1\r\nHost: x\r\nX: ${"x".repeat(70_000)}\r\n\r\n`, 431],
  ])("%s is answered", async (_name, request, status) => {
    expect(await raw(new URL(server.siteUrl), request)).toContain(`HTTP/1.1 ${status}`);
  });
});

describe("the sync WebSocket", () => {
  /** A socket, all that came over it, and how it was closed. */
  async function open(path = "/api/sync") {
    const socket = new WebSocket(`${server.url.replace("http", "ws")}${path}`);
    const received: Record<string, unknown>[] = [];
    const state = { code: 0 };
    socket.on("message", (data) =>
      received.push(JSON.parse(String(data)) as Record<string, unknown>),
    );
    socket.on("error", () => {});
    socket.on("close", (code) => (state.code = code));
    onTestFinished(() => socket.terminate());
    await eventually(() => socket.readyState === WebSocket.OPEN || state.code !== 0);
    return {
      socket,
      received,
      state,
      send: (message: object) => socket.send(JSON.stringify(message)),
    };
  }

  const subscription = (queryId: number, jobId: string, version = 0) => ({
    type: "ModifyQuerySet",
    baseVersion: version,
    newVersion: version + 1,
    modifications: [{ type: "Add", queryId, udfPath: "transcriptionJobs:get", args: [{ jobId }] }],
  });

  test("brings each subscription from version to version without a gap", async () => {
    const job = newJob();
    const { received, send } = await open("/api/1.48.0/sync");
    send({ type: "Connect", sessionId: "s", connectionCount: 0, lastCloseReason: null });
    send(subscription(0, job.jobId));
    await eventually(() => received.length === 1);
    await server.post(job);
    await eventually(() => received.length === 2);
    const [first, second] = received;
    expect(first).toMatchObject({
      modifications: [{ type: "QueryUpdated", queryId: 0, value: null }],
    });
    expect(second).toMatchObject({
      startVersion: first?.endVersion,
      modifications: [{ value: job }],
    });
  });

  test("sends nothing to those whom a change does not concern", async () => {
    const [mine, other] = [newJob(), newJob()];
    const { received, send } = await open();
    send(subscription(0, mine.jobId));
    await eventually(() => received.length === 1);
    await server.post(other);
    await server.post(mine);
    await eventually(() => received.length >= 2);
    expect(received).toHaveLength(2);
  });

  test.each([
    ["no JSON", "{"],
    ["no object", "7"],
    ["null", "null"],
    ["no type", "{}"],
    ["an unknown type", '{"type":"Drop"}'],
    ["a session without a name", '{"type":"Connect"}'],
    ["no modifications", '{"type":"ModifyQuerySet","baseVersion":0,"newVersion":1}'],
    [
      "an unknown modification",
      '{"type":"ModifyQuerySet","baseVersion":0,"newVersion":1,"modifications":[{"type":"X","queryId":0}]}',
    ],
    [
      "a modification that is null",
      '{"type":"ModifyQuerySet","baseVersion":0,"newVersion":1,"modifications":[null]}',
    ],
    [
      "a gap between versions",
      '{"type":"ModifyQuerySet","baseVersion":5,"newVersion":6,"modifications":[]}',
    ],
    ["a call without a path", '{"type":"Mutation","requestId":0,"args":[{}]}'],
    ["a call without a number", '{"type":"Action","requestId":-1,"udfPath":"a:b","args":[{}]}'],
    [
      "an administrator's token",
      '{"type":"Authenticate","tokenType":"Admin","value":"x","baseVersion":0}',
    ],
    ["a gap between identities", '{"type":"Authenticate","tokenType":"None","baseVersion":3}'],
    ["bytes", Buffer.from([0, 1, 2])],
  ])("%s ends the connection it came over, and no other", async (_name, message) => {
    const job = newJob();
    const [broken, sound] = [await open(), await open()];
    sound.send(subscription(0, job.jobId));
    broken.socket.send(message);
    await eventually(() => broken.state.code === 1002);
    expect(broken.received).toMatchObject([{ type: "FatalError", error: expect.any(String) }]);
    await server.post(job);
    await eventually(() => sound.received.length === 2);
  });

  test("a message over 16 MiB ends its connection", async () => {
    const { socket, state } = await open();
    socket.send("x".repeat(16 * 1024 * 1024 + 1));
    await eventually(() => state.code !== 0);
    expect(state.code).toBe(1009);
  });

  test("more than 1000 queries end their connection", async () => {
    const { received, send, state } = await open();
    const add = { type: "Add", udfPath: "transcriptionJobs:get", args: [{ jobId: "unknown" }] };
    const modifications = Array.from({ length: 1001 }, (_, queryId) => ({ ...add, queryId }));
    send({ type: "ModifyQuerySet", baseVersion: 0, newVersion: 1, modifications });
    await eventually(() => state.code === 1002);
    expect(received.at(-1)).toMatchObject({ type: "FatalError" });
  });

  test.each(["not a token", "a.b.c", ""])(
    "a token that is none (%j) is an AuthError",
    async (value) => {
      const { received, send } = await open();
      send({ type: "Authenticate", tokenType: "User", value, baseVersion: 0 });
      await eventually(() => received.length === 1);
      expect(received[0]).toMatchObject({
        type: "AuthError",
        authUpdateAttempted: true,
        baseVersion: 0,
      });
    },
  );

  test("is nowhere else", async () => {
    expect((await open("/api/other")).state.code).toBe(1006);
  });
});

function largeRequest(bytes: number): string {
  const head = `POST /api/query HTTP/1.1\r\nHost: x\r\nContent-Length: ${bytes}\r\n\r\n`;
  return head + " ".repeat(bytes);
}

/** What a server answers to these bytes before it closes the connection or goes quiet after an answer. */
async function raw({ hostname, port }: URL, request: string): Promise<string> {
  const socket = net.connect(Number(port), hostname);
  onTestFinished(() => void socket.destroy());
  let answer = "";
  socket.on("data", (chunk) => (answer += chunk.toString("latin1")));
  socket.on("error", () => {});
  socket.write(Buffer.from(request, "latin1"));
  await eventually(() => answer.includes("\r\n\r\n"));
  return answer;
}
