import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    // Without a file for one of the projects the others still count.
    passWithNoTests: true,
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
      {
        test: {
          name: "hook",
          environment: "jsdom",
          include: ["tests/hook*.test.{ts,tsx}"],
          testTimeout: 20_000,
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
