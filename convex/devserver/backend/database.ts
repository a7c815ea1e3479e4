/** convex-test's tables: indexed, kept in a file, each commit announced. */
import { WriteConflict, type Faults } from "./faults";
import { Indexes } from "./indexes";
import {
  currentInternals,
  tableOf,
  type Document,
  type Tables,
  type TransactionManager,
  type Writes,
} from "./internals";
import { Journal, readDocuments } from "./journal";
import { lock } from "./lock";

/** `keys` (see `keys.ts`) are those of every document that the transaction wrote, before and after. */
export type CommitListener = (ts: bigint, keys: Set<string>) => void;

export class Database {
  readonly #tables: Tables;
  readonly #indexes: Indexes;
  readonly #journal: Journal | null;
  readonly #unlock: () => void;
  readonly #faults: Faults;
  readonly #onCommit: CommitListener;

  /**
   * Has to be called inside a function of the test backend. Throws, with the data file as it was,
   * where it is none or holds what the schema does not allow.
   */
  constructor({
    dataFile,
    faults,
    onCommit,
  }: {
    dataFile: string | null;
    faults: Faults;
    onCommit: CommitListener;
  }) {
    const { tables, transactionManager } = currentInternals();
    this.#unlock = dataFile === null ? () => {} : lock(dataFile);
    const documents = dataFile === null ? new Map<string, Document>() : readDocuments(dataFile);
    for (const document of documents.values()) restore(tables, document, `${dataFile}`);
    this.#journal = dataFile === null ? null : Journal.begin(dataFile, documents);
    this.#tables = tables;
    this.#indexes = new Indexes(tables);
    this.#faults = faults;
    this.#onCommit = onCommit;
    this.#watch(transactionManager);
  }

  close(): void {
    this.#journal?.close();
    this.#unlock();
  }

  /** A mutation whose writes cannot be kept is rolled back. */
  #watch(transactionManager: TransactionManager): void {
    const commit = transactionManager.commit.bind(transactionManager);
    transactionManager.commit = (isNested) =>
      isNested ? commit(isNested) : this.#commit(() => commit(isNested));
    const end = transactionManager._endTransaction.bind(transactionManager);
    transactionManager._endTransaction = (isNested) => {
      // convex-test keeps the results of every query there ever was.
      if (!isNested) this.#tables._queryResults = {};
      end(isNested);
    };
  }

  /** Throws where the mutation is to be rolled back. */
  #keep(first: string, writes: Writes): void {
    if (this.#faults.happens("writeConflict")) throw new WriteConflict(tableOf(first));
    this.#journal?.append(writes);
  }

  #commit(commit: () => bigint | null): bigint | null {
    const writes = this.#tables._writes[0] ?? {};
    const kept = withoutSystemTables(writes);
    const [first] = Object.keys(kept);
    if (first !== undefined) this.#keep(first, kept);
    const before = new Map(Object.keys(writes).map((id) => [id, this.#tables._documents[id]]));
    const ts = commit();
    const keys = new Set(before.keys());
    for (const [id, document = null] of before) {
      const after = this.#tables._documents[id] ?? null;
      this.#indexes.replace(document, after).forEach((key) => keys.add(key));
    }
    this.#journal?.tidy(() => this.#keptDocuments());
    if (ts !== null && keys.size > 0) this.#onCommit(ts, keys);
    return ts;
  }

  #keptDocuments(): Document[] {
    const documents = Object.values(this.#tables._documents);
    return documents.filter(({ _id }) => !tableOf(_id).startsWith("_"));
  }
}

function restore(tables: Tables, document: Document, file: string): void {
  const { _id, _creationTime, ...fields } = document;
  try {
    tables._validate(tableOf(_id), fields);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`${file}: document ${_id} does not fit the schema: ${reason}`, {
      cause: error,
    });
  }
  tables._documents[_id] = document;
  tables._nextDocId = Math.max(tables._nextDocId, Number.parseInt(_id, 10) + 1);
  tables._lastCreationTime = Math.max(tables._lastCreationTime, _creationTime);
}

function withoutSystemTables(writes: Writes): Writes {
  return Object.fromEntries(Object.entries(writes).filter(([id]) => !tableOf(id).startsWith("_")));
}
