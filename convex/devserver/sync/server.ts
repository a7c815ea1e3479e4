/** The sync WebSocket at `/api/sync` and `/api/<client version>/sync`. */
import type { IncomingMessage, Server } from "node:http";
import type { Duplex } from "node:stream";
import { WebSocketServer, type WebSocket } from "ws";
import type { Backend } from "../backend/backend";
import { WriteConflict, type Faults } from "../backend/faults";
import { AnsweredMutations } from "./answered";
import { parseClientMessage, ProtocolError } from "./protocol";
import { SyncSession, type Outcome, type Services } from "./session";

const SYNC_ROUTE = /^\/api\/(?:[^/?]+\/)?sync(?:\?.*)?$/;
const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;
const TRY_AGAIN_LATER = 1013;
/** A client that takes this little of what it is sent is cut off; it connects again by itself. */
const MAX_UNSENT_BYTES = 64 * 1024 * 1024;
/** Clients connect again after 60 s of silence. */
const PING_MS = 15_000;

type SyncOptions = { backend: Backend; faults: Faults; server: Server };

/** Serves on `server` until the returned function is called, which ends every connection. */
export function serveSync({ server, ...services }: SyncOptions): () => void {
  const answered = new AnsweredMutations<Outcome>();
  const sockets = new WebSocketServer({ noServer: true, maxPayload: MAX_MESSAGE_BYTES });
  server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on("error", () => socket.destroy());
    if (SYNC_ROUTE.test(request.url ?? "")) {
      sockets.handleUpgrade(request, socket, head, (ws) => converse(ws, { ...services, answered }));
    } else {
      socket.end("HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    }
  });
  return () => sockets.clients.forEach((ws) => ws.terminate());
}

function converse(ws: WebSocket, services: Services): void {
  const send = (message: object) => {
    if (ws.readyState !== ws.OPEN) return;
    if (ws.bufferedAmount > MAX_UNSENT_BYTES) ws.terminate();
    else ws.send(JSON.stringify(message));
  };
  const end = (error: unknown) => {
    // Told to come again: a `FatalError` would end the client.
    if (error instanceof WriteConflict) return ws.close(TRY_AGAIN_LATER, error.code);
    if (!(error instanceof ProtocolError)) console.error("a sync connection failed:", error);
    send({ type: "FatalError", error: error instanceof Error ? error.message : String(error) });
    ws.close(1002);
  };
  const session = new SyncSession({ ...services, send, onBroken: end, drop: () => ws.terminate() });
  const ping = setInterval(() => send({ type: "Ping" }), PING_MS);

  ws.on("message", (data, isBinary) => {
    try {
      if (isBinary) throw new ProtocolError("the message is not text");
      session.receive(parseClientMessage(String(data)));
    } catch (error) {
      end(error);
    }
  });
  // e.g. a message over the bound, or a frame that is none. `ws` has sent the reason and takes in
  // what still comes: a socket ended here would be reset, and the reason lost on its way.
  ws.on("error", () => {});
  ws.on("close", () => {
    clearInterval(ping);
    session.end();
  });
}
