/** The app of `existingApp/` in a directory of its own, and what docs/convex.md says to do with it. */
import { execFileSync } from "node:child_process";
import { cp, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { convexTest } from "convex-test";
import type { CronJob, Crons } from "convex/server";
import type * as schemaModule from "../../convex/schema";
import type { Backend } from "./support";

const PROJECT = path.resolve(import.meta.dirname, "../..");
const REPOSITORY = path.dirname(PROJECT);
const APP = path.join(import.meta.dirname, "existingApp");
/** What `convex init` writes into an app. */
const TEMPLATE = "node_modules/convex/dist/esm/cli/codegen_templates/tsconfig.js";
const SECTION = /^## Into an app that has Convex functions$(.*?)^## /ms;
const BLOCK = /^```(\w+)\n(.*?)^```$/gms;

export type Instructions = { commands: string[]; files: Map<string, string> };

/** The section's commands, and its files by name: a block of TypeScript begins with `// NAME`. */
export async function readInstructions(): Promise<Instructions> {
  const text = await readFile(path.join(REPOSITORY, "docs/convex.md"), "utf8");
  const section = SECTION.exec(text)?.[1] ?? "";
  const blocks = [...section.matchAll(BLOCK)].map(([, language = "", code = ""]) => ({
    language,
    code,
  }));
  const files = blocks.filter(({ language }) => language === "ts").map(({ code }) => fileOf(code));
  const commands = blocks.filter(({ language }) => language === "sh").map(({ code }) => code);
  return { commands, files: new Map(files) };
}

function fileOf(code: string): [string, string] {
  const [first = "", ...rest] = code.split("\n");
  return [first.replace("// ", ""), rest.join("\n")];
}

/** What the app had under this name, or null. */
export async function ownFile(name: string): Promise<string | null> {
  return await readFile(path.join(APP, name), "utf8").catch(() => null);
}

/**
 * The app after the section's first command and with the section's files. Its functions are
 * compiled with what Convex's own command gives an app, not with this project's settings.
 */
export async function takeIn({ commands, files }: Instructions): Promise<string> {
  const directory = await mkdtemp(path.join(os.tmpdir(), "existing-app-"));
  await cp(APP, directory, { recursive: true });
  await cp(path.join(PROJECT, "package.json"), path.join(directory, "package.json"));
  await writeFile(path.join(directory, "convex/tsconfig.json"), await templateOfConvex());
  await symlink(path.join(PROJECT, "node_modules"), path.join(directory, "node_modules"));
  const env = { PATH: process.env.PATH, GATEWAY: REPOSITORY };
  execFileSync("sh", ["-euc", commands[0] ?? "false"], { cwd: directory, env });
  for (const [name, text] of files) await writeFile(path.join(directory, name), text);
  return directory;
}

async function templateOfConvex(): Promise<string> {
  const { tsconfigCodegen } = (await import(/* @vite-ignore */ path.join(PROJECT, TEMPLATE))) as {
    tsconfigCodegen: () => string;
  };
  return tsconfigCodegen();
}

/** What TypeScript has against the functions. */
export function typeFaults(directory: string): string {
  const compiler = path.join(PROJECT, "node_modules/typescript/bin/tsc");
  try {
    return execFileSync(process.execPath, [
      compiler,
      "-p",
      path.join(directory, "convex"),
    ]).toString();
  } catch (failure) {
    return String((failure as { stdout: Buffer }).stdout);
  }
}

export async function discard(directory: string): Promise<void> {
  await rm(directory, { recursive: true, force: true });
}

/** The app under convex-test. */
export async function startApp(directory: string): Promise<Backend> {
  const names = await readdir(path.join(directory, "convex"), { recursive: true });
  const modules = Object.fromEntries(
    names
      .filter((name) => /\.[jt]s$/.test(name))
      .map((name) => [`/convex/${name}`, () => load(directory, name)]),
  );
  const { default: schema } = (await load(directory, "schema.ts")) as typeof schemaModule;
  return convexTest({ schema, modules, transactionLimits: true });
}

export async function cronsOf(directory: string): Promise<Record<string, CronJob>> {
  const { default: crons } = (await load(directory, "crons.ts")) as { default: Crons };
  return crons.crons;
}

async function load(directory: string, name: string): Promise<unknown> {
  return await import(/* @vite-ignore */ path.join(directory, "convex", name));
}
