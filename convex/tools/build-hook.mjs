/**
 * `npm run build:hook`: compiles `react/` with tsc to `hook-package/dist` and lays README and
 * licence beside it, which is what `npm pack` takes there. The package stands beside its sources
 * because Vite would resolve a relative import of their folder by the package's `exports`.
 */
import { execFileSync } from "node:child_process";
import { copyFile, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import path from "node:path";
import { PROJECT } from "./workspace.mjs";

const PACKAGE = path.join(PROJECT, "hook-package");
const DIST = path.join(PACKAGE, "dist");
const TSC = createRequire(import.meta.url).resolve("typescript/bin/tsc");

/**
 * The sources import "./job", which every bundler finds where they are copied; Node.js and
 * TypeScript's nodenext find "./job.js" only, and tsc leaves specifiers as they are.
 *
 * @param {string} code
 */
const withExtensions = (code) => code.replaceAll(/(\bfrom ")(\.\/\w+)(";)/g, "$1$2.js$3");

await rm(DIST, { recursive: true, force: true });
execFileSync(process.execPath, [TSC, "--project", PACKAGE], { stdio: "inherit" });
for (const name of await readdir(DIST)) {
  if (name.endsWith(".map")) continue;
  const file = path.join(DIST, name);
  await writeFile(file, withExtensions(await readFile(file, "utf8")));
}
await copyFile(path.join(PROJECT, "react/README.md"), path.join(PACKAGE, "README.md"));
await copyFile(path.join(PROJECT, "../LICENSE"), path.join(PACKAGE, "LICENSE"));
