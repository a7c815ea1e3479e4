/** convex-test looks at every document for every query; with these it looks at those that can match. */
import { indexedFields, keysOf, sourceKey, tableKey, type IndexedFields } from "./keys";
import { tableOf, type Document, type Source, type Tables } from "./internals";

export class Indexes {
  readonly fields: IndexedFields;
  /** The ids of the committed documents. */
  readonly #ids = new Map<string, Set<string>>();
  readonly #tables: Tables;
  #source: Source | null = null;

  /** From here on, queries over these tables go by the indexes; what the tables hold is added. */
  constructor(tables: Tables) {
    this.#tables = tables;
    this.fields = indexedFields(tables);
    for (const document of Object.values(tables._documents)) this.replace(null, document);
    const resolve = tables._resolveQuerySource.bind(tables);
    tables._resolveQuerySource = (query) => this.#during(query.source, () => resolve(query));
    tables._iterateDocs = (table, callback) => this.#iterate(table, callback);
  }

  /** Has to be told of every commit. */
  replace(before: Document | null, after: Document | null): void {
    const keys = after === null ? [] : keysOf(after, this.fields);
    if (before !== null) this.#remove(before, keys);
    if (after !== null) this.#add(after, keys);
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
    const key =
      this.#source === null ? tableKey(table) : sourceKey(this.#source, table, this.fields);
    const ids = new Set(this.#ids.get(key));
    for (const writes of this.#tables._writes) {
      for (const id of Object.keys(writes)) if (tableOf(id) === table) ids.add(id);
    }
    for (const id of ids) {
      const document = this.#tables.get(table, id);
      if (document !== null) callback(document);
    }
  }

  #add({ _id }: Document, keys: string[]): void {
    for (const key of keys) {
      const ids = this.#ids.get(key);
      if (ids === undefined) this.#ids.set(key, new Set([_id]));
      else ids.add(_id);
    }
  }

  #remove(document: Document, kept: string[]): void {
    for (const key of keysOf(document, this.fields)) {
      if (kept.includes(key)) continue;
      const ids = this.#ids.get(key);
      ids?.delete(document._id);
      if (ids?.size === 0) this.#ids.delete(key);
    }
  }
}
