/** The functions over their tables: run by convex-test, each commit announced. */
import { convexTest } from "convex-test";
import { makeFunctionReference, type UserIdentity } from "convex/server";
import { convexToJson, jsonToConvex, type JSONValue, type Value } from "convex/values";
import schema from "../../convex/schema";
import { Database, type CommitListener } from "./database";
import type { Faults } from "./faults";
import { cronJobs, kindOfAny, modules, nameOf, publicKind, type FunctionKind } from "./functions";
import { LiveQueries, type Question, type Subscription } from "./live";

export type Identity = Partial<UserIdentity> | null;

export class Backend {
  /** The time of the latest commit, in nanoseconds since 1970, as clients get to see it. */
  #ts = BigInt(Date.now()) * 1_000_000n;
  readonly #live = new LiveQueries({
    run: ({ path, args, identity }) => this.run("query", path, args, identity),
  });
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #t = convexTest({ schema, modules, transactionLimits: true });
  #database: Database | null = null;

  private constructor() {}

  /** Throws, with the data file as it was, where it is none or holds what the schema does not allow. */
  static async open({
    dataFile,
    faults,
  }: {
    dataFile: string | null;
    faults: Faults;
  }): Promise<Backend> {
    const backend = new Backend();
    const onCommit: CommitListener = (ts, keys) => {
      backend.#ts = ts > backend.#ts ? ts : backend.#ts + 1n;
      backend.#live.commit(keys);
    };
    await backend.#t.run(async () => {
      backend.#database = new Database({ dataFile, faults, onCommit });
    });
    await backend.#startCrons();
    return backend;
  }

  get ts(): bigint {
    return this.#ts;
  }

  /** Calls `onChange` soon after each commit that may have changed the answer of a public query. */
  subscribe(question: Question, onChange: () => void): Subscription {
    return this.#live.subscribe(question, onChange);
  }

  /** The result of a public function. Rejects as the function does. */
  async run(
    kind: FunctionKind,
    path: string,
    args: JSONValue,
    identity: Identity,
  ): Promise<JSONValue> {
    if ((await publicKind(path)) !== kind) {
      throw new Error(
        `Could not find public function for '${path}'. ` +
          "Did you forget to run `npx convex dev` or `npx convex deploy`?",
      );
    }
    return convexToJson(await this.#call(kind, nameOf(path), jsonToConvex(args), identity));
  }

  /** The answer of the HTTP action at this path. Rejects as the action does. */
  async fetch(path: string, init: RequestInit, identity: Identity): Promise<Response> {
    return await this.#as(identity).fetch(path, init);
  }

  close(): void {
    for (const timer of this.#timers) clearInterval(timer);
    this.#database?.close();
  }

  #as(identity: Identity) {
    return identity === null ? this.#t : this.#t.withIdentity(identity);
  }

  async #call(kind: FunctionKind, path: string, args: Value, identity: Identity): Promise<Value> {
    const t = this.#as(identity);
    const fields = args as Record<string, Value>;
    switch (kind) {
      case "query":
        return (await t.query(makeFunctionReference<"query">(path), fields)) ?? null;
      case "mutation":
        return (await t.mutation(makeFunctionReference<"mutation">(path), fields)) ?? null;
      case "action":
        return (await t.action(makeFunctionReference<"action">(path), fields)) ?? null;
    }
  }

  /** Interval jobs run here as they do there; the other kinds are named and left out. */
  async #startCrons(): Promise<void> {
    for (const [name, { name: path, args, schedule }] of Object.entries(await cronJobs())) {
      const kind = await kindOfAny(path);
      if (schedule.type !== "interval" || kind === null) {
        console.error(`cron "${name}" does not run in the development backend`);
        continue;
      }
      const run = () =>
        this.#call(kind, path, jsonToConvex((args as JSONValue[])[0] ?? {}), null).catch(
          (error: unknown) => {
            console.error(`cron "${name}" failed:`, error);
          },
        );
      this.#timers.push(setInterval(run, milliseconds(schedule)).unref());
    }
  }
}

function milliseconds(interval: { seconds?: number; minutes?: number; hours?: number }): number {
  const { seconds = 0, minutes = 0, hours = 0 } = interval;
  return ((hours * 60 + minutes) * 60 + seconds) * 1000;
}
