/**
 * Indexes over convex-test's tables. It looks at every document for every query; with these it
 * looks at those that can match. What a query looked for is noted, for `live.ts`.
 */
import { tableOf, type Document, type Source, type Tables } from "./internals";
import { indexedFields, keysOf, sourceKey, tableKey, type IndexedFields } from "./keys";
import { noteRead } from "./reads";

export class Indexes {
  readonly #tables: Tables;
  readonly #fields: IndexedFields;
  readonly #get: Tables["get"];
  /** The ids of the committed documents, by key. */
  readonly #ids = new Map<string, Set<string>>();
  #source: Source | null = null;

  /** From here on, queries over these tables go by the indexes; what the tables hold is in them. */
  constructor(tables: Tables) {
    this.#tables = tables;
    this.#fields = indexedFields(tables);
    this.#get = tables.get.bind(tables);
    for (const document of Object.values(tables._documents)) this.replace(null, document);
    const resolve = tables._resolveQuerySource.bind(tables);
    tables._resolveQuerySource = (query) => this.#during(query.source, () => resolve(query));
    tables._iterateDocs = (table, callback) => this.#iterate(table, callback);
    tables.get = (table, id) => {
      noteRead(id);
      return this.#get(table, id);
    };
  }

  /** Has to be told of every commit. Returns the keys that the document had and has. */
  replace(before: Document | null, after: Document | null): string[] {
    const left = before === null ? [] : keysOf(before, this.#fields);
    const entered = after === null ? [] : keysOf(after, this.#fields);
    if (before !== null)
      this.#remove(
        before._id,
        left.filter((key) => !entered.includes(key)),
      );
    if (after !== null) this.#add(after._id, entered);
    return [...left, ...entered];
  }

  #during<Result>(source: Source, resolve: () => Result): Result {
    this.#source = source;
    try {
      return resolve();
    } finally {
      this.#source = null;
    }
  }

  /** convex-test filters what it is given: what an open transaction wrote is always among it. */
  #iterate(table: string, callback: (document: Document) => void): void {
    const source = this.#source;
    const key = source === null ? tableKey(table) : sourceKey(source, table, this.#fields);
    noteRead(key);
    const ids = new Set(this.#ids.get(key));
    for (const writes of this.#tables._writes) {
      for (const id of Object.keys(writes)) if (tableOf(id) === table) ids.add(id);
    }
    for (const id of ids) {
      const document = this.#get(table, id);
      if (document !== null) callback(document);
    }
  }

  #add(id: string, keys: string[]): void {
    for (const key of keys) {
      const ids = this.#ids.get(key);
      if (ids === undefined) this.#ids.set(key, new Set([id]));
      else ids.add(id);
    }
  }

  #remove(id: string, keys: string[]): void {
    for (const key of keys) {
      const ids = this.#ids.get(key);
      ids?.delete(id);
      if (ids?.size === 0) this.#ids.delete(key);
    }
  }
}
