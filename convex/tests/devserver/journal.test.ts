import fs from "node:fs";
import path from "node:path";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { Journal, readDocuments } from "../../devserver/backend/journal";
import { temporaryFile } from "./support";

const HEADER = '{"format":"convex-devserver","version":1}';
const document = (id: string, text = "") => ({ _id: id, _creationTime: 1.5, text });

function open(file: string) {
  const documents = readDocuments(file);
  const journal = Journal.begin(file, documents);
  onTestFinished(() => journal.close());
  return { journal, documents: Object.fromEntries(documents) };
}

test("what was appended is read again, the last word for each document", async () => {
  const file = await temporaryFile();
  const { journal, documents } = open(file);
  expect(documents).toEqual({});
  journal.append({ a: document("a", "old"), b: document("b") });
  journal.append({ a: document("a", "new"), c: document("c") });
  journal.append({ b: null });
  expect(open(file).documents).toEqual({ a: document("a", "new"), c: document("c") });
});

test("opening leaves nothing in the file that was replaced or deleted", async () => {
  const file = await temporaryFile();
  const { journal } = open(file);
  for (let round = 0; round < 10; round++) journal.append({ a: document("a", `${round}`) });
  journal.append({ b: document("b") });
  journal.append({ b: null });
  open(file);
  expect(fs.readFileSync(file, "utf8").split("\n")).toHaveLength(3);
});

test("what a crash left of an unanswered line is dropped, and said", async () => {
  const said = vi.spyOn(console, "error").mockImplementation(() => {});
  onTestFinished(() => said.mockRestore());
  const file = await temporaryFile();
  open(file).journal.append({ a: document("a") });
  const whole = fs.readFileSync(file, "utf8");
  for (const length of [1, 20, whole.length - HEADER.length - 2]) {
    fs.writeFileSync(file, whole + whole.slice(HEADER.length + 1).slice(0, length));
    expect(open(file).documents).toEqual({ a: document("a") });
    expect(fs.readFileSync(file, "utf8")).toBe(whole);
  }
  expect(said).toHaveBeenCalledTimes(3);
});

test("a disk that is full leaves the file as it was, and says so", async () => {
  const file = await temporaryFile();
  const { journal } = open(file);
  journal.append({ a: document("a") });
  const before = fs.readFileSync(file, "utf8");
  const write = vi.spyOn(fs, "writeSync").mockImplementationOnce((descriptor) => {
    fs.appendFileSync(descriptor, '{"put":[');
    throw new Error("ENOSPC");
  });
  onTestFinished(() => write.mockRestore());
  expect(() => journal.append({ b: document("b") })).toThrow(`${file} cannot be written: ENOSPC`);
  expect(fs.readFileSync(file, "utf8")).toBe(before);
  journal.append({ c: document("c") });
  expect(Object.keys(open(file).documents)).toEqual(["a", "c"]);
});

/** The disk is full once, in the middle of a new file. */
function fillDisk(): void {
  const write = vi.spyOn(fs, "writeFileSync").mockImplementationOnce((target, text) => {
    fs.appendFileSync(target, (text as string).slice(0, 60));
    throw new Error("ENOSPC");
  });
  onTestFinished(() => write.mockRestore());
}

test("a start on a disk that is full leaves the file as it was and nothing beside it", async () => {
  const file = await temporaryFile();
  open(file).journal.append({ a: document("a") });
  const before = fs.readFileSync(file, "utf8");
  fillDisk();
  expect(() => Journal.begin(file, readDocuments(file))).toThrow("ENOSPC");
  expect(fs.readFileSync(file, "utf8")).toBe(before);
  expect(fs.readdirSync(path.dirname(file))).toEqual([path.basename(file)]);
});

test("what a crash left of a new file is not in the next one", async () => {
  const file = await temporaryFile();
  fs.writeFileSync(`${file}.next`, `${HEADER}\n{"put":[`.repeat(9));
  open(file);
  expect(fs.readFileSync(file, "utf8")).toBe(`${HEADER}\n`);
});

describe("a file that grows by what replaces what is in it", () => {
  const MIB = 1024 * 1024;
  const write = (journal: Journal, round: number) => {
    const a = document("a", `${round} ${"x".repeat(MIB)}`);
    journal.append({ a });
    journal.tidy(() => [a]);
    return a;
  };

  test("is rewritten on the way, and takes more", async () => {
    const file = await temporaryFile();
    const { journal } = open(file);
    for (let round = 0; round < 40; round++) {
      const a = write(journal, round);
      expect(fs.statSync(file).size).toBeLessThan(20 * MIB);
      if (round % 10 === 0) expect(readDocuments(file)).toEqual(new Map([["a", a]]));
    }
    journal.append({ b: document("b") });
    expect([...readDocuments(file).keys()]).toEqual(["a", "b"]);
  });

  test("grows on where the disk is full, and nothing is left beside it", async () => {
    const said = vi.spyOn(console, "error").mockImplementation(() => {});
    onTestFinished(() => said.mockRestore());
    const file = await temporaryFile();
    const { journal } = open(file);
    fillDisk();
    for (let round = 0; round < 20; round++) write(journal, round);
    expect(said.mock.calls).toEqual([[`${file} cannot be made smaller: ENOSPC`]]);
    expect(fs.readdirSync(path.dirname(file))).toEqual([path.basename(file)]);
    expect(readDocuments(file).get("a")?.text).toMatch(/^19 /);
  });

  test("grows on where it cannot be rewritten, and says so once in a while", async () => {
    const said = vi.spyOn(console, "error").mockImplementation(() => {});
    onTestFinished(() => said.mockRestore());
    const file = await temporaryFile();
    const { journal } = open(file);
    fs.mkdirSync(`${file}.next`); // in the way of the new file
    for (let round = 0; round < 30; round++) write(journal, round);
    expect(said).toHaveBeenCalledTimes(1);
    expect(said.mock.calls[0]?.[0]).toContain(`${file} cannot be made smaller`);
    expect(fs.statSync(file).size).toBeGreaterThan(30 * MIB);
    expect(readDocuments(file).get("a")?.text).toMatch(/^29 /);
  });
});

test("a folder that does not exist is named", async () => {
  const file = await temporaryFile("missing/tables.jsonl");
  expect(() => open(file)).toThrow(file);
});

describe("a file that is not ours or not whole is reported and left as it is", () => {
  test.each([
    ["another file", "# shopping list\nmilk\n", "line 1"],
    ["another file of one line", "milk", "no data file"],
    ["a broken line", `${HEADER}\n{"put":[\n{"put":[],"delete":[]}\n`, "line 2"],
    ["a line of another kind", `${HEADER}\n{}\n`, "line 2"],
    ["a document without an id", `${HEADER}\n{"put":[{"jobId":"a"}],"delete":[]}\n`, "line 2"],
    ["bytes that are not UTF-8", Buffer.from(`${HEADER}\n\xff\n`, "latin1"), "UTF-8"],
  ])("%s", async (_name, content, message) => {
    const file = await temporaryFile();
    fs.writeFileSync(file, content);
    expect(() => readDocuments(file)).toThrow(message);
    expect(() => readDocuments(file)).toThrow(file);
    expect(fs.readFileSync(file)).toEqual(Buffer.from(content));
    expect(fs.existsSync(`${file}.next`)).toBe(false);
  });
});
