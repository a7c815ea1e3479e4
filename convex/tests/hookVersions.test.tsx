/** Which React and Convex the hook's tests really run with: as the project says, and only one of each. */

import { cleanup, render } from "@testing-library/react";
import { version as convexVersion } from "convex";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as React from "react";
import { afterEach, expect, test, vi } from "vitest";

/** Where react-dom tells its version when it is loaded. */
const renderers = vi.hoisted(() => {
  const loaded: { version: string }[] = [];
  const inject = (renderer: { version: string }) => loaded.push(renderer);
  Object.assign(globalThis, {
    __REACT_DEVTOOLS_GLOBAL_HOOK__: { supportsFiber: true, isDisabled: false, inject },
  });
  return loaded;
});

const packages = join(process.env.HOOK_PACKAGES ?? "", "package.json");
const { dependencies } = JSON.parse(readFileSync(packages, "utf8"));

afterEach(cleanup);

test("components and convex are of the project's versions", () => {
  expect(React.version).toBe(dependencies.react);
  expect(convexVersion).toBe(dependencies.convex);
});

test("what the tests render is rendered by the react-dom of that React", () => {
  const Shown = () => <p>{React.useState("shown")[0]}</p>;
  expect(render(<Shown />).container.textContent).toBe("shown");
  expect(renderers.map(({ version }) => version)).toEqual([dependencies.react]);
});
