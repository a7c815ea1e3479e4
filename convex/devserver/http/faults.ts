/** Faults over HTTP: `/devserver/faults` reads and sets them, and any request may meet one. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { FaultSettingsError, type Faults } from "../backend/faults";
import { readBody, Refusal, sendJson } from "./exchange";

export const FAULTS_ROUTE = "/devserver/faults";

export async function faultsApi(
  faults: Faults,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (request.method === "PUT") set(faults, (await readBody(request)).toString("utf8"));
  else if (request.method !== "GET") {
    throw new Refusal(
      405,
      "MethodNotAllowed",
      `${FAULTS_ROUTE} is read with GET and set with PUT.`,
    );
  }
  sendJson(response, 200, faults.describe());
}

/** Throws what a service that has too much to do answers before it runs anything. */
export function admit(faults: Faults): void {
  if (faults.happens("429")) {
    throw new Refusal(
      429,
      "TooManyConcurrentRequests",
      "Too many concurrent requests. Your backend is limited to 16 concurrent functions.",
    );
  }
  if (faults.happens("503")) {
    throw new Refusal(503, "ServiceUnavailable", "Service temporarily unavailable");
  }
}

function set(faults: Faults, settings: string): void {
  try {
    faults.set(settings);
  } catch (error) {
    if (error instanceof FaultSettingsError) throw new Refusal(400, "BadFaults", error.message);
    throw error;
  }
}
