import { expect, test } from "vitest";
import { DevServer, startServer } from "./support";

test.each(["SIGTERM", "SIGINT"] as const)(
  "%s ends with 0, and stdout was one JSON line",
  async (signal) => {
    const server = await startServer();
    await fetch(`${server.url}/version`);
    expect(await server.end(signal)).toBe(0);
    expect(server.output.stdout.split("\n")).toHaveLength(2);
    expect(Object.keys(JSON.parse(server.output.stdout) as object)).toEqual(["url", "siteUrl"]);
  },
);

test("a port that is taken is named", async () => {
  const port = new URL((await startServer()).url).port;
  const second = DevServer.spawn({ PORT: port });
  expect(await second.ended()).toBe(1);
  expect(second.output.stderr).toContain(port);
  expect(second.output.stderr).not.toContain("    at ");
});

test.each(["http", "-1", "65536", "1e3"])("PORT=%s is refused", async (port) => {
  const server = DevServer.spawn({ PORT: port });
  expect(await server.ended()).toBe(1);
  expect(server.output.stderr).toContain(`PORT=${port}`);
});
