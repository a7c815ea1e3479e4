/** Jobs' histories as a bad network brings them, beside registrations and the cron, at random. */
import fc from "fast-check";
import { expect, test, vi } from "vitest";
import { api, internal } from "../../convex/_generated/api";
import { ANONYMOUS } from "../../convex/transcription/access";
import type { JobUpdate } from "../../convex/transcription/tables";
import {
  completedJob,
  post,
  startBackend,
  useConfiguredEnvironment,
  type Backend,
} from "./support";

useConfiguredEnvironment();

const HOUR_MS = 60 * 60 * 1000;
const DAY_MS = 24 * HOUR_MS;
const START_MS = 1_800_000_000_000;
/** fast-check prints it, and the path to what it found. */
const RUNS = { seed: 20261128, numRuns: 150 };

type Step =
  | { kind: "send"; job: number; update: number }
  | { kind: "register"; job: number; isOwner: boolean }
  | { kind: "cron"; afterMs: number };

/** What one job sends: any statuses in any order, for the functions do not judge them; a deletion is the last. */
const history = fc
  .record({
    statuses: fc.array(
      fc.constantFrom("queued", "processing", "completed", "failed", "cancelled"),
      {
        minLength: 1,
        maxLength: 5,
      },
    ),
    isDeleted: fc.boolean(),
    text: fc.string(),
    firstSequence: fc.integer({ min: 1, max: 3 }),
  })
  .map(({ statuses, isDeleted, text, firstSequence }) =>
    [...statuses, ...(isDeleted ? ["deleted"] : [])].map((status, index) => ({
      status: status as JobUpdate["status"],
      sequence: firstSequence + index,
      text: `${text} ${index}`,
    })),
  );

const steps = fc.array(
  fc.oneof(
    {
      weight: 8,
      arbitrary: fc.record({ kind: fc.constant("send"), job: fc.nat(), update: fc.nat() }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ kind: fc.constant("register"), job: fc.nat(), isOwner: fc.boolean() }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant("cron"),
        afterMs: fc.constantFrom(1, HOUR_MS - 1, HOUR_MS, 90 * DAY_MS - HOUR_MS, 90 * DAY_MS - 1),
      }),
    },
  ) as fc.Arbitrary<Step>,
  { maxLength: 30 },
);

function updatesOf(histories: { status: JobUpdate["status"]; sequence: number; text: string }[][]) {
  return histories.map((events, index) =>
    events.map(({ status, sequence, text }) => {
      const { result, ...job } = completedJob({ jobId: `job-${index}`, userId: `user-${index}` });
      return {
        ...job,
        status,
        sequence,
        result: status === "completed" && result !== null ? { ...result, text } : null,
      };
    }),
  );
}

type Key = Pick<JobUpdate, "jobId" | "userId" | "status" | "sequence">;

const keyOf = ({ jobId, userId, status, sequence }: Key): Key => ({
  jobId,
  userId,
  status,
  sequence,
});

const byJob = <T extends { jobId: string }>(rows: T[]) =>
  rows.toSorted((a, b) => a.jobId.localeCompare(b.jobId));

/** What the table has to hold, by the rule alone: the highest sequence that was sent, whole. */
class Expected {
  readonly #latest = new Map<string, { update: JobUpdate; atMs: number }>();
  readonly #registered = new Map<string, Key & { updatedAt: number }>();

  outcomeOf(update: JobUpdate): string {
    const known = this.#latest.get(update.jobId)?.update.sequence ?? 0;
    if (update.sequence === known) return "duplicate";
    if (update.sequence < known) return "stale";
    this.#latest.set(update.jobId, { update, atMs: Date.now() });
    this.#registered.delete(update.jobId);
    return "applied";
  }

  register(jobId: string, userId: string): void {
    if (this.#latest.has(jobId) || this.#registered.has(jobId)) return;
    const updatedAt = Date.now();
    this.#registered.set(jobId, { jobId, userId, status: "queued", sequence: 0, updatedAt });
  }

  cron(): void {
    for (const [jobId, { updatedAt }] of this.#registered) {
      if (updatedAt + HOUR_MS <= Date.now()) this.#registered.delete(jobId);
    }
    for (const [jobId, { update, atMs }] of this.#latest) {
      const isOver = update.status === "deleted" && atMs + 90 * DAY_MS <= Date.now();
      if (isOver) this.#latest.delete(jobId);
    }
  }

  /** What is in the table: one row a job, a tombstone for a deleted one. */
  rows() {
    const known = [...this.#latest.values()].map(({ update, atMs }) => ({
      ...keyOf(update),
      updatedAt: atMs,
    }));
    return byJob([...known, ...this.#registered.values()]);
  }

  /** What is shown of these: the update itself, field by field. */
  shown(): unknown[] {
    const known = [...this.#latest.values()].filter(({ update }) => update.status !== "deleted");
    return byJob([
      ...known.map(({ update, atMs }) => ({ ...update, updatedAt: atMs })),
      ...[...this.#registered.values()].map((row) => ({
        ...row,
        progress: 0,
        result: null,
        error: null,
        timestamps: { createdAt: row.updatedAt, startedAt: null, completedAt: null },
      })),
    ]);
  }
}

async function rowsOf(t: Backend) {
  const rows = await t.run((ctx) => ctx.db.query("transcriptionJobs").collect());
  return byJob(rows.map((row) => ({ ...keyOf(row), updatedAt: row.updatedAt })));
}

class Run {
  readonly #t = startBackend();
  readonly #expected = new Expected();

  constructor(readonly jobs: JobUpdate[][]) {
    vi.setSystemTime(START_MS);
  }

  async take(step: Step): Promise<void> {
    switch (step.kind) {
      case "send":
        await this.#send(pick(pick(this.jobs, step.job), step.update));
        break;
      case "register":
        await this.#register(pick(pick(this.jobs, step.job), 0), step.isOwner);
        break;
      case "cron":
        vi.setSystemTime(Date.now() + step.afterMs);
        await this.#t.mutation(internal.transcriptionJobs.removeExpired, {});
        this.#expected.cron();
    }
    expect(await rowsOf(this.#t)).toEqual(this.#expected.rows());
    const jobIds = this.jobs.map((updates) => pick(updates, 0).jobId);
    const shown = await this.#t.query(api.transcriptionJobs.list, { jobIds });
    expect(shown).toEqual(this.#expected.shown());
  }

  async #send(update: JobUpdate): Promise<void> {
    const outcome = this.#expected.outcomeOf(update);
    expect(await post(this.#t, update)).toMatchObject({ status: 200, body: { outcome } });
  }

  async #register({ jobId, userId }: JobUpdate, isOwner: boolean): Promise<void> {
    const caller = isOwner ? this.#t.withIdentity({ subject: userId }) : this.#t;
    await caller.mutation(api.transcriptionJobs.register, { jobId });
    this.#expected.register(jobId, isOwner ? userId : ANONYMOUS);
  }
}

function pick<T>(items: T[], number: number): T {
  return items[number % items.length] as T;
}

const sending = (job: number, updates: JobUpdate[]): Step[] =>
  updates.map((_, update) => ({ kind: "send", job, update }));

test("whatever is sent, lost, repeated, registered and cleaned up: each row is its job's latest update", async () => {
  vi.useFakeTimers({ toFake: ["Date"] });
  const histories = fc.array(history, { minLength: 1, maxLength: 3 }).map(updatesOf);
  const property = fc.asyncProperty(
    histories,
    steps,
    fc.infiniteStream(fc.nat()),
    async (jobs, before, dice) => {
      const run = new Run(jobs);
      for (const step of before) await run.take(step);
      // What was lost is sent again, until all has arrived.
      const rest = jobs.flatMap((updates, job) => sending(job, updates));
      while (rest.length > 0) {
        const [step] = rest.splice((dice.next().value as number) % rest.length, 1);
        if (step) await run.take(step);
      }
    },
  );
  await fc.assert(property, RUNS);
}, 60_000);
