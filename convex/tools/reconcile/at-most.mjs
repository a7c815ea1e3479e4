/**
 * Does `work` for each item, with at most `limit` under way. After a failure no further item is
 * begun; it is thrown when those under way have ended.
 *
 * @template T
 * @param {number} limit
 * @param {Iterable<T>} items
 * @param {(item: T) => Promise<void>} work
 */
export async function atMost(limit, items, work) {
  const waiting = items[Symbol.iterator]();
  /** @type {unknown[]} */
  const failures = [];
  const worker = async () => {
    for (let next = waiting.next(); !next.done && failures.length === 0; next = waiting.next()) {
      await work(next.value).catch((failure) => failures.push(failure));
    }
  };
  await Promise.all(Array.from({ length: limit }, worker));
  if (failures.length > 0) throw failures[0];
}
