/** An error of a function, as a development deployment tells it to clients. */
import { randomUUID } from "node:crypto";
import { convexToJson, type JSONValue, type Value } from "convex/values";

export type Failure = { message: string; data?: JSONValue };

export function failureOf(error: unknown): Failure {
  const name = error instanceof Error ? error.name : "Error";
  return {
    message: `[Request ID: ${requestId()}] Server Error\nUncaught ${name}: ${textOf(error)}`,
    ...dataOf(error),
  };
}

/** The body of the 500 that an error in an HTTP action ends in. */
export function httpFailureOf(error: unknown): { code: string; trace: string; data?: JSONValue } {
  return {
    code: `[Request ID: ${requestId()}] Server Error: ${textOf(error)}`,
    trace: error instanceof Error ? String(error.stack) : String(error),
    ...dataOf(error),
  };
}

/** A `ConvexError` says more than its message. */
function dataOf(error: unknown): { data?: JSONValue } {
  const isConvexError =
    typeof error === "object" && error !== null && Symbol.for("ConvexError") in error;
  return isConvexError ? { data: convexToJson((error as unknown as { data: Value }).data) } : {};
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function requestId(): string {
  return randomUUID().slice(0, 16);
}
