/** Which modules a user's deployment receives: a new file in `convex/` is listed here on purpose. */

const EXPECTED = [
  "crons.js",
  "http.js",
  "transcription/access.js",
  "transcription/crons.js",
  "transcription/environment.js",
  "transcription/jobUpdate.js",
  "transcription/problem.js",
  "transcription/routes.js",
  "transcription/row.js",
  "transcription/tables.js",
  "transcription/webhookKey.js",
  "transcriptionJobs.js",
];

/**
 * What is wrong with a push, a sentence each. Chunks that the bundler shares between modules
 * (`_deps/…`) are named by their content and do not count.
 *
 * @param {import("./deployment-stub.mjs").Push | null} push
 * @param {string[]} others what an app that has taken ours in uploads besides
 * @returns {string[]}
 */
export function faultsOf(push, others = []) {
  const expected = [...EXPECTED, ...others];
  if (push === null) return ["nothing was uploaded"];
  const { definition, schema, changedModules } = push.appDefinition;
  const uploaded = changedModules
    .map(({ path }) => path)
    .filter((path) => !path.startsWith("_deps/"));
  return [
    ...uploaded
      .filter((path) => !expected.includes(path))
      .map((path) => `${path} is uploaded and not expected`),
    ...expected
      .filter((path) => !uploaded.includes(path))
      .map((path) => `${path} is expected and not uploaded`),
    ...(schema?.path === "schema.js" ? [] : ["schema.ts is not uploaded"]),
    ...(definition ? [] : ["convex.config.ts is not uploaded"]),
    ...changedModules
      .filter(({ environment }) => environment !== "isolate")
      .map(({ path }) => `${path} asks for the Node.js runtime`),
  ];
}
