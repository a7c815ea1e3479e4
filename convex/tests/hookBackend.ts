/** The development backend as its own process, and the gateway's part: the updates that are posted to it. */

import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { ConvexReactClient } from "convex/react";
import { WebSocket } from "ws";
import type { Job } from "../react/job";

const WEBHOOK_KEY = "a-made-up-key-of-the-hook-tests";

type Addresses = { url: string; siteUrl: string };
type Running = Addresses & { process: ChildProcess };

export class LiveBackend {
  readonly #project: string;
  readonly #directory = mkdtempSync(join(tmpdir(), "hook-live-"));
  #running: Running | null = null;
  #port = 0;

  /** `project` has the folders `convex/` and `devserver/`. */
  constructor({ project = process.cwd() }: { project?: string } = {}) {
    this.#project = project;
  }

  get url(): string {
    return this.#require().url;
  }

  /** Again with the tables and at the port that it had. */
  async start(): Promise<void> {
    const child = spawn(process.execPath, ["devserver/main.mjs"], {
      cwd: this.#project,
      stdio: ["ignore", "pipe", "inherit"],
      env: {
        ...process.env,
        PORT: String(this.#port),
        SITE_PROXY_PORT: "0",
        CONVEX_DATA_FILE: join(this.#directory, "tables.json"),
        TRANSCRIPTION_WEBHOOK_KEY: WEBHOOK_KEY,
      },
    });
    const addresses = await Promise.race([addressesOf(child.stdout), endOf(child)]);
    this.#running = { process: child, ...addresses };
    this.#port = Number(new URL(this.url).port);
  }

  async stop(): Promise<void> {
    const { process: child } = this.#require();
    const ended = once(child, "exit");
    child.kill("SIGTERM");
    const [code, signal] = await ended;
    this.#running = null;
    if (code !== 0) throw new Error(`The backend ended with ${code ?? signal}.`);
  }

  /** Stops it where it still runs, and its tables are gone. */
  async remove(): Promise<void> {
    if (this.#running !== null) await this.stop();
    rmSync(this.#directory, { recursive: true });
  }

  /** What the gateway does with a job's update. */
  async deliver(job: Job): Promise<unknown> {
    const response = await fetch(`${this.#require().siteUrl}/webhooks/transcription-jobs`, {
      method: "POST",
      headers: { Authorization: `Bearer ${WEBHOOK_KEY}`, "Content-Type": "application/json" },
      body: JSON.stringify(job),
    });
    return await response.json();
  }

  #require(): Running {
    if (this.#running === null) throw new Error("The backend does not run.");
    return this.#running;
  }
}

async function addressesOf(stdout: Readable): Promise<Addresses> {
  const [line] = await once(createInterface(stdout), "line");
  return JSON.parse(String(line)) as Addresses;
}

async function endOf(child: ChildProcess): Promise<never> {
  const [code] = await once(child, "exit");
  throw new Error(`The backend ended with ${code} before it was ready.`);
}

export function connect(url: string): ConvexReactClient {
  return new ConvexReactClient(url, {
    webSocketConstructor: WebSocket as unknown as typeof globalThis.WebSocket,
    logger: false,
  });
}
