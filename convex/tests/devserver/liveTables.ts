/** Live queries over tables of their own, with a count of their runs. */
import { convexTest } from "convex-test";
import { defineSchema, defineTable, type GenericQueryCtx } from "convex/server";
import { ConvexError, convexToJson, v, type JSONValue } from "convex/values";
import { Database } from "../../devserver/backend/database";
import { Faults } from "../../devserver/backend/faults";
import { LiveQueries, type Question } from "../../devserver/backend/live";

const schema = defineSchema({
  things: defineTable({ a: v.number(), b: v.number() })
    .index("by_a", ["a"])
    .index("by_b_a", ["b", "a"]),
  others: defineTable({ a: v.number() }).index("by_a", ["a"]),
});

type Args = { a: number; id: string };
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- a query may look anywhere
type Ctx = GenericQueryCtx<any>;

const byA = (ctx: Ctx, table: string, a: number) =>
  ctx.db.query(table).withIndex("by_a", (q) => q.eq("a" as never, a as never));

export const QUERIES = {
  nothing: async () => 7,
  one: async (ctx: Ctx, { a }: Args) => await byA(ctx, "things", a).first(),
  all: async (ctx: Ctx) => await ctx.db.query("others").collect(),
  document: async (ctx: Ctx, { id }: Args) => await ctx.db.get(id as never),
  range: async (ctx: Ctx, { a }: Args) =>
    await ctx.db
      .query("things")
      .withIndex("by_b_a", (q) => q.gt("b" as never, a as never))
      .collect(),
  pair: async (ctx: Ctx, { a }: Args) =>
    await ctx.db
      .query("things")
      .withIndex("by_b_a", (q) =>
        (q.eq("b" as never, a as never) as typeof q).eq("a" as never, 1 as never),
      )
      .collect(),
  /** What it reads next depends on what it read. */
  chain: async (ctx: Ctx, { a }: Args) => {
    const thing = await byA(ctx, "things", a).first();
    return thing === null ? null : await byA(ctx, "others", thing.b as number).collect();
  },
  refusal: async (ctx: Ctx, { a }: Args) => {
    if ((await byA(ctx, "others", a).first()) !== null) throw new ConvexError(`there is a ${a}`);
    return "none";
  },
} as const;

export type QueryName = keyof typeof QUERIES;

export async function open() {
  const tester = convexTest({ schema, modules: { "./_generated/api.ts": async () => ({}) } });
  const runs: string[] = [];
  const run = async ({ path, args, identity }: Question): Promise<JSONValue> => {
    const handler = QUERIES[path as QueryName];
    const caller = identity === null ? tester : tester.withIdentity(identity);
    return convexToJson(
      // eslint-disable-next-line @typescript-eslint/no-explicit-any -- a handler of any of them
      ((await caller.query((ctx: any) => handler(ctx, args as Args))) ?? null) as never,
    );
  };
  const live = new LiveQueries({
    run: async (question) => {
      runs.push(question.path);
      return await run(question);
    },
  });
  await tester.run(async () => {
    const onCommit = (_ts: bigint, keys: Set<string>) => live.commit(keys);
    new Database({ dataFile: null, faults: new Faults(null), onCommit });
  });
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- writes are made at random
  const write = async (change: (db: any) => Promise<void>) => {
    await tester.mutation(async (ctx) => await change(ctx.db));
  };
  return { live, run, runs, write };
}
