/**
 * One client's view: the queries it subscribed to, kept current by transitions. A transition
 * brings the client from one version (query set, identity, time of the data) to the next; the
 * client checks that each begins where the last one ended.
 */
import { randomUUID } from "node:crypto";
import type { JSONValue } from "convex/values";
import type { Backend, Identity } from "../backend/backend";
import { failureOf, type Failure } from "../backend/failure";
import { WriteConflict, type Faults } from "../backend/faults";
import { identityOf } from "../backend/identity";
import type { Answer, Subscription } from "../backend/live";
import type { AnsweredMutations } from "./answered";
import {
  encodeTs,
  encodeVersion,
  ProtocolError,
  type Call,
  type ClientMessage,
  type QueryRequest,
  type StateVersion,
} from "./protocol";

const MAX_QUERIES = 1000;

export type Services = {
  backend: Backend;
  faults: Faults;
  answered: AnsweredMutations<Outcome>;
};

export type Outcome = {
  requestId: number;
  success: boolean;
  result: JSONValue;
  errorData?: JSONValue;
  logLines: string[];
};

type Watched = QueryRequest & { subscription: Subscription; sent: string | null };
type Modification = { type: "QueryUpdated" | "QueryFailed" | "QueryRemoved"; queryId: number };

export class SyncSession {
  readonly #backend: Backend;
  readonly #faults: Faults;
  readonly #answered: AnsweredMutations<Outcome>;
  readonly #send: (message: object) => void;
  readonly #onBroken: (error: unknown) => void;
  readonly #drop: () => void;
  readonly #queries = new Map<number, Watched>();
  #removed: number[] = [];
  #sent: StateVersion = { querySet: 0, identity: 0, ts: 0n };
  #querySet = 0;
  #identityVersion = 0;
  #identity: Identity = null;
  #isNotified = false;
  /** The client's own name for itself, the same after it connects again. */
  #sessionId: string = randomUUID();
  /** Transitions go out one after another, and so do mutations; neither waits for actions. */
  #transitions: Promise<void> = Promise.resolve();
  #mutations: Promise<void> = Promise.resolve();

  /** `onBroken` hears of what this connection cannot go on after. */
  constructor(
    options: Services & {
      send: (message: object) => void;
      onBroken: (error: unknown) => void;
      /** Ends the connection without a word. */
      drop: () => void;
    },
  ) {
    this.#backend = options.backend;
    this.#faults = options.faults;
    this.#answered = options.answered;
    this.#drop = options.drop;
    this.#send = options.send;
    this.#onBroken = options.onBroken;
  }

  /** Throws `ProtocolError`. */
  receive(message: ClientMessage): void {
    switch (message.type) {
      case "Connect":
        this.#sessionId = message.sessionId;
        return;
      case "Event":
        return;
      case "ModifyQuerySet":
        return this.#modifyQuerySet(message);
      case "Authenticate":
        return this.#authenticate(message);
      case "Mutation":
        return this.#enqueueMutation(message);
      case "Action":
        void this.#act(message);
    }
  }

  end(): void {
    for (const { subscription } of this.#queries.values()) subscription.end();
    this.#queries.clear();
  }

  #modifyQuerySet(message: ClientMessage & { type: "ModifyQuerySet" }): void {
    if (message.baseVersion !== this.#querySet) {
      throw new ProtocolError(`baseVersion is ${message.baseVersion} and not ${this.#querySet}`);
    }
    for (const queryId of message.remove) {
      this.#queries.get(queryId)?.subscription.end();
      if (this.#queries.delete(queryId)) this.#removed.push(queryId);
    }
    for (const added of message.add) {
      this.#queries.get(added.queryId)?.subscription.end();
      this.#queries.set(added.queryId, this.#watch(added, null));
    }
    if (this.#queries.size > MAX_QUERIES)
      throw new ProtocolError(`more than ${MAX_QUERIES} queries`);
    this.#querySet = message.newVersion;
    this.#enqueueTransition({ isForced: true });
  }

  #authenticate({ baseVersion, token }: ClientMessage & { type: "Authenticate" }): void {
    if (baseVersion !== this.#identityVersion) {
      throw new ProtocolError(`baseVersion is ${baseVersion} and not ${this.#identityVersion}`);
    }
    const identity = token === null ? null : identityOf(token);
    if (token !== null && identity === null) {
      const error = "The token is no JSON Web Token with `sub` and `iss`.";
      return this.#send({ type: "AuthError", error, baseVersion, authUpdateAttempted: true });
    }
    this.#identityVersion = baseVersion + 1;
    this.#identity = identity;
    for (const { subscription, sent, ...query } of this.#queries.values()) {
      subscription.end();
      this.#queries.set(query.queryId, this.#watch(query, sent));
    }
    this.#enqueueTransition({ isForced: true });
  }

  #watch(query: QueryRequest, sent: string | null): Watched {
    const question = { path: query.path, args: query.args, identity: this.#identity };
    const subscription = this.#backend.subscribe(question, () => this.#notify());
    return { ...query, subscription, sent };
  }

  /** An answer changed, perhaps. Calls in quick succession count as one. */
  #notify(): void {
    if (this.#isNotified || this.#queries.size === 0) return;
    this.#isNotified = true;
    this.#enqueueTransition({ isForced: false });
  }

  /** After one that has to be sent again none is run: the client keeps their order. */
  #enqueueMutation(message: Call): void {
    this.#mutations = this.#mutations.then(() => this.#mutate(message));
    this.#mutations.catch(this.#onBroken);
  }

  /** The client takes a mutation as done when a transition after the response has reached its time. */
  async #mutate(message: Call): Promise<void> {
    const run = () => this.#outcomeOf("mutation", message);
    const outcome = await this.#answered.once(this.#sessionId, message.requestId, run);
    if (this.#faults.happens("dropAnswer")) return this.#drop();
    const ts = outcome.success ? { ts: encodeTs(this.#backend.ts) } : {};
    this.#send({ type: "MutationResponse", ...outcome, ...ts });
    this.#enqueueTransition({ isForced: true });
  }

  async #act(message: Call): Promise<void> {
    this.#send({ type: "ActionResponse", ...(await this.#outcomeOf("action", message)) });
  }

  async #outcomeOf(kind: "mutation" | "action", call: Call): Promise<Outcome> {
    const { requestId, path, args } = call;
    try {
      const result = await this.#backend.run(kind, path, args, this.#identity);
      return { requestId, success: true, result, logLines: [] };
    } catch (error) {
      if (kind === "mutation" && error instanceof WriteConflict) throw error;
      const failure = failureOf(error);
      return {
        requestId,
        success: false,
        result: failure.message,
        ...dataOf(failure),
        logLines: [],
      };
    }
  }

  #enqueueTransition(options: { isForced: boolean }): void {
    this.#transitions = this.#transitions
      .then(() => this.#transition(options))
      .catch((error: unknown) => this.#onBroken(error));
  }

  async #transition({ isForced }: { isForced: boolean }): Promise<void> {
    this.#isNotified = false;
    const end = { querySet: this.#querySet, identity: this.#identityVersion, ts: this.#backend.ts };
    const removed = this.#removed.map((queryId): Modification => ({
      type: "QueryRemoved",
      queryId,
    }));
    this.#removed = [];
    const answers = await Promise.all(
      [...this.#queries.values()].map((query) => this.#changeOf(query)),
    );
    const modifications = [...removed, ...answers.filter((answer) => answer !== null)];
    if (!isForced && modifications.length === 0) return;
    this.#send({
      type: "Transition",
      startVersion: encodeVersion(this.#sent),
      endVersion: encodeVersion(end),
      modifications,
    });
    this.#sent = end;
  }

  /** What the client has to be told of this query, or null if it knows. */
  async #changeOf(query: Watched): Promise<Modification | null> {
    const answer = await query.subscription.answer();
    const isGone = this.#queries.get(query.queryId) !== query;
    if (isGone || answer.content === query.sent) return null;
    query.sent = answer.content;
    return { ...modificationOf(answer), queryId: query.queryId };
  }
}

function modificationOf(answer: Answer) {
  const nothing = { logLines: [], journal: null };
  if ("value" in answer) return { type: "QueryUpdated" as const, value: answer.value, ...nothing };
  const { failure } = answer;
  const type = "QueryFailed" as const;
  return { type, errorMessage: failure.message, ...dataOf(failure), ...nothing };
}

function dataOf({ data }: Failure) {
  return data === undefined ? {} : { errorData: data };
}
