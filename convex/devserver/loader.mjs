/** Runs TypeScript from its sources, with convex-test opened for `backend/internals.ts`. */
import { fileURLToPath } from "node:url";

/** convex-test keeps its tables to itself; `backend/internals.ts` says what is needed of them. */
const exposeTables = {
  name: "expose-convex-test-tables",
  /** @param {string} code @param {string} id */
  transform(code, id) {
    return id.includes("/convex-test/dist/index.js")
      ? `${code}\nexport { getConvexGlobal };`
      : null;
  },
};

/** The functions run from their TypeScript sources. */
export async function createLoader() {
  const { createServer } = await import("vite");
  return await createServer({
    root: fileURLToPath(new URL("..", import.meta.url)),
    configFile: false,
    logLevel: "warn",
    appType: "custom",
    plugins: [exposeTables],
    ssr: { noExternal: ["convex-test"] },
    server: { middlewareMode: true, ws: false, watch: null },
    optimizeDeps: { noDiscovery: true, include: [] },
  });
}
