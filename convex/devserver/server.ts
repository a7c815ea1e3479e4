/** The development backend: two ports over one set of functions and tables. */
import http, { type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { Backend } from "./backend/backend";
import { Faults } from "./backend/faults";
import { httpActions } from "./http/actions";
import { guarded } from "./http/exchange";
import { functionApi } from "./http/functions";
import { serveSync } from "./sync/server";

export type Options = {
  host: string;
  /** Clients; 0: a free one. */
  port: number;
  /** HTTP actions; 0: a free one. */
  sitePort: number;
  /** null: the tables are kept in memory only. */
  dataFile: string | null;
  /** JSON, as `backend/faults.ts` takes it; null: none. */
  faults: string | null;
};

export type RunningServer = { url: string; siteUrl: string; close: () => Promise<void> };

/** Rejects where a port is taken, or the data file or the faults cannot be used. */
export async function startServer({
  host,
  port,
  sitePort,
  dataFile,
  faults: faultSettings,
}: Options): Promise<RunningServer> {
  const faults = faultsFrom(faultSettings);
  const backend = await Backend.open({ dataFile, faults });
  const main = http.createServer(guarded(functionApi({ backend, faults })));
  const site = http.createServer(guarded(httpActions({ backend, faults, prefix: "" })));
  const endSync = serveSync({ backend, faults, server: main });
  await listen(main, { host, port });
  await listen(site, { host, port: sitePort });
  // Functions see their own address, as they do on the service.
  process.env.CONVEX_CLOUD_URL = urlOf(main, host);
  process.env.CONVEX_SITE_URL = urlOf(site, host);
  return {
    url: urlOf(main, host),
    siteUrl: urlOf(site, host),
    close: async () => {
      endSync();
      await Promise.all([main, site].map(close));
      backend.close();
    },
  };
}

function faultsFrom(settings: string | null): Faults {
  try {
    return new Faults(settings);
  } catch (error) {
    throw new Error(`CONVEX_DEV_FAULTS=${settings}: ${(error as Error).message}`, { cause: error });
  }
}

async function listen(server: Server, address: { host: string; port: number }): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(address, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

function urlOf(server: Server, host: string): string {
  return `http://${host}:${(server.address() as AddressInfo).port}`;
}

async function close(server: Server): Promise<void> {
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
