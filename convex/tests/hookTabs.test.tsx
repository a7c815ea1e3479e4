/** One browser's jobs over reloads and in several tabs, with the real Convex client and the development backend. */

import { act, cleanup, waitFor } from "@testing-library/react";
import type { ConvexReactClient } from "convex/react";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { memoryJobStorage, type JobStorage } from "../react/storage";
import { connect, LiveBackend } from "./hookBackend";
import { aFile, aJob, completed, FakeApi, renderTranscription } from "./hookSupport";

type Tab = { onChange: () => void };

/** The localStorage of one browser: with news of a change for the other tabs only, some time later. */
class Browser {
  readonly #stored = memoryJobStorage();
  readonly #tabs = new Set<Tab>();

  openTab(): JobStorage {
    const tab: Tab = { onChange: () => {} };
    return {
      read: this.#stored.read,
      put: (job) => {
        this.#stored.put(job);
        setTimeout(() => this.#tell(tab));
      },
      remove: (jobId) => {
        this.#stored.remove(jobId);
        setTimeout(() => this.#tell(tab));
      },
      subscribe: (onChange) => {
        tab.onChange = onChange;
        this.#tabs.add(tab);
        return () => this.#tabs.delete(tab);
      },
    };
  }

  #tell(writer: Tab): void {
    for (const tab of this.#tabs) if (tab !== writer) tab.onChange();
  }
}

const backend = new LiveBackend();
let browser: Browser;
let api: FakeApi;
let clients: ConvexReactClient[];

beforeAll(() => backend.start(), 30_000);

afterAll(() => backend.remove());

beforeEach(() => {
  browser = new Browser();
  api = new FakeApi();
  clients = [];
  vi.spyOn(console, "error").mockImplementation(() => {});
});

afterEach(async () => {
  cleanup();
  await Promise.all(clients.map((client) => client.close()));
  vi.restoreAllMocks();
});

function openTab() {
  const client = connect(backend.url);
  clients.push(client);
  return renderTranscription(client, api, { storage: browser.openTab() });
}
type Page = ReturnType<typeof openTab>;

const start = (tab: Page, name: string): string => {
  let jobId = "";
  act(() => {
    jobId = tab.result.current.start(aFile(name));
  });
  return jobId;
};
const shows = async (tab: Page, ...jobs: object[]) =>
  await waitFor(() => expect(tab.result.current.jobs).toMatchObject(jobs), { timeout: 15_000 });

test("several jobs come back after a reload, each as it is by then", async () => {
  const before = openTab();
  const first = start(before, "first.wav");
  const second = start(before, "second.wav");
  const third = start(before, "third.wav");
  await shows(before, { status: "queued" }, { status: "queued" }, { status: "queued" });
  await backend.deliver(completed({ jobId: first }));
  await shows(before, { jobId: third }, { jobId: second }, { jobId: first, status: "completed" });

  before.unmount();
  await backend.deliver(aJob({ jobId: second, sequence: 4, progress: 55 }));
  const error = { code: "decode", message: "The audio is cut short." };
  await backend.deliver(aJob({ jobId: third, status: "failed", sequence: 5, error }));
  await shows(
    openTab(),
    { jobId: third, name: "third.wav", status: "failed", error },
    { jobId: second, name: "second.wav", status: "processing", progress: 55 },
    { jobId: first, name: "first.wav", status: "completed", result: completed().result },
  );
});

test("a tab shows what another one starts, hears of it live, and loses what the other removes", async () => {
  const [one, other] = [openTab(), openTab()];
  const kept = start(one, "kept.wav");
  await shows(other, { jobId: kept });
  const removed = start(other, "removed.wav");
  for (const tab of [one, other]) await shows(tab, { jobId: removed }, { jobId: kept });
  await backend.deliver(completed({ jobId: kept }));
  for (const tab of [one, other]) await shows(tab, {}, { jobId: kept, status: "completed" });

  await act(() => one.result.current.remove(removed));
  for (const tab of [one, other]) await shows(tab, { jobId: kept });
  expect(openTab().result.current.jobs).toMatchObject([{ jobId: kept }]);
});

test("two tabs that start a job at the same time store both", async () => {
  const [one, other] = [openTab(), openTab()];
  const ids = [start(one, "one.wav"), start(other, "other.wav"), start(one, "again.wav")];
  const tab = openTab();
  await shows(tab, {}, {}, {});
  expect(tab.result.current.jobs.map(({ jobId }) => jobId).sort()).toEqual(ids.sort());
});

test("a tab closed before the upload's answer came has the job when it is opened again", async () => {
  const closed = openTab();
  const received = new Promise<FormData>((resolve) => {
    api.answer = ({ form }) => {
      if (form !== null) resolve(form);
      return new Promise(() => {});
    };
  });
  const jobId = start(closed, "talk.wav");
  const form = await received;
  closed.unmount();
  expect(form.get("job_id")).toBe(jobId);

  api.answer = null;
  await backend.deliver(aJob({ jobId, status: "queued", sequence: 1 }));
  const opened = openTab();
  await shows(opened, { jobId, name: "talk.wav", status: "queued" });
  expect(opened.storage.read()).toMatchObject([{ jobId, accepted: true }]);
});
