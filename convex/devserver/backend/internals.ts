/**
 * What this server needs of convex-test's inside, which is not part of its public interface:
 * the tables, to keep them in a file and to index them, and the ends of transactions. `loader.mjs`
 * lets it out; the version of convex-test is pinned, and a test restarts a real server over its data.
 */
import * as convexTestModule from "convex-test";
import type { JSONValue, Value } from "convex/values";

export type Document = Record<string, Value> & { _id: string; _creationTime: number };

/** By document id; null: deleted. */
export type Writes = Record<string, Document | null>;

/** What a query reads before it filters; other sources have other fields. */
export type Source = {
  type: string;
  /** `table.index` */
  indexName?: string;
  range?: { type: string; fieldPath: string; value: JSONValue }[];
};

export interface Tables {
  _documents: Record<string, Document>;
  /** A layer for each open (nested) mutation, the outermost first. */
  _writes: Writes[];
  /** What each query of the open transaction has left to give. */
  _queryResults: Record<string, Document[]>;
  _nextDocId: number;
  _lastCreationTime: number;
  _schema: {
    tables: Map<string, { indexes: { indexDescriptor: string; fields: string[] }[] }>;
  } | null;
  get(table: string | undefined, id: string): Document | null;
  /** Throws where the fields do not fit the schema. */
  _validate(table: string, fields: Record<string, Value>): void;
  /** Calls `_iterateDocs`, and filters and sorts what it gives. */
  _resolveQuerySource(query: { source: Source }): unknown;
  _iterateDocs(table: string, callback: (document: Document) => void): void;
}

export interface TransactionManager {
  /** Nanoseconds since 1970; null for a nested mutation, whose writes stay pending. */
  commit(isNested: boolean): bigint | null;
  /** Of queries too. */
  _endTransaction(isNested: boolean): void;
}

export interface Internals {
  components: Record<string, { db: Tables } | undefined>;
  transactionManager: TransactionManager;
}

type Exposed = { getConvexGlobal?: () => Internals };

/** Has to be called inside a function of the test backend, e.g. in `t.run`. */
export function currentInternals(): Internals & { tables: Tables } {
  const internals = (convexTestModule as Exposed).getConvexGlobal?.();
  const tables = internals?.components[""]?.db;
  if (internals === undefined || tables?._documents === undefined) {
    throw new Error("This version of convex-test keeps its tables elsewhere: see internals.ts.");
  }
  return { ...internals, tables };
}

/** The table is the end of an id: digits, then its name. Names that begin with `_` are the system's. */
export function tableOf(id: string): string {
  return id.replace(/^\d+/, "");
}
