/** The service's failures, at random and on demand: what a sender has to live with, without waiting for it. */
import { randomFrom } from "../random";

const KINDS = ["writeConflict", "429", "503", "dropAnswer"] as const;

export type FaultKind = (typeof KINDS)[number];

/** Chances from 0 to 1. */
type Chances = Record<FaultKind, number>;

const NEVER: Chances = { writeConflict: 0, "429": 0, "503": 0, dropAnswer: 0 };

/** Settings that cannot be used. The message says what is wrong with them. */
export class FaultSettingsError extends Error {}

/** What is left of a mutation that met another one every time it was tried. */
export class WriteConflict extends Error {
  readonly code = "OptimisticConcurrencyControlFailure";

  constructor(table: string) {
    super(
      `Documents read from or written to the "${table}" table changed while this mutation was ` +
        "being run and on every subsequent retry. See https://docs.convex.dev/error#1",
    );
  }
}

export class Faults {
  #chances = NEVER;
  #seed = 0;
  #given = { ...NEVER };
  #random = randomFrom(0);

  /** Throws `FaultSettingsError`, and goes on as before. */
  constructor(settings: string | null) {
    if (settings !== null) this.set(settings);
  }

  /** JSON: chances by kind, those left out never; `seed`, another one each time if left out. */
  set(text: string): void {
    const { seed = Math.floor(Math.random() * 2 ** 32), ...chances } = parse(text);
    this.#chances = { ...NEVER, ...chances };
    this.#seed = seed;
    this.#given = { ...NEVER };
    this.#random = randomFrom(seed);
  }

  /** Whether this one happens now. Counted if so. */
  happens(kind: FaultKind): boolean {
    const happens = this.#chances[kind] > 0 && this.#random() < this.#chances[kind];
    if (happens) this.#given[kind] += 1;
    return happens;
  }

  /** `given`: how often each has happened since it was set. */
  describe() {
    return { settings: { ...this.#chances, seed: this.#seed }, given: { ...this.#given } };
  }
}

type Settings = Partial<Chances> & { seed?: number };

function parse(text: string): Settings {
  const settings = fieldsOf(text);
  for (const [name, value] of Object.entries(settings)) {
    if (name === "seed") {
      if (!Number.isSafeInteger(value))
        refuse(`"seed": ${JSON.stringify(value)} is no whole number.`);
    } else if (!(KINDS as readonly string[]).includes(name)) {
      refuse(`"${name}" is no fault: there are ${[...KINDS, "seed"].join(", ")}.`);
    } else if (typeof value !== "number" || !(value >= 0 && value <= 1)) {
      refuse(`"${name}": ${JSON.stringify(value)} is no chance: give a number from 0 to 1.`);
    }
  }
  return settings as Settings;
}

function fieldsOf(text: string): object {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
  } catch {
    // said below
  }
  return refuse('Faults are a JSON object such as {"writeConflict": 0.1, "503": 0.05, "seed": 1}.');
}

function refuse(message: string): never {
  throw new FaultSettingsError(message);
}
