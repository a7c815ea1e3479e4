/** Ties what is looked up in the tables to the query that asked. */
import { AsyncLocalStorage } from "node:async_hooks";

type OnRead = (key: string) => void;

const running = new AsyncLocalStorage<OnRead>();

/** Until what `run` starts has ended, `onRead` hears of every key (`keys.ts`) that it looks for. */
export function withReads<Result>(onRead: OnRead, run: () => Result): Result {
  return running.run(onRead, run);
}

export function noteRead(key: string): void {
  running.getStore()?.(key);
}
