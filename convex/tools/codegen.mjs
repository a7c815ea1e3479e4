/**
 * `npm run codegen` writes `convex/_generated` with the official `convex codegen`, without a
 * deployment. `npm run check:codegen` writes it elsewhere and fails if the committed one differs
 * or the modules that would be uploaded are not the expected ones.
 */
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { runConvex } from "./deployment-stub.mjs";
import { faultsOf } from "./uploaded-modules.mjs";
import { PROJECT, withCopy } from "./workspace.mjs";

const GENERATED = "convex/_generated";

/** @param {string} directory */
async function generate(directory) {
  const run = await runConvex(["codegen", "--typecheck", "disable"], { directory });
  if (run.code !== 0) throw new Error(`convex codegen ended with ${run.code}:\n${run.output}`);
  return faultsOf(run.pushed);
}

/** @param {string} directory @returns {Promise<Map<string, string>>} */
async function generatedFiles(directory) {
  const folder = path.join(directory, GENERATED);
  const names = await readdir(folder);
  const texts = await Promise.all(names.map((name) => readFile(path.join(folder, name), "utf8")));
  return new Map(names.map((name, index) => [name, texts[index] ?? ""]));
}

/** @param {string} directory a copy of the project */
async function staleFiles(directory) {
  const committed = await generatedFiles(directory);
  const faults = await generate(directory);
  const fresh = await generatedFiles(directory);
  const names = new Set([...committed.keys(), ...fresh.keys()]);
  const stale = [...names].filter((name) => committed.get(name) !== fresh.get(name));
  return [...faults, ...stale.map((name) => `${GENERATED}/${name} is stale: run npm run codegen`)];
}

const isCheck = process.argv.includes("--check");
const faults = isCheck ? await withCopy(staleFiles) : await generate(PROJECT);
for (const fault of faults) console.error(fault);
process.exitCode = faults.length === 0 ? 0 : 1;
