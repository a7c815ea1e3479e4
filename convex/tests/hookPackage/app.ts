/** A user's app outside this repository, with the hook taken into it; no network, the packages are copied from here. */

import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { cp, mkdir, mkdtemp, readdir, readFile, realpath, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Whose packages the app has: this project's own, or the oldest ones that the hook supports. */
export const VERSIONS = { newest: resolve("."), oldest: resolve("tests/oldest") } as const;
export type Versions = keyof typeof VERSIONS;

const PACKAGES = ["convex", "react", "react-dom", "@types/react", "@types/react-dom"];
const COMPILER_OPTIONS = {
  target: "ES2022",
  lib: ["ES2022", "DOM", "DOM.Iterable"],
  module: "ESNext",
  moduleResolution: "Bundler",
  jsx: "react-jsx",
  types: [],
  noEmit: true,
  strict: true,
  noUncheckedIndexedAccess: true,
  noImplicitOverride: true,
  noImplicitReturns: true,
  noUnusedLocals: true,
  noUnusedParameters: true,
  noFallthroughCasesInSwitch: true,
  erasableSyntaxOnly: true,
  isolatedModules: true,
  verbatimModuleSyntax: true,
};
const INDEX = `<div id="root"></div><script type="module" src="/src/main.tsx"></script>`;
const MAIN = `
import { ConvexProvider, ConvexReactClient } from "convex/react";
import { createRoot } from "react-dom/client";
import { Transcriptions } from "./Transcriptions.js";

const client = new ConvexReactClient("http://127.0.0.1:3210");
createRoot(document.body).render(
  <ConvexProvider client={client}>
    <Transcriptions />
  </ConvexProvider>,
);
`;

export class App {
  readonly directory: string;
  readonly #packages: string;

  private constructor(directory: string, versions: Versions) {
    this.directory = directory;
    this.#packages = VERSIONS[versions];
  }

  /** With the README's example as its page; `from` is where that imports the hook. */
  static async create({ versions, from }: { versions: Versions; from: string }): Promise<App> {
    const app = new App(await mkdtemp(join(tmpdir(), `hook-app-${versions}-`)), versions);
    for (const name of PACKAGES) await app.#copyPackage(name, app.#packages);
    await app.write("index.html", INDEX);
    await app.write("tsconfig.json", JSON.stringify({ compilerOptions: COMPILER_OPTIONS }));
    await app.write("package.json", JSON.stringify({ private: true, type: "module" }));
    await app.write("src/main.tsx", MAIN);
    await app.write("src/Transcriptions.tsx", await exampleOf("react/README.md", from));
    return app;
  }

  async write(name: string, text: string): Promise<void> {
    await mkdir(dirname(join(this.directory, name)), { recursive: true });
    await writeFile(join(this.directory, name), text);
  }

  /** The compiler's complaints; empty where it has none. */
  async typeCheck(...options: string[]): Promise<string> {
    const tsc = createRequire(join(this.#packages, "package.json")).resolve("typescript/bin/tsc");
    return await this.node(tsc, "--project", this.directory, ...options);
  }

  /** Builds the app for browsers and returns the versions of React in it. */
  async build(): Promise<string[]> {
    const said = await this.node(resolve("node_modules/vite/bin/vite.js"), "build");
    const assets = join(this.directory, "dist/assets");
    if (!existsSync(assets)) throw new Error(said);
    const names = (await readdir(assets)).filter((name) => name.endsWith(".js"));
    const texts = await Promise.all(names.map((name) => readFile(join(assets, name), "utf8")));
    const versions = texts.join().matchAll(/\.version=[`"]([\d.]+)[`"]/g);
    return [...new Set([...versions].map(([, version = ""]) => version))];
  }

  /** What Node.js writes, in the app's directory, whether it succeeds or not. */
  async node(...args: string[]): Promise<string> {
    // Not the test's own NODE_ENV: a user's build is one for production.
    const { NODE_ENV: _, ...env } = process.env;
    const output = run(process.execPath, args, { cwd: this.directory, env });
    const { stdout, stderr } = await output.catch(
      (error: { stdout: string; stderr: string }) => error,
    );
    return stdout + stderr;
  }

  async remove(): Promise<void> {
    await rm(this.directory, { recursive: true });
  }

  /** The package and, as an installer would, what it needs. */
  async #copyPackage(name: string, from: string): Promise<void> {
    const source = await installed(name, from);
    const target = join(this.directory, "node_modules", name);
    if (existsSync(target)) return;
    await cp(source, target, { recursive: true });
    const { dependencies = {} } = JSON.parse(await readFile(join(source, "package.json"), "utf8"));
    for (const needed of Object.keys(dependencies).filter(isForBrowsers)) {
      await this.#copyPackage(needed, source);
    }
  }
}

/** Convex's package holds its command line tool too, whose bundler no page needs. */
const isForBrowsers = (name: string) => !["esbuild", "prettier", "ws"].includes(name);

/** Where Node.js finds the package from there. */
async function installed(name: string, from: string): Promise<string> {
  const here = join(from, "node_modules", name);
  if (existsSync(here)) return await realpath(here);
  if (dirname(from) === from) throw new Error(`${name} is not installed: run npm ci.`);
  return await installed(name, dirname(from));
}

async function exampleOf(readme: string, from: string): Promise<string> {
  const [, example] = /```tsx\n(.*?)```/s.exec(await readFile(readme, "utf8")) ?? [];
  if (example === undefined) throw new Error(`${readme} has no example.`);
  return example.replace(/from "[^"]*"/, `from "${from}"`);
}
