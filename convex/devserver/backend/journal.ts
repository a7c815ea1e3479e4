/**
 * The data file: one line of JSON for each committed mutation, after a line that names the format.
 * A line is on disk before its mutation is answered. What a crash left of a line at the end was
 * never answered and is dropped; anything else that cannot be read stops the start.
 */
import fs from "node:fs";
import path from "node:path";
import { convexToJson, jsonToConvex, type JSONValue } from "convex/values";
import type { Document, Writes } from "./internals";

const HEADER = JSON.stringify({ format: "convex-devserver", version: 1 });

type Line = { put: JSONValue[]; delete: string[] };

export class Journal {
  private constructor(
    private readonly file: string,
    private readonly descriptor: number,
    private size: number,
  ) {}

  /** Writes the file anew, with these documents, and is ready for more. */
  static begin(file: string, documents: Map<string, Document>): Journal {
    rewrite(file, documents);
    const descriptor = fs.openSync(file, "a");
    return new Journal(file, descriptor, fs.fstatSync(descriptor).size);
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

/** By way of another file, so that a crash leaves the old or the new one, whole. */
function rewrite(file: string, documents: Map<string, Document>): void {
  const next = `${file}.next`;
  const lines = [HEADER, ...[...documents].map(([id, document]) => encode({ [id]: document }))];
  fs.writeFileSync(next, `${lines.join("\n")}\n`, { flush: true });
  fs.renameSync(next, file);
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
