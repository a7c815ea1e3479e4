/**
 * The latest mutations that were done, by session and request. A client that was cut off before
 * the answer came sends its mutation again, with the numbers it had: it is not done twice.
 */
const REMEMBERED = 1000;

export class AnsweredMutations<Outcome> {
  readonly #outcomes = new Map<string, Promise<Outcome>>();

  /** What `run` gives, or gave for the same request; one that rejects is run again. */
  once(session: string, requestId: number, run: () => Promise<Outcome>): Promise<Outcome> {
    const key = `${requestId} ${session}`;
    const known = this.#outcomes.get(key);
    if (known !== undefined) return known;
    const outcome = run();
    this.#outcomes.set(key, outcome);
    outcome.catch(() => this.#outcomes.delete(key));
    for (const oldest of this.#outcomes.keys()) {
      if (this.#outcomes.size <= REMEMBERED) break;
      this.#outcomes.delete(oldest);
    }
    return outcome;
  }
}
