"""How many requests a page makes while it waits for a long job, and how late it has the text."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.async_api import Browser, Page

from tests.bench.built_pages import built_pages
from tests.bench.place import Place
from tests.bench.result import Cell, Claim, Figure, Panel, Series
from tests.bench.traffic import Traffic, traffic
from tests.bench.watching import NOTE_ARRIVALS, RECORDING, product
from tests.support.chromium import PATIENCE_SECONDS, running_chromium
from tests.support.groq_server import Answer, GroqServer
from tests.support.line import Line, line
from tests.support.product import Journey

JOB_SECONDS = 60.0
CUT_SHARE = 1 / 2
"""Of the job's time."""
AWAY_SHARE = 1 / 6
"""Of the job's time: how long the line is away that comes back."""
POLL_SECONDS = 2
LAST_SECONDS = 30.0
"""After the job's end: how long a page may take to learn of it."""
QUIET_SECONDS = 12.0
"""How long a page is watched that has the text: longer than its poll interval."""
FEWER = 80.0
FEWER_AIM = 95.0

LIVE, CUT, MENDED, POLLING = "live", "cut", "mended", "polling"
WHAT = {
    LIVE: "live all the time",
    CUT: "live, cut half-way for good",
    MENDED: "live, cut half-way, back after a sixth",
    POLLING: f"no live connection: a request every {POLL_SECONDS} s",
}

POLLING_PAGE = """<!doctype html>
<title>Polling</title>
<p data-connection="polling"></p>
<label>Choose files <input type="file"></label>
<ul></ul>
<script type="module">
  const api = "API";
  const [input, list] = [document.querySelector("input"), document.querySelector("ul")];
  input.onchange = async () => {
    const form = new FormData();
    form.append("file", input.files[0]);
    let job = await (await fetch(`${api}/v1/jobs`, { method: "POST", body: form })).json();
    list.innerHTML = `<li data-job-id="${job.jobId}"><p class="words"><span></span></p></li>`;
    const card = list.firstElementChild;
    do {
      await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
      job = await (await fetch(`${api}/v1/jobs/${job.jobId}`)).json();
      card.querySelector("span").textContent = job.result?.text ?? "";
      card.dataset.status = job.status;
    } while (!job.result);
  };
</script>
"""


@dataclass(frozen=True, slots=True)
class Followed:
    """One job on one page; times are Unix seconds."""

    traffic: Traffic
    began: float
    """When its upload was begun."""
    cut_at: float | None
    """When its live connection was cut; None: never."""
    ended: float
    """When its text was there."""
    late_ms: float
    """From `completedAt` to its text in the DOM."""

    def waiting(self) -> list[float]:
        """Seconds from the upload to each request besides it."""
        return [request.at - self.began for request in self.traffic.after_upload]

    def needless(self) -> int:
        """Requests after the text was there."""
        return sum(request.at > self.ended for request in self.traffic.requests)


def measure(place: Place) -> Figure:
    seconds = place.scale.seconds(JOB_SECONDS, least=1.0)
    folder = place.folder / "page-requests"
    with product(folder) as (running, groq):
        followed = asyncio.run(follow(running, groq, folder / "page", seconds=seconds, cut_share=CUT_SHARE))
    return figure(followed, seconds)


def figure(followed: Mapping[str, Followed], seconds: float) -> Figure:
    baseline = len(followed[POLLING].waiting())
    fewer = {name: 100 * (1 - len(one.waiting()) / baseline) for name, one in followed.items()}
    return Figure(
        title="Requests of a page during a long job",
        how=_how(seconds),
        columns=[
            "page",
            "requests",
            "polls",
            "preflights",
            "fewer %",
            "WebSockets",
            "HTTP kB",
            "WebSocket kB",
            "late s",
        ],
        rows=[_row(WHAT[name], one, fewer[name]) for name, one in followed.items()],
        claims=[
            Claim("fewer requests, live", fewer[LIVE], at_least=FEWER, unit="%"),
            Claim("fewer requests, live: the aim", fewer[LIVE], at_least=FEWER_AIM, unit="%"),
            Claim("fewer requests, cut half-way", fewer[CUT], at_least=FEWER, unit="%"),
            Claim("fewer requests, cut and back", fewer[MENDED], at_least=FEWER, unit="%"),
            Claim(
                "requests after the text was there",
                sum(one.needless() for one in followed.values()),
                at_most=0,
            ),
        ],
        panels=[_panel(followed)],
    )


async def follow(
    running: Journey, groq: GroqServer, folder: Path, *, seconds: float, cut_share: float
) -> dict[str, Followed]:
    """Four jobs at once, as many as the transcriber gives to Groq, each on a page of its own."""
    groq.answers.extend([Answer(held=True)] * len(WHAT))
    async with _pages(running, folder) as (pages, lines), asyncio.TaskGroup() as tasks:
        followed = {
            name: tasks.create_task(_follow(page, running, lines.get(name), seconds))
            for name, page in pages.items()
        }
        await _until(lambda: len(groq.asked) == len(WHAT))
        await asyncio.sleep(seconds * cut_share)
        for one in lines.values():
            one.cut()
        await asyncio.sleep(seconds * AWAY_SHARE)
        await lines[MENDED].mend()
        await asyncio.sleep(seconds * (1 - cut_share - AWAY_SHARE))
        groq.release()
    return {name: task.result() for name, task in followed.items()}


async def _follow(page: Page, running: Journey, line: Line | None, seconds: float) -> Followed:
    seen = await traffic(page)
    began = time.time()
    await page.get_by_label("Choose files").set_input_files(RECORDING)
    await page.wait_for_function(
        "Object.values(__arrivals)[0]?.frame", polling=100, timeout=(seconds + LAST_SECONDS) * 1000
    )
    await asyncio.sleep(QUIET_SECONDS)
    ((job_id, arrival),) = await page.evaluate("Object.entries(__arrivals)")
    job = await asyncio.to_thread(running.product.in_transcriber, job_id)
    return Followed(
        traffic=seen,
        began=began,
        cut_at=line.cut_at if line else None,
        ended=arrival["dom"] / 1000,
        late_ms=arrival["dom"] - job["timestamps"]["completedAt"],
    )


@asynccontextmanager
async def _pages(
    running: Journey, folder: Path
) -> AsyncIterator[tuple[Mapping[str, Page], Mapping[str, Line]]]:
    """Open and live, each in a context of its own; those that will be cut reach Convex by a line of their own."""
    convex = running.stack["convex"].url
    async with AsyncExitStack() as opened:
        lines = {
            name: await opened.enter_async_context(line(running.stack.ports.convex)) for name in (CUT, MENDED)
        }
        addresses = {LIVE: convex, **{name: one.url for name, one in lines.items()}}
        url = opened.enter_context(built_pages(running.stack["page"].program, folder, addresses))
        _write_polling_page(folder / POLLING, running.stack["transcriber"].url)
        browser = await opened.enter_async_context(running_chromium())
        yield {name: await _open(browser, f"{url}/{name}/") for name in WHAT}, lines


async def _open(browser: Browser, url: str) -> Page:
    context = await browser.new_context()
    await context.add_init_script(f"({NOTE_ARRIVALS})()")
    page = await context.new_page()
    await page.goto(url)
    await page.wait_for_selector("[data-connection=live], [data-connection=polling]", state="attached")
    return page


def _write_polling_page(folder: Path, api: str) -> None:
    folder.mkdir()
    page = POLLING_PAGE.replace("API", api).replace("EVERY_MS", str(POLL_SECONDS * 1000))
    (folder / "index.html").write_text(page, "utf-8")


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():
            await asyncio.sleep(0.01)


def _row(name: str, one: Followed, fewer: float) -> list[Cell]:
    seen = one.traffic
    return [
        name,
        len(one.waiting()),
        len(seen.polls),
        len(seen.preflights),
        fewer,
        seen.sockets,
        seen.http_bytes / 1000,
        seen.socket_bytes / 1000,
        one.late_ms / 1000,
    ]


def _panel(followed: Mapping[str, Followed]) -> Panel:
    return Panel(
        title="requests so far",
        x="seconds since the upload",
        y="requests",
        series=[Series(name, _steps(one.waiting())) for name, one in followed.items()],
    )


def _steps(times: Sequence[float]) -> list[tuple[Cell, float]]:
    points: list[tuple[Cell, float]] = [(0.0, 0.0)]
    for number, at in enumerate(times):
        points += [(at, float(number)), (at, float(number + 1))]
    return points


def _how(seconds: float) -> str:
    return (
        "Four jobs at once, each on a page of its own in headless Chromium; Groq, played by a server on this machine, "
        f"answers after {seconds:.0f} s. Three are the product's page, built by vite as for a deployment, with its own "
        "intervals. Of two of them the connection to Convex is cut after half of the job's time, "
        "and refused from then on; of one of these it is taken again after a sixth of the job's time. The fourth polls: "
        f"`GET /v1/jobs/{{id}}` every {POLL_SECONDS} s. Requests are those that the browser sends over HTTP besides the "
        "upload itself, of any method and to any address: polls, and its own preflights before them. WebSockets are those "
        "begun after the upload, the refused ones too. Bytes are those received, all in all. Late is from "
        f"`completedAt` to the text in the DOM. Each page is watched for another {QUIET_SECONDS:.0f} s. "
        "Groq tells of no progress, so that a live page hears nothing for a minute, and may ask the API once "
        "whether it missed something. The cut page's third poll comes at about the end of the job: where it comes a moment "
        "before it, there is a fourth, and the text is 10 s late."
    )
