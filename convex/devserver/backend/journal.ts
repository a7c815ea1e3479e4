/**
 * The data file: one line of JSON for each committed mutation, after a line that names the format.
 * A line is on disk before its mutation is answered. What a crash left of a line at the end was
 * never answered and is dropped; anything else that cannot be read stops the start.
 */
import fs from "node:fs";
import path from "node:path";
import { convexToJson, jsonToConvex, type JSONValue } from "convex/values";
import type { Document, Writes } from "./internals";

/** What lines that were replaced since may take, at the least, before the file is rewritten. */
const SLACK_BYTES = 16 * 1024 * 1024;
/** The rewritten file is this many times smaller, or more: rewriting costs little of each write. */
const SHRINKING = 4;

const HEADER = JSON.stringify({ format: "convex-devserver", version: 1 });

type Line = { put: JSONValue[]; delete: string[] };

export class Journal {
  private size: number;
  private limit: number;

  private constructor(
    private readonly file: string,
    private descriptor: number,
  ) {
    this.size = fs.fstatSync(descriptor).size;
    this.limit = limitFor(this.size);
  }

  /** Writes the file anew, with these documents, and is ready for more. */
  static begin(file: string, documents: Map<string, Document>): Journal {
    const journal = new Journal(file, rewrite(file, documents.values()));
    syncFolder(file);
    return journal;
  }

  /** Returns when the writes are on disk. Throws with the file as it was before. */
  append(writes: Writes): void {
    const line = Buffer.from(`${encode(writes)}\n`);
    try {
      if (fs.writeSync(this.descriptor, line) < line.length) fail("only a part was written");
      fs.fsyncSync(this.descriptor);
    } catch (error) {
      fs.ftruncateSync(this.descriptor, this.size);
      throw new Error(`${this.file} cannot be written: ${messageOf(error)}`, { cause: error });
    }
    this.size += line.length;
  }

  /** Rewrites the file where most of it was replaced since. Where that fails, it grows on. */
  tidy(documents: () => Iterable<Document>): void {
    if (this.size <= this.limit) return;
    try {
      const descriptor = rewrite(this.file, documents());
      fs.closeSync(this.descriptor);
      this.descriptor = descriptor;
      this.size = fs.fstatSync(descriptor).size;
      syncFolder(this.file);
    } catch (error) {
      console.error(`${this.file} cannot be made smaller: ${messageOf(error)}`);
    }
    this.limit = limitFor(this.size);
  }

  close(): void {
    fs.closeSync(this.descriptor);
  }
}

/** What the file ends in, by document id; nothing where there is no file. The file is not changed. */
export function readDocuments(file: string): Map<string, Document> {
  if (!fs.existsSync(file)) return new Map();
  const lines = decode(file).split("\n");
  const unfinished = lines.pop();
  if (unfinished && lines.length === 0) {
    throw new Error(`${file} is no data file: move it away, or set CONVEX_DATA_FILE to another.`);
  }
  if (unfinished) console.error(`${file}: an unfinished line at its end is dropped`);
  const documents = new Map<string, Document>();
  lines.forEach((line, index) => {
    try {
      if (index > 0) apply(documents, JSON.parse(line) as Line);
      else if (line !== HEADER) fail("it does not begin as a data file does");
    } catch (error) {
      throw new Error(
        `${file} line ${index + 1} cannot be read (${messageOf(error)}). ` +
          "The file is left as it is: repair it, or move it away to begin with empty tables.",
        { cause: error },
      );
    }
  });
  return documents;
}

function decode(file: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(fs.readFileSync(file));
  } catch (error) {
    throw new Error(`${file} cannot be read as UTF-8: ${messageOf(error)}`, { cause: error });
  }
}

function apply(documents: Map<string, Document>, line: Line): void {
  for (const json of line.put) {
    const document = jsonToConvex(json) as Document;
    if (typeof document._id !== "string") fail("a document has no id");
    documents.set(document._id, document);
  }
  for (const id of line.delete) documents.delete(id);
}

/**
 * By way of another file, so that a crash leaves the old or the new one, whole. Returns the new
 * one, open for more: once it has the name there is nothing left that could fail.
 */
function rewrite(file: string, documents: Iterable<Document>): number {
  const next = `${file}.next`;
  const descriptor = fs.openSync(next, "a");
  try {
    fs.ftruncateSync(descriptor); // what a crash left
    const lines = [
      HEADER,
      ...[...documents].map((document) => encode({ [document._id]: document })),
    ];
    fs.writeFileSync(descriptor, `${lines.join("\n")}\n`);
    fs.fsyncSync(descriptor);
    fs.renameSync(next, file);
    return descriptor;
  } catch (error) {
    // On a disk that is full the unfinished one takes the room that the old one needs to grow.
    fs.closeSync(descriptor);
    fs.rmSync(next);
    throw error;
  }
}

function limitFor(size: number): number {
  return Math.max(size * SHRINKING, size + SLACK_BYTES);
}

function syncFolder(file: string): void {
  const folder = fs.openSync(path.dirname(file), "r");
  fs.fsyncSync(folder);
  fs.closeSync(folder);
}

function encode(writes: Writes): string {
  const line: Line = { put: [], delete: [] };
  for (const [id, document] of Object.entries(writes)) {
    if (document === null) line.delete.push(id);
    else line.put.push(convexToJson(document));
  }
  return JSON.stringify(line);
}

function fail(message: string): never {
  throw new Error(message);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
