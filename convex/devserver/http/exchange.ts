/** Requests and answers of node:http: bodies with a bound, refusals in the service's shape. */
import type { IncomingMessage, ServerResponse } from "node:http";

/** The service's bound for function arguments; its bound for HTTP actions is close to it. */
const MAX_BODY_BYTES = 16 * 1024 * 1024;

/** A request that is answered without running anything. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

export async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  // The request stays open, so that its refusal can be sent.
  const body: AsyncIterable<Buffer> = request.iterator({ destroyOnReturn: false });
  for await (const chunk of body) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) {
      throw new Refusal(413, "PayloadTooLarge", `A body may have ${MAX_BODY_BYTES} bytes.`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** Path and query as the client wrote them. */
export function targetOf(request: IncomingMessage): string {
  const target = request.url ?? "/";
  if (!target.startsWith("/") || !URL.canParse(`http://host${target}`)) {
    throw new Refusal(400, "BadRequest", "The request target has to be a path.");
  }
  return target;
}

export type Handler = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

/** Makes a refusal of what a handler throws, and ends no other request with it. */
export function guarded(handler: Handler) {
  return (request: IncomingMessage, response: ServerResponse): void => {
    handler(request, response).catch((error: unknown) => {
      if (response.headersSent) response.destroy();
      else {
        // What is left of an unread body would be taken for the next request.
        const headers: Record<string, string> = request.complete ? {} : { Connection: "close" };
        sendJson(response, ...answerTo(error), headers);
      }
    });
  };
}

export function sendJson(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { "Content-Type": "application/json", ...CORS, ...headers });
  response.end(JSON.stringify(body));
}

/** Any page may ask: the page is served from another port. */
export const CORS = {
  "Access-Control-Allow-Origin": "*",
  "Access-Control-Allow-Headers": "*",
  "Access-Control-Allow-Methods": "*",
};

function answerTo(error: unknown): [number, { code: string; message: string }] {
  if (error instanceof Refusal) return [error.status, { code: error.code, message: error.message }];
  console.error("a request failed:", error);
  return [
    500,
    { code: "InternalServerError", message: "The development backend failed: see its log." },
  ];
}
