/**
 * A loopback deployment that answers the official `convex` command's push and keeps what was
 * uploaded. It evaluates `convex.config.ts` as a deployment does; of the functions and the schema
 * it knows nothing, because the types in `_generated` come from TypeScript's own inference.
 */
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import http from "node:http";
import { createRequire } from "node:module";
import os from "node:os";
import path from "node:path";
import zlib from "node:zlib";

/**
 * @typedef {{ path: string, source: string, environment: string }} Module
 * @typedef {object} Push
 * @property {{ definition: Module | null, schema: Module | null, changedModules: Module[] }} appDefinition
 * @property {Module[]} [componentDefinitions]
 *
 * @typedef {object} Run
 * @property {number} code
 * @property {string} output
 * @property {Push | null} pushed
 * @property {boolean} finished
 * @property {Record<string, string>} variables what was set of the functions' environment
 */

const SERVER_VERSION = "1.48.0";
const CLI = path.join(
  path.dirname(createRequire(import.meta.url).resolve("convex/package.json")),
  "bin/main.js",
);

/** @param {import("node:http").IncomingMessage} request @returns {Promise<any>} */
async function readJson(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  const plain =
    request.headers["content-encoding"] === "br" ? zlib.brotliDecompressSync(body) : body;
  return plain.length === 0 ? null : JSON.parse(plain.toString("utf8"));
}

/** What the app's `convex.config.ts` declares. @param {Module | null} definition */
async function evaluateDefinition(definition) {
  if (definition === null) throw new Error("the push carries no convex.config.ts");
  const source = Buffer.from(definition.source).toString("base64");
  const { default: app } = await import(`data:text/javascript;base64,${source}`);
  return { path: "", ...app.export() };
}

const SCHEMA_CHANGE = { allocatedComponentIds: {}, schemaIds: {} };

/** @param {Push} push */
async function startPushAnswer(push) {
  const definition = await evaluateDefinition(push.appDefinition.definition);
  const udfConfig = {
    serverVersion: SERVER_VERSION,
    importPhaseRngSeed: null,
    importPhaseUnixTimestamp: null,
  };
  return {
    environmentVariables: {},
    externalDepsId: null,
    componentDefinitionPackages: {},
    appAuth: [],
    analysis: { "": { definition, schema: null, functions: {}, udfConfig } },
    app: {
      definitionPath: "",
      componentPath: "",
      args: {},
      childComponents: {},
      httpRoutes: { httpModuleRoutes: null, mounts: [] },
      exports: {},
    },
    schemaChange: SCHEMA_CHANGE,
  };
}

const NO_CHANGE = {
  authDiff: { added: [], removed: [] },
  definitionDiffs: {},
  componentDiffs: {},
};

/**
 * Runs `convex ARGS` in `directory` against a fresh stub.
 *
 * @param {string[]} args
 * @param {{ directory: string, input?: string }} options `input` is what it reads on stdin
 * @returns {Promise<Run>}
 */
export async function runConvex(args, { directory, input = "" }) {
  /** @type {Run} */
  const run = { code: 1, output: "", pushed: null, finished: false, variables: {} };

  /** @type {Record<string, (body: any) => unknown>} */
  const answers = {
    "/api/get_config_hashes": () => ({
      config: { functions: "convex/", authInfo: [] },
      moduleHashes: [],
      udfServerVersion: SERVER_VERSION,
    }),
    "/api/deploy2/evaluate_schema": () => ({
      componentSchemaEvaluations: {},
      newComponentDefinitions: [],
    }),
    "/api/deploy2/evaluate_push": () => ({ schemaChange: SCHEMA_CHANGE }),
    "/api/deploy2/start_push": (push) => startPushAnswer((run.pushed = push)),
    "/api/deploy2/wait_for_schema": () => ({ type: "complete" }),
    "/api/deploy2/finish_push": () => {
      run.finished = true;
      return NO_CHANGE;
    },
    "/api/deploy2/report_push_completed": () => null,
    "/api/update_environment_variables": ({ changes }) => {
      for (const { name, value } of changes) run.variables[name] = value;
      return null;
    },
  };

  const server = http.createServer(async (request, response) => {
    const answer = answers[request.url ?? ""];
    run.output += answer ? "" : `[stub] ${request.method} ${request.url} is not answered\n`;
    try {
      const body = await readJson(request);
      response.writeHead(answer ? 200 : 404, { "content-type": "application/json" });
      response.end(JSON.stringify(answer ? await answer(body) : { code: "NotFound", message: "" }));
    } catch (error) {
      run.output += `[stub] ${request.url}: ${error}\n`;
      response.destroy();
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  const address = /** @type {import("node:net").AddressInfo} */ (server.address());

  const home = await mkdtemp(path.join(os.tmpdir(), "convex-home-"));
  const child = spawn(process.execPath, [CLI, ...args], {
    cwd: directory,
    stdio: ["pipe", "pipe", "pipe"],
    env: {
      PATH: process.env.PATH,
      HOME: home, // whoever runs this: their account is not looked at
      CI: "1",
      CONVEX_SELF_HOSTED_URL: `http://127.0.0.1:${address.port}`,
      CONVEX_SELF_HOSTED_ADMIN_KEY: "stub|stub",
    },
  });
  child.stdin.on("error", () => {}).end(input); // it may have ended without a look at it
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text) => (run.output += text));
  }
  run.code = await new Promise((resolve) => child.on("close", (code) => resolve(code ?? 1)));
  server.closeAllConnections();
  server.close();
  await rm(home, { recursive: true, force: true });
  return run;
}
