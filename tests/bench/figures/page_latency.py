"""How soon a job that is completed in the transcriber is on the page."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.built_pages import built_pages
from tests.bench.place import Place
from tests.bench.result import Cell, Claim, Figure, Panel, distribution, quantile
from tests.bench.watching import Watched, product, watching
from tests.bench.way import Way, ways
from tests.support.groq_server import GroqServer
from tests.support.product import Journey

JOBS = 200
PAGES = 50
MOST_MS = 1000.0
AIM_MS = 100.0
CLOCK_ERROR_MS = 2.0
STAGES = (
    "before: Groq's answer to completedAt",
    "to the transcriber's sending of the webhook",
    "to the gateway's disk",
    "to the row's updatedAt in Convex",
    "to the page, on its live connection",
    "to the DOM",
    "after: to the end of the next frame",
)


@dataclass(frozen=True, slots=True)
class Run:
    """Jobs that so many pages followed."""

    pages: int
    jobs: Sequence[Watched]
    ways: Sequence[Way]
    clock_error_ms: float

    @property
    def name(self) -> str:
        return "one page" if self.pages == 1 else f"one of {self.pages} pages"

    def on_first(self) -> list[float]:
        """From `completedAt` to the text in the DOM of the foreground page, in ms, ascending."""
        return sorted(job.arrivals[0].dom - way.completed for job, way in self._both())

    def on_slowest(self) -> list[float]:
        """To the DOM of the last page that had it."""
        return sorted(
            max(arrival.dom for arrival in job.arrivals) - way.completed for job, way in self._both()
        )

    def stages(self) -> Mapping[str, list[float]]:
        """Each from the end of the one before it, in ms, ascending."""
        moments = [
            (
                job.answered_at,
                way.completed,
                way.sent,
                way.accepted,
                way.applied,
                job.arrivals[0].told,
                job.arrivals[0].dom,
                job.arrivals[0].frame,
            )
            for job, way in self._both()
        ]
        return {name: sorted(one[n + 1] - one[n] for one in moments) for n, name in enumerate(STAGES)}

    def unseen(self) -> int:
        """Texts that were in a DOM and not visible in the frame after it."""
        return sum(not arrival.is_visible for job in self.jobs for arrival in job.arrivals)

    def _both(self) -> list[tuple[Watched, Way]]:
        return list(zip(self.jobs, self.ways, strict=True))


def measure(place: Place) -> Figure:
    pages = place.scale.number(PAGES, least=2)
    alone = follow(place.folder / "one-page", pages=1, jobs=place.scale.number(JOBS, least=3))
    among = follow(place.folder / "many-pages", pages=pages, jobs=place.scale.number(JOBS, least=3))
    return figure(alone, among)


def figure(alone: Run, among: Run) -> Figure:
    return Figure(
        title="From completed to the page",
        how=_how(among),
        columns=["what", "pages", "jobs", "p50 ms", "p95 ms", "p99 ms", "worst ms"],
        rows=[row for run in (alone, among) for row in _rows(run)],
        claims=_claims(alone, among),
        panels=[
            Panel(
                title="share of the texts that were in the DOM",
                x="ms since completedAt",
                y="%",
                series=[
                    distribution(alone.name, alone.on_first()),
                    distribution(among.name, among.on_first()),
                    distribution(f"the slowest of {among.pages} pages", among.on_slowest()),
                ],
                log_x=True,
            )
        ],
    )


def _how(among: Run) -> str:
    pages = among.pages
    return (
        "The whole product runs as `make run` has it, except that the page is built by vite as for a deployment, and that "
        "a server on this machine answers in place of Groq, so that speech costs no CPU. Jobs are uploaded through the "
        "page in headless Chromium, four at a time, and Groq answers for one after another, with gaps at random. "
        "The time counts from a job's `completedAt` to the moment when a MutationObserver in the page finds its card "
        "completed with the text in it. Both are read from the wall clock of this machine; how far the page's is off at most is "
        "measured by asking it. `completedAt` and the times of the services are whole milliseconds. Stages are "
        "those of the foreground page, each from the end of the one before. Visible in the next frame is what `checkVisibility` "
        "says is: drawn, and neither hidden nor transparent; below the fold counts. The list of a page holds four cards; "
        "it is emptied after each four. "
        f"With {pages} pages, all are tabs of one browser, visible and drawn on the same cores as everything else, and "
        f"all follow every job: what the slowest waits for is mostly the drawing of the others, which {pages} people's "
        "machines would share. The pages ask for reduced motion, and are 800 pixels wide. The network is the loopback "
        "interface, and Convex is the development backend: nothing is said of the way to a hosted one."
    )


def follow(folder: Path, *, pages: int, jobs: int) -> Run:
    """On a product of its own."""
    with product(folder) as (running, groq):
        watched, clock_error_ms = asyncio.run(
            _watched(running, groq, folder / "page", pages=pages, jobs=jobs)
        )
        return Run(pages, watched, ways(running, [job.job_id for job in watched]), clock_error_ms)


async def _watched(
    running: Journey, groq: GroqServer, folder: Path, *, pages: int, jobs: int
) -> tuple[list[Watched], float]:
    convex = {"watching": running.stack["convex"].url}
    with built_pages(running.stack["page"].program, folder, convex) as url:
        async with watching(f"{url}/watching/", groq, pages=pages) as scene:
            before = await scene.clock_error_ms()
            watched = await scene.do(jobs)
            return watched, max(before, await scene.clock_error_ms())


def _rows(run: Run) -> list[list[Cell]]:
    measured = {
        **run.stages(),
        "completedAt to the DOM": run.on_first(),
        "Groq's answer to the bench's hearing of the text, by one clock": sorted(
            job.one_clock_ms for job in run.jobs
        ),
    }
    if run.pages > 1:
        measured["completedAt to the DOM, slowest page"] = run.on_slowest()
    return [
        [name, run.pages, len(ms), *(quantile(ms, share) for share in (0.5, 0.95, 0.99, 1.0))]
        for name, ms in measured.items()
    ]


def _claims(alone: Run, among: Run) -> list[Claim]:
    first, many, slowest = (
        quantile(ms, 0.99) for ms in (alone.on_first(), among.on_first(), among.on_slowest())
    )
    return [
        Claim(f"p99, {alone.name}", first, at_most=MOST_MS, unit="ms"),
        Claim(f"p99, {alone.name}: the aim", first, at_most=AIM_MS, unit="ms"),
        Claim(f"p99, {among.name}", many, at_most=MOST_MS, unit="ms"),
        Claim(f"p99, {among.name}: the aim", many, at_most=AIM_MS, unit="ms"),
        Claim(f"p99, the slowest of {among.pages} pages", slowest, at_most=MOST_MS, unit="ms"),
        Claim("texts not visible in the next frame", alone.unseen() + among.unseen(), at_most=0),
        Claim(
            "difference of the page's clock, at most",
            max(alone.clock_error_ms, among.clock_error_ms),
            at_most=CLOCK_ERROR_MS,
            unit="ms",
        ),
    ]
