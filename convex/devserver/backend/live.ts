/**
 * The queries that clients are subscribed to. Each runs once for all who ask the same, and again
 * only after a commit that touched what it had read.
 */
import type { JSONValue } from "convex/values";
import type { Identity } from "./backend";
import { failureOf, type Failure } from "./failure";
import { withReads } from "./reads";

export type Question = { path: string; args: JSONValue; identity: Identity };

/** `content` differs where a client would see a difference. */
export type Answer = { content: string } & ({ value: JSONValue } | { failure: Failure });

export type Subscription = {
  /** As of the latest commit when it is asked for, or of a later one. */
  answer(): Promise<Answer>;
  end(): void;
};

type LiveQuery = Question & {
  name: string;
  subscribers: Set<() => void>;
  reads: Set<string>;
  /** null: to be asked anew. */
  answer: Promise<Answer> | null;
};

export class LiveQueries {
  readonly #run: (question: Question) => Promise<JSONValue>;
  readonly #queries = new Map<string, LiveQuery>();
  readonly #readers = new Map<string, Set<LiveQuery>>();

  constructor({ run }: { run: (question: Question) => Promise<JSONValue> }) {
    this.#run = run;
  }

  /** Calls `onChange` soon after each commit that may have changed the answer. */
  subscribe(question: Question, onChange: () => void): Subscription {
    const query = this.#queryOf(question);
    // Subscribing twice with one listener counts as two.
    const subscriber = () => onChange();
    query.subscribers.add(subscriber);
    return {
      answer: () => (query.answer ??= this.#answer(query)),
      end: () => {
        const isLast = query.subscribers.delete(subscriber) && query.subscribers.size === 0;
        if (isLast) this.#forget(query);
      },
    };
  }

  /** Has to be told the keys of what each commit wrote, before anything else can be read. */
  commit(keys: Iterable<string>): void {
    const touched = new Set<LiveQuery>();
    for (const key of keys) this.#readers.get(key)?.forEach((query) => touched.add(query));
    if (touched.size === 0) return;
    for (const query of touched) this.#reset(query);
    setImmediate(() => {
      for (const query of touched) query.subscribers.forEach((subscriber) => subscriber());
    });
  }

  #queryOf(question: Question): LiveQuery {
    const name = JSON.stringify([question.path, question.args, question.identity]);
    const known = this.#queries.get(name);
    if (known !== undefined) return known;
    const query: LiveQuery = {
      ...question,
      name,
      subscribers: new Set(),
      reads: new Set(),
      answer: null,
    };
    this.#queries.set(name, query);
    return query;
  }

  async #answer(query: LiveQuery): Promise<Answer> {
    const { path, args, identity } = query;
    try {
      const onRead = (key: string) => this.#note(query, key);
      const value = await withReads(onRead, () => this.#run({ path, args, identity }));
      return { content: `value ${JSON.stringify(value)}`, value };
    } catch (error) {
      const failure = failureOf(error);
      return { content: `failure ${String(error)} ${JSON.stringify(failure.data)}`, failure };
    }
  }

  /** Noted at once: a commit may come before the answer is taken. */
  #note(query: LiveQuery, key: string): void {
    if (query.subscribers.size === 0) return;
    query.reads.add(key);
    const readers = this.#readers.get(key);
    if (readers === undefined) this.#readers.set(key, new Set([query]));
    else readers.add(query);
  }

  #reset(query: LiveQuery): void {
    for (const key of query.reads) {
      const readers = this.#readers.get(key);
      readers?.delete(query);
      if (readers?.size === 0) this.#readers.delete(key);
    }
    query.reads.clear();
    query.answer = null;
  }

  #forget(query: LiveQuery): void {
    this.#reset(query);
    this.#queries.delete(query.name);
  }
}
