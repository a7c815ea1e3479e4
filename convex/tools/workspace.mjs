/** A throw-away copy of the project, so that a check never rewrites the files it checks. */
import { cp, mkdtemp, rm, symlink } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

export const PROJECT = fileURLToPath(new URL("..", import.meta.url));

/**
 * @template T
 * @param {(directory: string) => Promise<T>} use
 * @returns {Promise<T>}
 */
export async function withCopy(use) {
  const directory = await mkdtemp(path.join(os.tmpdir(), "convex-check-"));
  try {
    for (const name of ["package.json", "tsconfig.json", "convex"]) {
      await cp(path.join(PROJECT, name), path.join(directory, name), { recursive: true });
    }
    await symlink(path.join(PROJECT, "node_modules"), path.join(directory, "node_modules"));
    return await use(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
