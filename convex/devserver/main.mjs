/**
 * The development backend, from the environment: PORT (3210; 0: a free one), SITE_PROXY_PORT
 * (3211), CONVEX_DATA_FILE (unset: nothing is kept), CONVEX_DEV_FAULTS (unset: none), and the
 * functions' own variables. Prints one JSON line with its addresses on stdout when it is ready;
 * everything else goes to stderr.
 */
import { Console } from "node:console";
import { createLoader } from "./loader.mjs";

globalThis.console = new Console(process.stderr, process.stderr);

/** @param {string} name @param {number} fallback */
function portFrom(name, fallback) {
  const text = process.env[name] || String(fallback);
  const port = Number(text);
  if (!/^\d+$/.test(text) || port > 65535) {
    throw new Error(`${name}=${text} is no port: give a number from 0 (any free one) to 65535.`);
  }
  return port;
}

/** @type {() => Promise<void>} */
let stop = async () => {}; // nothing to end until there is a server
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, () => void stop().then(() => process.exit(0)));
}

async function main() {
  const port = portFrom("PORT", 3210);
  const sitePort = portFrom("SITE_PROXY_PORT", 3211);
  const loader = await createLoader();
  const { startServer } = await loader.ssrLoadModule("/devserver/server.ts");
  const dataFile = process.env.CONVEX_DATA_FILE || null;
  const faults = process.env.CONVEX_DEV_FAULTS || null;
  const server = await startServer({ host: "127.0.0.1", port, sitePort, dataFile, faults });
  stop = server.close;
  process.stdout.write(`${JSON.stringify({ url: server.url, siteUrl: server.siteUrl })}\n`);
}

try {
  await main();
} catch (error) {
  console.error(`convex devserver: ${error instanceof Error ? error.message : error}`);
  process.exit(1);
}
