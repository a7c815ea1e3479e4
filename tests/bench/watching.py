"""Pages of the real product in Chromium, and when each of them had a job's text."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, time

from playwright.async_api import Page, expect

from tests.support.chromium import running_chromium
from tests.support.groq_server import KEY, Answer, GroqServer, groq_server
from tests.support.product import DATA, SERVICES, Journey, journey

RECORDING = DATA / "jfk.wav"
AT_ONCE = 4
"""Jobs that are `processing` at a time: as many as the transcriber gives to Groq."""
SETTLED_SECONDS = 0.4
"""After all pages show them as `processing`: a progress bar moves for 0.3 s."""
GAP_SECONDS = (0.05, 0.15)
"""Between one job's text and the next one's completion, at random."""
DRAWING_SECONDS = 0.008
"""Besides, for each page. None is asked meanwhile whether it has the text: a question is work for it, too."""
LONGEST_SECONDS = 120.0
"""For all pages to show something, however slow the machine: many of them are drawn on few cores."""
LOOKS = 25
"""At a page's clock, of which the one that took least is believed."""

NOTE_ARRIVALS = """() => {
  const clock = () => performance.timeOrigin + performance.now();
  const told = (window.__told = {});
  const arrivals = (window.__arrivals = {});

  window.WebSocket = class extends WebSocket {
    constructor(...address) {
      super(...address);
      this.addEventListener("message", ({ data }) => {
        const at = clock();
        for (const { value } of JSON.parse(data).modifications ?? [])
          for (const { jobId, status } of value ?? []) if (status === "completed") told[jobId] ??= at;
      });
    }
  };

  const note = () => {
    const at = clock();
    for (const card of document.querySelectorAll("li[data-status=completed]")) {
      const { jobId } = card.dataset;
      const text = card.querySelector(".words span");
      if (jobId in arrivals || !text?.firstChild?.data) continue;
      const arrival = (arrivals[jobId] = { dom: at, frame: null, isVisible: false });
      requestAnimationFrame(() => setTimeout(() => {
        arrival.isVisible = text.checkVisibility({ visibilityProperty: true, opacityProperty: true });
        arrival.frame = clock();
        window.tellArrived?.(jobId);
      }));
    }
  };
  const what = { subtree: true, childList: true, attributes: true, attributeFilter: ["data-status"] };
  new MutationObserver(note).observe(document, what);
}"""
"""Runs in each page before its own code: what the socket said, what the DOM has, and the frame after it, by Unix ms."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A job's text on one page; times are Unix milliseconds."""

    told: float
    """The live connection's message came."""
    dom: float
    frame: float
    is_visible: bool


@dataclass(frozen=True, slots=True)
class Watched:
    """A job that was followed; times are Unix milliseconds."""

    job_id: str
    answered_at: float
    """The Groq server's answer, by this process."""
    one_clock_ms: float
    """From that answer until this process heard of the text from the foreground page, by one monotonic clock."""
    arrivals: Sequence[Arrival]
    """On each page, the foreground one first."""


EMPTY_LIST = """() => {
    for (const key of Object.keys(localStorage).filter((name) => name.startsWith("transcription-jobs/"))) {
        localStorage.removeItem(key);
        // The other tabs hear of it by themselves.
        window.dispatchEvent(new StorageEvent("storage", { key }));
    }
}"""


@contextmanager
def product(folder: Path) -> Iterator[tuple[Journey, GroqServer]]:
    """All of it but the page, as processes, with a Groq server that answers when it is told to."""
    with (
        groq_server() as groq,
        journey(folder, *SERVICES, GROQ_API_KEY=KEY, GROQ_BASE_URL=groq.url) as running,
    ):
        yield running, groq


@asynccontextmanager
async def watching(url: str, groq: GroqServer, *, pages: int) -> AsyncIterator["Watching"]:
    """So many tabs of one browser, which all follow the jobs of the first: their list is in storage that they share."""
    async with running_chromium() as browser:
        context = await browser.new_context(reduced_motion="reduce", viewport={"width": 800, "height": 600})
        await context.add_init_script(f"({NOTE_ARRIVALS})()")
        context.set_default_timeout(LONGEST_SECONDS * 1000)
        arrived: asyncio.Queue[tuple[str, float]] = asyncio.Queue()
        tabs = [await context.new_page() for _ in range(pages)]
        await tabs[0].expose_function("tellArrived", lambda job_id: arrived.put_nowait((job_id, monotonic())))
        for tab in tabs:
            await tab.goto(url)
        for tab in tabs:
            await expect(tab.locator("[data-connection]")).to_have_attribute("data-connection", "live")
        await tabs[0].bring_to_front()
        yield Watching(groq, tabs, arrived)


class Watching:
    """The first page is in the foreground, and uploads."""

    def __init__(
        self,
        groq: GroqServer,
        tabs: Sequence[Page],
        arrived: "asyncio.Queue[tuple[str, float]]",
    ) -> None:
        self._groq = groq
        self._tabs = tabs
        self._arrived = arrived
        self._rng = random.Random(1)

    async def do(self, jobs: int) -> list["Watched"]:
        """So many jobs, whose ends come one after another."""
        done: list[tuple[str, float, float]] = []
        while len(done) < jobs:
            done += await self._do_some(min(AT_ONCE, jobs - len(done)))
        arrivals = [await self._arrivals(tab, jobs) for tab in self._tabs]
        return [
            Watched(job_id, answered_at, one_clock_ms, [page[job_id] for page in arrivals])
            for job_id, answered_at, one_clock_ms in done
        ]

    async def clock_error_ms(self) -> float:
        """How far the page's clock is from this process', at most."""
        looks = [await self._look_at_clock() for _ in range(LOOKS)]
        took, error = min(looks)
        return abs(error) + took / 2

    async def _do_some(self, jobs: int) -> list[tuple[str, float, float]]:
        self._groq.answers.extend([Answer(held=True)] * jobs)
        await self._tabs[0].get_by_label("Choose files").set_input_files([RECORDING] * jobs)
        await self._on_every_page(
            "jobs => document.querySelectorAll('li[data-status=processing]').length === jobs", jobs
        )
        await self._until_groq_has(jobs)
        await asyncio.sleep(SETTLED_SECONDS)
        done = [await self._end_one() for _ in range(jobs)]
        await self._on_every_page("() => !document.querySelector('li[data-status=processing]')")
        await self._tabs[0].evaluate(EMPTY_LIST)
        await self._on_every_page("() => !document.querySelector('li[data-job-id]')")
        return done

    async def _end_one(self) -> tuple[str, float, float]:
        self._groq.release_next()
        job_id, heard_at = await asyncio.wait_for(self._arrived.get(), LONGEST_SECONDS)
        answered = self._groq.answered[-1]
        await asyncio.sleep(self._rng.uniform(*GAP_SECONDS) + DRAWING_SECONDS * len(self._tabs))
        return job_id, answered.at * 1000, (heard_at - answered.monotonic) * 1000

    async def _until_groq_has(self, jobs: int) -> None:
        async with asyncio.timeout(LONGEST_SECONDS):
            while len(self._groq.held) < jobs:
                await asyncio.sleep(0.01)

    async def _on_every_page(self, condition: str, argument: int | None = None) -> None:
        """One page after another, and not in every frame: to be asked is work for a page, and so for all of them."""
        for tab in self._tabs:
            await tab.wait_for_function(condition, arg=argument, polling=50)

    async def _arrivals(self, tab: Page, jobs: int) -> dict[str, Arrival]:
        await tab.wait_for_function(
            "jobs => Object.values(__arrivals).filter(({ frame }) => frame).length >= jobs", arg=jobs
        )
        noted = await tab.evaluate(
            "Object.entries(__arrivals).map(([jobId, one]) => [jobId, __told[jobId], one.dom, one.frame, one.isVisible])"
        )
        return {job_id: Arrival(*times) for job_id, *times in noted}

    async def _look_at_clock(self) -> tuple[float, float]:
        """How long it took and how far the page's clock is from the middle of that, in ms."""
        before = time() * 1000
        shown = await self._tabs[0].evaluate("performance.timeOrigin + performance.now()")
        after = time() * 1000
        return after - before, shown - (before + after) / 2
