import { afterAll, beforeAll, expect, test } from "vitest";
import type { ViteDevServer } from "vite";
import { createLoader } from "../../devserver/loader.mjs";
import type * as IndexedTables from "./indexedTables";
import { Random } from "./random";

type Step = IndexedTables.Step;

let loader: ViteDevServer;
let tables: typeof IndexedTables;
beforeAll(async () => {
  loader = await createLoader();
  const module = await loader.ssrLoadModule("/tests/devserver/indexedTables.ts");
  tables = module as typeof IndexedTables;
});
afterAll(async () => await loader.close());

/** Values that are easily taken for one another. */
const VALUES = [null, true, "true", 0, -0, 1, 1n, "1", NaN, "", "null", [], [1], {}, { inner: 1 }];

function transactionsOf(random: Random): (Step | "abort")[][] {
  let inserted = 0;
  const value = () => random.oneOf(VALUES);
  const fields = () => ({ a: value(), b: value(), c: random.oneOf([{ inner: value() }, value()]) });
  const known = () => random.below(inserted + 1); // the one too many is not there
  const makers: (() => Step)[] = [
    () => (inserted++, { do: "insert", table: "things", fields: fields() }),
    () => (inserted++, { do: "insert", table: "others", fields: { a: value() } }),
    () => ({ do: "patch", document: known(), fields: { a: value() } }),
    () => ({ do: "replace", document: known(), fields: fields() }),
    () => ({ do: "delete", document: known() }),
    () => ({ do: "scan", table: random.oneOf(["things", "others"]) }),
    () => ({ do: "find", index: "by_a", bounds: [["eq", "a", value()]] }),
    () => ({ do: "find", index: "by_a", bounds: [["eq", "a", undefined]] }),
    () => ({ do: "find", index: "by_a", bounds: [[random.oneOf(["gt", "lte"]), "a", value()]] }),
    () => ({
      do: "find",
      index: "by_b_a",
      bounds: [
        ["eq", "b", value()],
        [random.oneOf(["eq", "gt"]), "a", value()],
      ],
    }),
    () => ({ do: "find", index: "by_inner", bounds: [["eq", "c.inner", value()]] }),
    () => ({ do: "find", index: "by_a", bounds: [] }),
  ];
  return Array.from({ length: 40 }, () => {
    const steps: (Step | "abort")[] = Array.from({ length: 1 + random.below(6) }, () =>
      random.oneOf(makers)(),
    );
    return random.next() < 0.2 ? [...steps, "abort"] : steps;
  });
}

test.each(Array.from({ length: 25 }, (_, seed) => seed))(
  "with indexes every query finds what a scan finds (seed %i)",
  async (seed) => {
    const { indexed, scanning } = await tables.runBoth(transactionsOf(new Random(seed)));
    expect(indexed).toEqual(scanning);
    expect(indexed.filter((found) => found.includes("_id")).length).toBeGreaterThan(5);
  },
);

test("a query for one value looks at the documents that have it, not at the table", async () => {
  expect(await tables.lookedAtAmong(500)).toBe(1);
});
