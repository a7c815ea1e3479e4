/** The development backend as a process of its own, and the official clients connected to it. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { ConvexClient } from "convex/browser";
import { onTestFinished } from "vitest";
import { WebSocket } from "ws";
import type { JobUpdate } from "../../convex/schema";

const MAIN = fileURLToPath(new URL("../../devserver/main.mjs", import.meta.url));
const DEADLINE_MS = 15_000;
export const KEY = "key-of-the-gateway";

export class DevServer {
  private constructor(
    readonly process: ChildProcess,
    readonly output: { stdout: string; stderr: string },
  ) {}

  /** Started, perhaps not ready: for starts that are expected to fail. */
  static spawn(env: Record<string, string> = {}): DevServer {
    const settings = { PORT: "0", SITE_PROXY_PORT: "0", TRANSCRIPTION_WEBHOOK_KEY: KEY, ...env };
    const child = spawn(process.execPath, [MAIN], {
      env: { PATH: process.env.PATH, ...settings },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const output = { stdout: "", stderr: "" };
    child.stdout.on("data", (chunk) => (output.stdout += chunk));
    child.stderr.on("data", (chunk) => (output.stderr += chunk));
    return new DevServer(child, output);
  }

  static async start(env: Record<string, string> = {}): Promise<DevServer> {
    const server = DevServer.spawn(env);
    await eventually(() => {
      if (server.process.exitCode !== null) throw new Error(server.output.stderr);
      return server.output.stdout.endsWith("\n");
    });
    return server;
  }

  get url(): string {
    return this.#addresses().url;
  }

  get siteUrl(): string {
    return this.#addresses().siteUrl;
  }

  /** Its exit code, or the signal that ended it. */
  async end(signal: NodeJS.Signals = "SIGTERM"): Promise<number | string> {
    this.process.kill(signal);
    return await this.ended();
  }

  async ended(): Promise<number | string> {
    const { exitCode, signalCode } = this.process;
    if (exitCode !== null || signalCode !== null) return exitCode ?? signalCode ?? "";
    const [code, signal] = (await once(this.process, "close")) as [number | null, string | null];
    return code ?? signal ?? "";
  }

  async post(job: JobUpdate): Promise<{ status: number; body: unknown }> {
    const response = await fetch(`${this.siteUrl}/webhooks/transcription-jobs`, {
      method: "POST",
      headers: { Authorization: `Bearer ${KEY}`, "Content-Type": "application/json" },
      body: JSON.stringify(job),
    });
    return { status: response.status, body: await response.json() };
  }

  #addresses(): { url: string; siteUrl: string } {
    return JSON.parse(this.output.stdout) as { url: string; siteUrl: string };
  }
}

/** Ended with the test at the latest. */
export async function startServer(env: Record<string, string> = {}): Promise<DevServer> {
  const server = await DevServer.start(env);
  onTestFinished(async () => void (await server.end("SIGKILL")));
  return server;
}

/** The client that browsers use, over Node's sockets. Closed with the test. */
export function connect(url: string): ConvexClient {
  const client = new ConvexClient(url, {
    webSocketConstructor: WebSocket as unknown as typeof globalThis.WebSocket,
    logger: false,
  });
  onTestFinished(() => client.close());
  return client;
}

/** A path in a folder that is removed with the test. */
export async function temporaryFile(name = "tables.jsonl"): Promise<string> {
  const folder = await mkdtemp(path.join(os.tmpdir(), "devserver-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return path.join(folder, name);
}

export async function eventually(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + DEADLINE_MS;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`not within ${DEADLINE_MS} ms: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

let jobs = 0;

/** A job that no other test of the file has. */
export function newJob(changes: Partial<JobUpdate> = {}): JobUpdate {
  return {
    jobId: `job-of-a-test-number-${++jobs}`,
    userId: "anonymous",
    status: "processing",
    progress: 50,
    sequence: 2,
    result: null,
    error: null,
    timestamps: { createdAt: 1_700_000_000_000, startedAt: 1_700_000_000_100, completedAt: null },
    ...changes,
  };
}

/** A token as sign-in services give it; the development backend does not look at the signature. */
export function tokenOf(subject: string): string {
  const claims = {
    sub: subject,
    iss: "https://auth.example",
    exp: 4_000_000_000,
    iat: 1_700_000_000,
  };
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  return `${part({ alg: "RS256" })}.${part(claims)}.${Buffer.from("signature").toString("base64url")}`;
}
