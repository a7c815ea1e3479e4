/** The same tables twice: with the indexes of the development backend, and as convex-test has them. */
import { inspect } from "node:util";
import { convexTest } from "convex-test";
import { defineSchema, defineTable } from "convex/server";
import { v, type Value } from "convex/values";
import { Database } from "../../devserver/backend/database";
import { Faults } from "../../devserver/backend/faults";
import { currentInternals } from "../../devserver/backend/internals";

const schema = defineSchema({
  things: defineTable({ a: v.any(), b: v.any(), c: v.any() })
    .index("by_a", ["a"])
    .index("by_b_a", ["b", "a"])
    .index("by_inner", ["c.inner"])
    .searchIndex("search_b", { searchField: "b", filterFields: ["a"] }),
  others: defineTable({ a: v.any() }).index("by_a", ["a"]),
});

const modules = { "./_generated/api.ts": async () => ({}) };

/** Something that both are asked to do. `document` stands for the one inserted as the nth. */
export type Step =
  | { do: "insert"; table: "things" | "others"; fields: Record<string, Value> }
  | { do: "patch" | "replace"; document: number; fields: Record<string, Value> }
  | { do: "delete"; document: number }
  | { do: "find"; index: string; bounds: ["eq" | "gt" | "lte", string, Value | undefined][] }
  | { do: "scan"; table: "things" | "others" };

/** Runs each list of steps as one mutation; one that ends in `"abort"` is rolled back. Returns all that was found. */
export async function runBoth(transactions: (Step | "abort")[][]) {
  const indexed = convexTest({ schema, modules });
  await indexed.run(
    async () => void new Database({ dataFile: null, faults: new Faults(null), onCommit: () => {} }),
  );
  const scanning = convexTest({ schema, modules });
  return { indexed: await run(indexed, transactions), scanning: await run(scanning, transactions) };
}

type Tester = ReturnType<typeof convexTest<typeof schema.tables>>;

async function run(tester: unknown, transactions: (Step | "abort")[][]): Promise<string[]> {
  const ids: string[] = [];
  const found: string[] = [];
  for (const steps of transactions) {
    await (tester as Tester)
      .mutation(async (ctx) => {
        for (const step of steps) found.push(inspect(await take(ctx.db, ids, step)));
      })
      .catch((error: Error) => found.push(error.message));
  }
  return found;
}

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- the steps are made at random
async function take(db: any, ids: string[], step: Step | "abort"): Promise<unknown> {
  if (step === "abort") throw new Error("abort");
  const withoutTime = ({ _creationTime, ...fields }: { _creationTime: number }) => fields;
  switch (step.do) {
    case "insert":
      return ids.push((await db.insert(step.table, step.fields)) as string);
    case "patch":
    case "replace":
      return await db[step.do](ids[step.document], step.fields);
    case "delete":
      return await db.delete(ids[step.document]);
    case "scan":
      return (await db.query(step.table).collect()).map(withoutTime);
    case "find": {
      const rows = await db
        .query("things")
        // eslint-disable-next-line @typescript-eslint/no-explicit-any -- as above
        .withIndex(step.index, (q: any) =>
          step.bounds.reduce((range, [operator, field, value]) => range[operator](field, value), q),
        )
        .collect();
      return rows.map(withoutTime);
    }
  }
}

/** How many of this many documents convex-test is given to find the one with a certain value. */
export async function lookedAtAmong(count: number): Promise<number> {
  const tester = convexTest({ schema, modules });
  let lookedAt = 0;
  await tester.run(async () => {
    const { tables } = currentInternals();
    new Database({ dataFile: null, faults: new Faults(null), onCommit: () => {} });
    const iterate = tables._iterateDocs;
    tables._iterateDocs = (table, callback) =>
      iterate(table, (document) => {
        lookedAt += 1;
        callback(document);
      });
  });
  await tester.mutation(async (ctx) => {
    for (let a = 0; a < count; a++) await ctx.db.insert("others", { a });
  });
  await tester.query(async (ctx) => {
    await ctx.db
      .query("others")
      .withIndex("by_a", (q) => q.eq("a", 7))
      .unique();
  });
  return lookedAt;
}
