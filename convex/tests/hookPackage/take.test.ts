/** The hook as a user takes it: the folder copied, or the package installed. */

import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { App, VERSIONS, type Versions } from "./app";

const run = promisify(execFile);
const NAME = "use-persistent-transcription";
const EACH_VERSION = Object.keys(VERSIONS) as Versions[];

let directory: string;
let tarball: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "hook-package-"));
  const packed = await run("npm", ["pack", "--silent", "--pack-destination", directory], {
    cwd: "hook-package",
  });
  tarball = join(directory, packed.stdout.trim().split("\n").at(-1) ?? "");
}, 120_000);

afterAll(() => rm(directory, { recursive: true }));

/** As npm unpacks it. */
async function install(app: App): Promise<void> {
  const target = join(app.directory, "node_modules", NAME);
  await mkdir(target);
  await run("tar", ["-xzf", tarball, "-C", target, "--strip-components", "1"]);
}

const versionOf = async (versions: Versions, name: string): Promise<string> => {
  const require = createRequire(join(VERSIONS[versions], "package.json"));
  return JSON.parse(await readFile(require.resolve(`${name}/package.json`), "utf8")).version;
};

test("the package holds the built modules, README and licence, and nothing else", async () => {
  const { stdout } = await run("tar", ["-tzf", tarball]);
  const kinds = stdout
    .trim()
    .split("\n")
    .map((name) => name.replace(/^package\/dist\/\w+/, "package/dist/*"));
  expect([...new Set(kinds)].sort()).toEqual([
    "package/LICENSE",
    "package/README.md",
    "package/dist/*.d.ts",
    "package/dist/*.js",
    "package/dist/*.js.map",
    "package/package.json",
  ]);
});

test("the oldest versions that the package asks for are the oldest that it is tested with", async () => {
  const { peerDependencies } = JSON.parse(await readFile("hook-package/package.json", "utf8"));
  const [oldestReact, newestReact] = peerDependencies.react.split(" || ");
  expect(peerDependencies.convex).toBe(`^${await versionOf("oldest", "convex")}`);
  expect(oldestReact).toBe(`^${await versionOf("oldest", "react")}`);
  expect(newestReact.split(".")[0]).toBe(`^${(await versionOf("newest", "react")).split(".")[0]}`);
});

test.each(["React", "Convex", "TypeScript"])(
  "the README names the tested versions of %s",
  async (name) => {
    const oldest = await versionOf("oldest", name.toLowerCase());
    const newest = await versionOf("newest", name.toLowerCase());
    const row = new RegExp(`^\\| ${name} *\\| ${oldest} *\\| ${newest} *\\|$`, "m");
    expect(await readFile("react/README.md", "utf8")).toMatch(row);
  },
);

describe.each(EACH_VERSION)("in an app of the %s versions", (versions) => {
  describe("the copied folder", () => {
    let app: App;

    beforeAll(async () => {
      app = await App.create({ versions, from: "./transcription" });
      await cp(resolve("react"), join(app.directory, "src/transcription"), { recursive: true });
    }, 60_000);
    afterAll(() => app.remove());

    test("type-checks under the app's own strict options", async () => {
      // Convex's own types do not pass the second without the first.
      const options = ["--skipLibCheck", "--exactOptionalPropertyTypes"];
      expect(await app.typeCheck(...options)).toBe("");
    });

    test("is bundled with the app's own React", async () => {
      expect(await app.build()).toEqual([await versionOf(versions, "react")]);
    });
  });

  describe("the installed package", () => {
    let app: App;

    beforeAll(async () => {
      app = await App.create({ versions, from: NAME });
      await install(app);
    }, 60_000);
    afterAll(() => app.remove());

    test("has types that the app finds as a bundler does", async () => {
      expect(await app.typeCheck("--skipLibCheck")).toBe("");
    });

    test("has types that are right in themselves, found as Node.js does", async () => {
      const options = ["--module", "NodeNext", "--moduleResolution", "NodeNext"];
      expect(await app.typeCheck(...options)).toBe("");
    });

    test("is bundled with the app's own React", async () => {
      expect(await app.build()).toEqual([await versionOf(versions, "react")]);
    });

    test("is imported by Node.js as it is", async () => {
      await app.write("names.js", `console.log(Object.keys(await import("${NAME}")).join());`);
      expect((await app.node("names.js")).trim().split(",")).toEqual([
        "ApiError",
        "indexedDbAudio",
        "localJobStorage",
        "memoryAudio",
        "memoryJobStorage",
        "usePersistentTranscription",
      ]);
    });
  });
});
