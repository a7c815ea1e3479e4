/** The main port: `/api/query`, `/api/mutation`, `/api/action`, and HTTP actions below `/http`. */
import type { JSONValue } from "convex/values";
import type { Backend } from "../backend/backend";
import { failureOf } from "../backend/failure";
import { WriteConflict, type Faults } from "../backend/faults";
import type { FunctionKind } from "../backend/functions";
import { identityOfHeader } from "../backend/identity";
import { httpActions } from "./actions";
import { CORS, readBody, Refusal, sendJson, targetOf, type Handler } from "./exchange";
import { admit, FAULTS_ROUTE, faultsApi } from "./faults";

/** What the JavaScript client takes as "the function failed", apart from a failure on the way. */
const FUNCTION_FAILED = 560;

const FUNCTION_ROUTE = /^\/api\/(?:[^/]+\/)?(query|mutation|action)$/;

export function functionApi({ backend, faults }: { backend: Backend; faults: Faults }): Handler {
  const actions = httpActions({ backend, faults, prefix: "/http" });
  return async (request, response) => {
    const path = targetOf(request).replace(/\?.*$/s, "");
    if (path === "/http" || path.startsWith("/http/")) return await actions(request, response);
    if (request.method === "OPTIONS") {
      response.writeHead(204, CORS).end();
    } else if (path === "/version" || path === "/instance_name") {
      response.writeHead(200, CORS).end(path === "/version" ? "unknown" : "development");
    } else if (path === FAULTS_ROUTE) {
      await faultsApi(faults, request, response);
    } else {
      const kind = FUNCTION_ROUTE.exec(path)?.[1] as FunctionKind | undefined;
      if (kind === undefined) throw new Refusal(404, "NotFound", `Nothing is served at ${path}.`);
      if (request.method !== "POST") {
        throw new Refusal(405, "MethodNotAllowed", `${path} is called with POST.`);
      }
      const { path: name, args } = parseCall((await readBody(request)).toString("utf8"));
      admit(faults);
      const identity = identityOfHeader(request.headers.authorization);
      const { status, body } = await answerOf(kind, () => backend.run(kind, name, args, identity));
      if (kind !== "query" && faults.happens("dropAnswer")) request.socket.destroy();
      else sendJson(response, status, body);
    }
  };
}

/** A write conflict is no failure of the function: it may be called again. */
async function answerOf(kind: FunctionKind, run: () => Promise<JSONValue>) {
  try {
    const value = await run();
    return { status: 200, body: { status: "success", value, logLines: [] } };
  } catch (error) {
    if (kind === "mutation" && error instanceof WriteConflict) {
      throw new Refusal(503, error.code, error.message);
    }
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
