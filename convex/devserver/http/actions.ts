/** The site port: HTTP actions, as `http.ts` routes them. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Backend } from "../backend/backend";
import { httpFailureOf } from "../backend/failure";
import type { Faults } from "../backend/faults";
import { identityOfHeader } from "../backend/identity";
import { readBody, Refusal, targetOf, type Handler } from "./exchange";
import { admit } from "./faults";

/** `prefix` is cut off the path: on the main port the actions are below `/http`. */
export function httpActions({
  backend,
  faults,
  prefix,
}: {
  backend: Backend;
  faults: Faults;
  prefix: string;
}): Handler {
  return async (request, response) => {
    const path = targetOf(request).slice(prefix.length);
    const init = await requestInit(request);
    admit(faults);
    const answer = await answerOf(() =>
      backend.fetch(path.startsWith("/") ? path : `/${path}`, init, identityOf(request)),
    );
    if (faults.happens("dropAnswer")) request.socket.destroy();
    else await send(answer, response);
  };
}

async function requestInit(request: IncomingMessage): Promise<RequestInit> {
  const { method = "GET", headers } = request;
  const hasBody = method !== "GET" && method !== "HEAD";
  const body = hasBody ? { body: new Uint8Array(await readBody(request)) } : {};
  const head = { method, headers: pairsOf(headers) };
  if (!isAcceptable(head)) throw new Refusal(400, "BadRequest", "The request is not valid HTTP.");
  return { ...head, ...body };
}

function pairsOf(headers: IncomingMessage["headers"]): [string, string][] {
  return Object.entries(headers).flatMap(([name, value]) =>
    value === undefined ? [] : [value].flat().map((text): [string, string] => [name, text]),
  );
}

/** Methods and headers that node:http takes and `Request` does not, e.g. TRACE. */
function isAcceptable(head: RequestInit): boolean {
  try {
    new Request("http://host", head);
    return true;
  } catch {
    return false;
  }
}

function identityOf(request: IncomingMessage) {
  return identityOfHeader(request.headers.authorization);
}

async function answerOf(run: () => Promise<Response>): Promise<Response> {
  try {
    const answer = await run();
    const isUnrouted =
      answer.status === 404 && (await answer.clone().text()).startsWith("No HttpAction");
    return isUnrouted ? new Response("No matching routes found", { status: 404 }) : answer;
  } catch (error) {
    console.error("an HTTP action failed:", error);
    return Response.json(httpFailureOf(error), { status: 500 });
  }
}

async function send(answer: Response, response: ServerResponse): Promise<void> {
  const body = Buffer.from(await answer.arrayBuffer());
  answer.headers.forEach((value, name) => response.appendHeader(name, value));
  response.writeHead(answer.status);
  response.end(body);
}
