/** The project's functions, as a deployment finds them. */
import type { CronJob } from "convex/server";

type Module = Record<string, unknown>;

export type FunctionKind = "query" | "mutation" | "action";

const files = import.meta.glob<Module>("../../convex/**/*.*s");

/** Loaded when they are first needed; Vite's own way to a loaded one is long. */
export const modules = Object.fromEntries(
  Object.entries(files).map(([path, file]) => [path, once(file)]),
);

/** What a client may call under this path (`module:name`), or null: internal functions are no client's. */
export async function publicKind(path: string): Promise<FunctionKind | null> {
  const registered = await find(path);
  return registered?.isPublic === true ? kindOf(registered) : null;
}

/** What `crons.ts` declares, by name. */
export async function cronJobs(): Promise<Record<string, CronJob>> {
  const crons = (await load("crons"))?.default as { crons?: Record<string, CronJob> } | undefined;
  return crons?.crons ?? {};
}

/** Public or internal. */
export async function kindOfAny(path: string): Promise<FunctionKind | null> {
  const registered = await find(path);
  return registered === null ? null : kindOf(registered);
}

/** Clients write `module.js:name` as well: the Rust and Python ones whenever they subscribe again. */
export function nameOf(path: string): string {
  return path.replace(/\.js(?=:|$)/, "");
}

type Registered = Partial<Record<"isPublic" | "isQuery" | "isMutation" | "isAction", boolean>>;

async function find(path: string): Promise<Registered | null> {
  const [file = "", name = "default"] = nameOf(path).split(":");
  const module = await load(file);
  if (module === null || !Object.hasOwn(module, name)) return null;
  const value = module[name];
  return typeof value === "function" ? (value as Registered) : null;
}

async function load(name: string): Promise<Module | null> {
  const key = Object.keys(modules).find((path) => path === `../../convex/${name}.ts`);
  return key === undefined ? null : ((await modules[key]?.()) ?? null);
}

function kindOf(registered: Registered): FunctionKind | null {
  if (registered.isQuery) return "query";
  if (registered.isMutation) return "mutation";
  return registered.isAction ? "action" : null;
}

function once(file: () => Promise<Module>): () => Promise<Module> {
  let module: Promise<Module> | null = null;
  return () => (module ??= file());
}
