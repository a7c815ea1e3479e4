import { fileURLToPath } from "node:url";
import { defineConfig, type Plugin } from "vitest/config";

const OLDEST = fileURLToPath(new URL("tests/oldest/package.json", import.meta.url));

/** React and Convex as `tests/oldest` has them. */
const oldestVersions: Plugin = {
  name: "oldest-versions",
  enforce: "pre",
  async resolveId(source, _importer, options) {
    if (!/^(react|react-dom|convex)(\/|$)/.test(source)) return null;
    return await this.resolve(source, OLDEST, { ...options, skipSelf: true });
  },
};

const hook = {
  environment: "jsdom",
  include: ["tests/hook*.test.{ts,tsx}"],
  testTimeout: 20_000,
};

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "functions",
          environment: "edge-runtime",
          include: ["tests/functions/**/*.test.ts"],
          server: { deps: { inline: ["convex-test"] } },
        },
      },
      {
        test: {
          name: "devserver",
          environment: "node",
          include: ["tests/devserver/**/*.test.ts"],
          testTimeout: 20_000,
        },
      },
      { test: { ...hook, name: "hook", env: { HOOK_PACKAGES: "." } } },
      {
        plugins: [oldestVersions],
        // Its ES module, whose imports can be resolved here; Node.js would load CommonJS.
        resolve: { mainFields: ["module", "main"] },
        test: {
          ...hook,
          name: "hook-react18",
          env: { HOOK_PACKAGES: "tests/oldest" },
          exclude: ["tests/hookDemo*.test.{ts,tsx}"],
          // What Node.js loads by itself takes the React beside it.
          server: { deps: { inline: ["@testing-library/react"] } },
        },
      },
      {
        test: {
          name: "hook-package",
          environment: "node",
          include: ["tests/hookPackage/**/*.test.ts"],
          testTimeout: 120_000,
        },
      },
    ],
  },
});
