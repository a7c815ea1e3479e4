/** How many of each kind: `312 jobs: 300 applied, 12 stale`. */
export class Counts {
  /** @param {string[]} kinds named even if there are none */
  constructor(...kinds) {
    this.numbers = new Map(kinds.map((kind) => [kind, 0]));
  }

  /** @param {string} kind */
  add(kind) {
    this.numbers.set(kind, this.of(kind) + 1);
  }

  /** @param {string} kind */
  of(kind) {
    return this.numbers.get(kind) ?? 0;
  }

  toString() {
    const all = [...this.numbers.values()].reduce((sum, number) => sum + number, 0);
    const each = [...this.numbers].map(([kind, number]) => `${number} ${kind}`).join(", ");
    return each ? `${all} jobs: ${each}` : `${all} jobs`;
  }
}
