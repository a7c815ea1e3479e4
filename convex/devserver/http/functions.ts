/** The main port: `/api/query`, `/api/mutation`, `/api/action`, and HTTP actions below `/http`. */
import type { IncomingMessage } from "node:http";
import type { JSONValue } from "convex/values";
import type { Backend } from "../backend/backend";
import { failureOf } from "../backend/failure";
import type { FunctionKind } from "../backend/functions";
import { identityOfHeader } from "../backend/identity";
import { httpActions } from "./actions";
import { CORS, readBody, Refusal, sendJson, targetOf, type Handler } from "./exchange";

/** What the JavaScript client takes as "the function failed", apart from a failure on the way. */
const FUNCTION_FAILED = 560;

const FUNCTION_ROUTE = /^\/api\/(?:[^/]+\/)?(query|mutation|action)$/;

export function functionApi({ backend }: { backend: Backend }): Handler {
  const actions = httpActions({ backend, prefix: "/http" });
  return async (request, response) => {
    const path = targetOf(request).replace(/\?.*$/s, "");
    if (path === "/http" || path.startsWith("/http/")) return await actions(request, response);
    if (request.method === "OPTIONS") {
      response.writeHead(204, CORS).end();
    } else if (path === "/version" || path === "/instance_name") {
      response.writeHead(200, CORS).end(path === "/version" ? "unknown" : "development");
    } else {
      const kind = FUNCTION_ROUTE.exec(path)?.[1] as FunctionKind | undefined;
      if (kind === undefined) throw new Refusal(404, "NotFound", `Nothing is served at ${path}.`);
      if (request.method !== "POST") {
        throw new Refusal(405, "MethodNotAllowed", `${path} is called with POST.`);
      }
      const { status, body } = await call(backend, kind, request);
      sendJson(response, status, body);
    }
  };
}

async function call(backend: Backend, kind: FunctionKind, request: IncomingMessage) {
  const { path, args } = parseCall((await readBody(request)).toString("utf8"));
  try {
    const identity = identityOfHeader(request.headers.authorization);
    const value = await backend.run(kind, path, args, identity);
    return { status: 200, body: { status: "success", value, logLines: [] } };
  } catch (error) {
    const { message, data } = failureOf(error);
    const errorData = data === undefined ? {} : { errorData: data };
    const body = { status: "error", errorMessage: message, ...errorData, logLines: [] };
    return { status: FUNCTION_FAILED, body };
  }
}

/** `{"path": "module:name", "args": {…}}`; the clients put the one argument into an array. */
function parseCall(text: string): { path: string; args: JSONValue } {
  const { path, args } = parseObject(text);
  const [argument = {}] = [args].flat() as JSONValue[];
  if (typeof path !== "string" || typeof argument !== "object" || argument === null) {
    throw new Refusal(
      400,
      "BadJsonBody",
      'The body has to be {"path": "module:name", "args": {…}}.',
    );
  }
  return { path, args: argument };
}

function parseObject(text: string): Record<string, unknown> {
  try {
    return Object(JSON.parse(text));
  } catch {
    throw new Refusal(400, "BadJsonBody", "The body has to be JSON.");
  }
}
