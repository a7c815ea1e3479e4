import { beforeEach, describe, expect, test } from "vitest";
import { ApiError, TranscriptionApi } from "../react/api";
import { learn, newEntry, shown } from "../react/entry";
import { newest, parseJob } from "../react/job";
import { JobList } from "../react/list";
import { nextAskAt, SETTLE_MS, type Line, type Watched } from "../react/schedule";
import { localJobStorage, memoryJobStorage } from "../react/storage";
import { aFile, aJob, API_URL, aStored, completed, FakeApi, problem } from "./hookSupport";

describe("the newest state of a job", () => {
  test("is the one with the higher sequence, whichever comes first", () => {
    expect(newest(aJob({ sequence: 3 }), completed())).toEqual(completed());
    expect(newest(completed(), aJob({ sequence: 3 }))).toEqual(completed());
  });

  test("of two with one sequence is the one that is already shown", () => {
    const known = aJob();
    expect(newest(known, aJob())).toBe(known);
  });
});

describe("a parsed job", () => {
  test("is the job as it was sent", () => {
    expect(parseJob(JSON.parse(JSON.stringify(completed())))).toEqual(completed());
  });

  test.each([
    ["no object", "queued"],
    ["null", null],
    ["a list", [aJob()]],
    ["without an id", { ...aJob(), jobId: undefined }],
    ["with an unknown status", { ...aJob(), status: "sleeping" }],
    ["with a sequence in words", { ...aJob(), sequence: "three" }],
  ])("is null when the answer is %s", (_, value) => {
    expect(parseJob(value)).toBeNull();
  });

  test("leaves out segments that cannot be shown", () => {
    const { result } = completed();
    const segments = [{ start: 0, end: 1, text: "Ask" }, { start: "0" }, null];
    expect(parseJob({ ...completed(), result: { ...result, segments } })?.result?.segments).toEqual(
      [{ start: 0, end: 1, text: "Ask" }],
    );
  });
});

describe("an entry", () => {
  const failedHere = {
    ...newEntry(aStored(), 0),
    local: { status: "failed", error: { code: "x", message: "It broke." }, atSequence: 3 },
  } as const;

  test("shows what failed here over the state that it failed at", () => {
    const entry = { ...failedHere, known: aJob({ sequence: 3 }) };
    expect(shown(entry)).toMatchObject({ status: "failed", error: { message: "It broke." } });
  });

  test("shows the job's next state over what failed here", () => {
    const entry = learn({ ...failedHere, known: aJob({ sequence: 3 }) }, aJob({ sequence: 4 }));
    expect(shown(entry)).toMatchObject({ status: "processing", error: null });
  });

  test("is unchanged by an older state", () => {
    const entry = learn(newEntry(aStored(), 0), completed());
    expect(learn(entry, aJob())).toBe(entry);
  });

  test("counts as uploaded once the API has spoken of it, not by its registration alone", () => {
    const entry = newEntry(aStored({ accepted: false }), 0);
    expect(learn(entry, aJob({ sequence: 0 })).stored.accepted).toBe(false);
    expect(learn(entry, aJob({ sequence: 1 })).stored.accepted).toBe(true);
  });

  test("stops saying that it is being cancelled when the job ends", () => {
    const entry = { ...newEntry(aStored(), 0), known: aJob(), action: "cancel" } as const;
    expect(shown(learn(entry, aJob({ sequence: 4 }))).action).toBe("cancel");
    expect(shown(learn(entry, completed())).action).toBeNull();
  });
});

describe("the API is asked next", () => {
  const patience = { pollIntervalMs: 10_000, silentAfterMs: 30_000 };
  const job: Watched = { isKnown: true, isOver: false, heardAt: 5_000, askedAt: null };
  const down: Line = { isLive: false, since: 8_000 };
  const live: Line = { isLive: true, since: 1_000 };

  test("never, for a job that is over", () => {
    expect(nextAskAt({ ...job, isOver: true }, down, patience, 20_000)).toBeNull();
  });

  test("one interval after the live connection was lost", () => {
    expect(nextAskAt(job, down, patience, 20_000)).toBe(18_000);
  });

  test("one interval after it was last asked", () => {
    expect(nextAskAt({ ...job, askedAt: 18_100 }, down, patience, 20_000)).toBe(28_100);
  });

  test("when the job has been silent too long on a live connection", () => {
    expect(nextAskAt(job, live, patience, 20_000)).toBe(35_000);
  });

  test("no sooner than that after the live connection came back", () => {
    expect(nextAskAt(job, { isLive: true, since: 20_000 }, patience, 20_000)).toBe(50_000);
  });

  test("soon, for a stored job that nothing has been heard of", () => {
    expect(nextAskAt({ ...job, isKnown: false }, live, patience, 20_000)).toBe(5_000 + SETTLE_MS);
  });
});

describe("the stored list", () => {
  beforeEach(() => window.localStorage.clear());

  test("survives what others wrote under its key", () => {
    const storage = localJobStorage("list-under-test");
    storage.put(aStored());
    for (const [n, text] of ["{not json", '"text"', "null", '{"jobId": 1}'].entries()) {
      window.localStorage.setItem(`list-under-test/${n}`, text);
    }
    expect(storage.read()).toEqual([aStored()]);
  });

  test("comes back from localStorage as it was written, newest first", () => {
    const storage = localJobStorage("list-under-test");
    const [older, newer] = [aStored(), aStored({ jobId: "newer", addedAt: aStored().addedAt + 1 })];
    storage.put(older);
    storage.put({ ...newer, accepted: false });
    storage.put(newer);
    expect(localJobStorage("list-under-test").read()).toEqual([newer, older]);
    expect(localJobStorage("another-list").read()).toEqual([]);
    storage.remove(older.jobId);
    storage.remove("unknown");
    expect(storage.read()).toEqual([newer]);
  });

  test("loses no job where two tabs write at the same time", () => {
    const [one, other] = [localJobStorage("list-under-test"), localJobStorage("list-under-test")];
    // Each has read before the other writes.
    [one, other].forEach((storage) => storage.read());
    one.put(aStored({ jobId: "of-one" }));
    other.put(aStored({ jobId: "of-other" }));
    expect(one.read()).toHaveLength(2);
  });

  test("keeps the order of jobs that are added in one millisecond", () => {
    const storage = memoryJobStorage();
    const list = new JobList({ storage, now: () => 5, logFailure: () => {} });
    for (const id of ["first", "second", "third"]) {
      list.add({ jobId: id, name: id, accepted: false });
    }
    const order = ["third", "second", "first"];
    expect(list.listing().jobs.map(({ jobId: id }) => id)).toEqual(order);
    expect(storage.read().map(({ jobId: id }) => id)).toEqual(order);
  });

  test("tells of another tab's changes, and of those only", () => {
    let calls = 0;
    const stop = localJobStorage("list-under-test").subscribe(() => calls++);
    window.dispatchEvent(new StorageEvent("storage", { key: "something-else" }));
    expect(calls).toBe(0);
    window.dispatchEvent(new StorageEvent("storage", { key: "list-under-test/a-job" }));
    expect(calls).toBe(1);
    stop();
    window.dispatchEvent(new StorageEvent("storage", { key: "list-under-test/a-job" }));
    expect(calls).toBe(1);
  });
});

describe("the API client", () => {
  const connect = (fake: FakeApi) =>
    new TranscriptionApi({ apiUrl: `${API_URL}/`, fetch: fake.fetch });
  const failureOf = async (work: Promise<unknown>): Promise<ApiError> =>
    await work.then(
      () => Promise.reject(new Error("It did not fail.")),
      (error: ApiError) => error,
    );

  test("sends the audio with the id first and every option under the API's name", async () => {
    const fake = new FakeApi();
    const options = {
      userId: "ada",
      language: "en",
      model: "tiny",
      prompt: "names",
      timestampGranularities: ["word", "segment"] as ("word" | "segment")[],
    };
    await connect(fake).create(
      { jobId: "an-id", file: aFile(), options },
      new AbortController().signal,
    );
    const sent = [...(fake.seen[0]?.form?.entries() ?? [])];
    expect(sent.map(([name, value]) => [name, value instanceof File ? value.name : value])).toEqual(
      [
        ["job_id", "an-id"],
        ["user_id", "ada"],
        ["language", "en"],
        ["model", "tiny"],
        ["prompt", "names"],
        ["timestamp_granularities[]", "word"],
        ["timestamp_granularities[]", "segment"],
        ["file", "talk.wav"],
      ],
    );
  });

  test("gives null for a job that its ETag says is unchanged", async () => {
    const fake = new FakeApi();
    fake.jobs.set("an-id", aJob({ jobId: "an-id" }));
    const first = await connect(fake).get("an-id", null);
    expect(first?.etag).toBe('"3"');
    expect(await connect(fake).get("an-id", '"3"')).toBeNull();
  });

  test("fails with the words of the problem it was given", async () => {
    const fake = new FakeApi();
    fake.answer = () => problem(429, "queue_full", "100 jobs are waiting. Try again in a minute.");
    const error = await failureOf(connect(fake).cancel("an-id"));
    expect(error).toMatchObject({
      status: 429,
      code: "queue_full",
      message: "100 jobs are waiting. Try again in a minute.",
    });
  });

  test("fails with words of its own when a proxy answers in HTML", async () => {
    const fake = new FakeApi();
    fake.answer = () => new Response("<h1>Bad gateway</h1>", { status: 502 });
    const error = await failureOf(connect(fake).get("an-id", null));
    expect(error).toMatchObject({
      code: "http_502",
      message: "The transcription service answered 502.",
    });
  });

  test("names the address that does not answer", async () => {
    const fake = new FakeApi();
    fake.answer = () => Promise.reject(new TypeError("Failed to fetch"));
    const error = await failureOf(connect(fake).remove("an-id"));
    expect(error).toMatchObject({ status: null, code: "unreachable" });
    expect(error.message).toContain(API_URL);
  });

  test("does not take any 200 for a job", async () => {
    const fake = new FakeApi();
    fake.answer = () => Response.json({ hello: "world" });
    const error = await failureOf(connect(fake).get("an-id", null));
    expect(error).toMatchObject({ status: 200, code: "unreadable_answer" });
  });
});
