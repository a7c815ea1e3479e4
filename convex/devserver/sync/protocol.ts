/**
 * The messages of the sync WebSocket, as the official clients write and read them
 * (`browser/sync/protocol.ts` of the `convex` package).
 */
import type { JSONValue } from "convex/values";

export type QueryRequest = { queryId: number; path: string; args: JSONValue };

export type Call = { requestId: number; path: string; args: JSONValue };

export type ClientMessage =
  | { type: "Connect"; sessionId: string }
  | { type: "Event" }
  | {
      type: "ModifyQuerySet";
      baseVersion: number;
      newVersion: number;
      add: QueryRequest[];
      remove: number[];
    }
  | ({ type: "Mutation" } & Call)
  | ({ type: "Action" } & Call)
  | { type: "Authenticate"; baseVersion: number; token: string | null };

export type StateVersion = { querySet: number; identity: number; ts: bigint };

/** What cannot be answered: it ends the connection that it came over, and no other. */
export class ProtocolError extends Error {}

/** Fields that this server has no use for are not looked at. */
export function parseClientMessage(text: string): ClientMessage {
  const message = fieldsOf(parseJson(text), "the message");
  switch (message.type) {
    case "Connect":
      return { type: "Connect", sessionId: textOf(message, "sessionId") };
    case "Event":
      return { type: "Event" };
    case "ModifyQuerySet":
      return parseQuerySet(message);
    case "Mutation":
    case "Action":
      return { type: message.type, requestId: whole(message, "requestId"), ...parseCall(message) };
    case "Authenticate":
      return {
        type: "Authenticate",
        baseVersion: whole(message, "baseVersion"),
        token: tokenOf(message),
      };
    default:
      throw new ProtocolError(`type ${JSON.stringify(message.type)} is unknown`);
  }
}

/** A u64 travels as base64 of its little-endian bytes. */
export function encodeVersion({ querySet, identity, ts }: StateVersion) {
  return { querySet, identity, ts: encodeTs(ts) };
}

export function encodeTs(ts: bigint): string {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(ts);
  return bytes.toString("base64");
}

type Fields = Record<string, unknown>;

function parseQuerySet(message: Fields): ClientMessage {
  if (!Array.isArray(message.modifications)) throw new ProtocolError("modifications is no array");
  const add: QueryRequest[] = [];
  const remove: number[] = [];
  for (const item of message.modifications) {
    const modification = fieldsOf(item, "a modification");
    const queryId = whole(modification, "queryId");
    if (modification.type === "Add") add.push({ queryId, ...parseCall(modification) });
    else if (modification.type === "Remove") remove.push(queryId);
    else throw new ProtocolError(`modification ${JSON.stringify(modification.type)} is unknown`);
  }
  const baseVersion = whole(message, "baseVersion");
  return {
    type: "ModifyQuerySet",
    baseVersion,
    newVersion: whole(message, "newVersion"),
    add,
    remove,
  };
}

function parseCall(fields: Fields): { path: string; args: JSONValue } {
  const [args = {}] = Array.isArray(fields.args) ? (fields.args as JSONValue[]) : [];
  if (typeof fields.udfPath !== "string") throw new ProtocolError("udfPath is no string");
  return { path: fields.udfPath, args };
}

function tokenOf(message: Fields): string | null {
  if (message.tokenType === "None") return null;
  if (message.tokenType !== "User" || typeof message.value !== "string") {
    throw new ProtocolError(`tokenType ${JSON.stringify(message.tokenType)} is not taken here`);
  }
  return message.value;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new ProtocolError("the message is no JSON");
  }
}

function fieldsOf(value: unknown, name: string): Fields {
  if (typeof value !== "object" || value === null) throw new ProtocolError(`${name} is no object`);
  return value as Fields;
}

function textOf(fields: Fields, name: string): string {
  const value = fields[name];
  if (typeof value !== "string") throw new ProtocolError(`${name} is no string`);
  return value;
}

function whole(fields: Fields, name: string): number {
  const value = fields[name];
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) {
    throw new ProtocolError(`${name} is no whole number`);
  }
  return value;
}
