import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ViteDevServer } from "vite";
import { createLoader } from "../../devserver/loader.mjs";
import type { Subscription } from "../../devserver/backend/live";
import type * as LiveTables from "./liveTables";
import { Random } from "./random";
import { eventually } from "./support";

let loader: ViteDevServer;
let tables: typeof LiveTables;
beforeAll(async () => {
  loader = await createLoader();
  const module = await loader.ssrLoadModule("/tests/devserver/liveTables.ts");
  tables = module as typeof LiveTables;
});
afterAll(async () => await loader.close());

type Opened = Awaited<ReturnType<typeof LiveTables.open>>;

const ada = { subject: "ada", issuer: "https://auth.example" };

function question(path: LiveTables.QueryName, a = 0, id = "") {
  return { path, args: { a, id }, identity: null };
}

/** A subscriber as a client is one: it asks again when it is told of a change, and not otherwise. */
function follow({ live }: Opened, asked: ReturnType<typeof question>) {
  const told: unknown[] = [];
  const latest = { content: "" };
  const ask = async () => {
    const { content } = await subscription.answer();
    latest.content = content;
    told.push(content);
  };
  const subscription: Subscription = live.subscribe(asked, () => void ask());
  return { asked, latest, told, ask, end: subscription.end };
}

/** What a client would be shown if every query ran again now. */
async function contentNow({ run }: Opened, asked: ReturnType<typeof question>): Promise<string> {
  try {
    return `value ${JSON.stringify(await run(asked))}`;
  } catch (error) {
    return `failure ${String(error)} ${JSON.stringify((error as { data?: unknown }).data)}`;
  }
}

class Session {
  readonly ids: string[] = [];
  followed: ReturnType<typeof follow>[] = [];

  constructor(
    readonly opened: Opened,
    readonly random: Random,
  ) {}

  async step(): Promise<void> {
    const roll = this.random.next();
    if (roll < 0.25) await this.follow();
    else if (roll < 0.35)
      this.followed.splice(this.random.below(this.followed.length), 1)[0]?.end();
    else await this.write();
  }

  async follow(): Promise<void> {
    const names = Object.keys(tables.QUERIES) as LiveTables.QueryName[];
    const id = this.random.oneOf([...this.ids, "00000000000000000000000000things"]);
    const followed = follow(this.opened, question(this.random.oneOf(names), this.value(), id));
    this.followed.push(followed);
    // Some of the first answers are still under way when the next write comes.
    if (this.random.next() < 0.5) await followed.ask();
    else void followed.ask();
  }

  async write(): Promise<void> {
    const { random, ids } = this;
    const [a, b, roll] = [this.value(), this.value(), random.next()];
    const id = ids[random.below(ids.length)];
    await this.opened.write(async (db) => {
      if (roll < 0.3 || id === undefined) ids.push((await db.insert("things", { a, b })) as string);
      else if (roll < 0.5) ids.push((await db.insert("others", { a })) as string);
      else if (roll < 0.8) await db.patch(id, { a });
      else await db.delete(ids.splice(ids.indexOf(id), 1)[0]);
    });
  }

  value(): number {
    return this.random.below(4);
  }
}

describe("live queries", () => {
  test.each(Array.from({ length: 20 }, (_, seed) => seed))(
    "end in what they would be if everything ran again after each write (seed %i)",
    async (seed) => {
      const opened = await tables.open();
      const session = new Session(opened, new Random(seed));
      for (let step = 0; step < 120; step++) await session.step();
      expect(session.followed.length).toBeGreaterThan(3);
      for (const { asked, latest } of session.followed) {
        const expected = await contentNow(opened, asked);
        await eventually(() => latest.content === expected);
      }
      expect(opened.runs.length).toBeLessThan(120 * session.followed.length);
    },
  );

  test("run again only after a write to what they read", async () => {
    const opened = await tables.open();
    for (const a of [1, 2]) await follow(opened, question("one", a)).ask();
    await follow(opened, question("nothing")).ask();
    expect(opened.runs).toEqual(["one", "one", "nothing"]);
    const second = follow(opened, question("one", 2));
    await second.ask();
    await opened.write(async (db) => await db.insert("things", { a: 2, b: 0 }));
    await eventually(() => second.told.length === 2);
    expect(opened.runs).toEqual(["one", "one", "nothing", "one"]);
  });

  test("that failed run again after a write to what they read before they failed", async () => {
    const opened = await tables.open();
    let id = "";
    await opened.write(async (db) => void (id = await db.insert("others", { a: 3 })));
    const refused = follow(opened, question("refusal", 3));
    await refused.ask();
    expect(refused.latest.content).toContain("there is a 3");
    await opened.write(async (db) => await db.delete(id));
    await eventually(() => refused.latest.content === 'value "none"');
  });

  test("share one run among all who ask the same, but not among different users", async () => {
    const opened = await tables.open();
    const asked = question("one", 1);
    const same = Array.from({ length: 20 }, () => follow(opened, asked));
    await Promise.all(same.map(({ ask }) => ask()));
    expect(opened.runs).toHaveLength(1);
    await opened.live.subscribe({ ...asked, identity: ada }, () => {}).answer();
    expect(opened.runs).toHaveLength(2);
    await opened.write(async (db) => await db.insert("things", { a: 1, b: 0 }));
    await eventually(() => same.every(({ told }) => told.length === 2));
    expect(opened.runs).toHaveLength(3);
  });

  test("are forgotten when the last subscriber ends", async () => {
    const opened = await tables.open();
    const followed = [0, 1].map(() => follow(opened, question("one", 1)));
    for (const { ask } of followed) await ask();
    followed[0]?.end();
    await opened.write(async (db) => await db.insert("things", { a: 1, b: 0 }));
    await eventually(() => followed[1]?.told.length === 2);
    followed[1]?.end();
    await opened.write(async (db) => await db.insert("things", { a: 1, b: 1 }));
    const after = follow(opened, question("one", 1));
    await after.ask();
    expect(opened.runs).toHaveLength(3);
    expect(followed.map(({ told }) => told.length)).toEqual([1, 2]);
  });
});
