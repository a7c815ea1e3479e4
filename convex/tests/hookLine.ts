/** The network between the page and the backend: a proxy that can be cut, go dead without a word, and be mended. */

import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";

export class Line {
  readonly #port: number;
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;
  #state: "up" | "cut" | "dead" = "up";

  private constructor(target: string) {
    this.#port = Number(new URL(target).port);
    this.#server = createServer((socket) => this.#join(socket));
  }

  static async to(target: string): Promise<Line> {
    const line = new Line(target);
    line.#server.listen(0, "127.0.0.1");
    await once(line.#server, "listening");
    return line;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Every connection ends, and no other is made. */
  cut(): void {
    this.#state = "cut";
    this.#drop();
  }

  /** Nothing gets through any more, and nobody is told: as when a machine sleeps. */
  die(): void {
    this.#state = "dead";
    for (const socket of this.#sockets) socket.unpipe().pause();
  }

  mend(): void {
    this.#state = "up";
  }

  async close(): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    this.#drop();
    await closed;
  }

  #join(page: Socket): void {
    this.#keep(page);
    if (this.#state === "cut") page.destroy();
    if (this.#state !== "up") return;
    const backend = this.#keep(connect(this.#port, "127.0.0.1"));
    page.pipe(backend).pipe(page);
  }

  #keep(socket: Socket): Socket {
    this.#sockets.add(socket);
    // A socket that is reset is one of those that the test cut.
    socket.on("error", () => {});
    socket.on("close", () => this.#sockets.delete(socket));
    return socket;
  }

  #drop(): void {
    for (const socket of this.#sockets) socket.destroy();
  }
}
