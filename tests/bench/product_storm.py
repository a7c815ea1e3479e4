"""The whole product in a storm: is every row of Convex in the end what the API says of its job?

Made-up jobs of a producer and real ones of the transcriber go through gateway and functions. Each edge on their way
delays, loses, repeats and refuses, and all three programs are killed meanwhile. Then all is calm, what waits goes out,
and every row is held against the truth.
"""

import json
import math
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.bench.processes import Processes
from tests.bench.product_scene import Scene, scene
from tests.support.background import background
from tests.support.job_histories import History, histories, latest
from tests.support.job_producer import JobProducer, sendings
from tests.support.job_rows import Comparison, compare, setbacks
from tests.support.live_server import live_server
from tests.support.product import DATA, SERVICES
from tests.support.rash_visitors import RashVisitors, TellingGroq
from tests.support.waiting import eventually

RECORDING = DATA / "jfk.mp3"
WATCHED = 100
"""What one subscription may ask for."""
MOST_WAITING = 400
"""Events in the gateway, from when on the producer waits: what was sent is to arrive while there is chaos."""
LAST_KILL = 0.95
"""As a share of the whole way."""
RECONNECT_SECONDS = 60.0
"""How long an official client may take to come back."""
LONGEST_SECONDS = 1200.0
SETTLE_SECONDS = 240.0
ASK_SECONDS = 0.3
"""Between two questions whether all is settled: the answer costs the programs that would settle it."""


@dataclass(frozen=True, slots=True)
class Size:
    made_up_jobs: int
    real_jobs: int
    kills_each: int
    seed: int


@dataclass(frozen=True, slots=True)
class Report:
    """What was done, and in every list what must not be."""

    size: Size
    made_up: Comparison
    real: Comparison
    taken: frozenset[str]
    """The real jobs that the transcriber answered 202 for."""
    listed: frozenset[str]
    """Those that it lists in the end, deleted ones too: what `real` compares."""
    updates: int
    """Of the made-up jobs, each counted once."""
    sent: int
    """Tries of the producer, with those that repeat."""
    events: int
    """What the gateway took in, of both kinds of jobs."""
    failed: list[str]
    """Events that Convex never answered `applied`, `duplicate` or `stale`."""
    dead: int
    kills: Counter[str]
    edges: dict[str, Counter[str]]
    """What befell the requests on each; "": nothing."""
    outcomes: Counter[str]
    """Of everything that Convex answered, repeated requests too."""
    cancels: Counter[str]
    """By what the job was when its cancel was answered."""
    views: int
    """That an open page was given."""
    setbacks: list[str]
    """What it was shown after something newer."""
    behind: list[str]
    """What it never was shown the end of."""
    storm_seconds: float
    settle_seconds: float

    @property
    def lost(self) -> list[str]:
        return [f"{job_id} was taken and is gone" for job_id in sorted(self.taken - self.listed)]

    @property
    def faults(self) -> list[str]:
        dead = [f"{self.dead} deliveries are dead"] if self.dead else []
        compared = [*self.made_up.faults, *self.real.faults]
        return [*compared, *self.lost, *self.failed, *dead, *self.setbacks, *self.behind]


class Page:
    """Some jobs as an open page is shown them."""

    def __init__(self, views: Path, told: Sequence[History]) -> None:
        self._views = views
        self.latest = latest(told)

    def views(self) -> list[dict[str, int]]:
        """The sequence of every job shown; a line that is not whole yet is none."""
        return [json.loads(line) for line in self._views.read_text("utf-8").split("\n")[:-1]]

    def behind(self) -> list[str]:
        """The jobs that it shows otherwise than as they ended."""
        view = self.views()[-1]
        ends = {
            job_id: None if job["status"] == "deleted" else job["sequence"]
            for job_id, job in self.latest.items()
        }
        return [
            f"{job_id} ended at {sequence} and is shown at {view.get(job_id)}"
            for job_id, sequence in ends.items()
            if view.get(job_id) != sequence
        ]


@contextmanager
def open_page(processes: Processes, here: Scene, views: Path, told: Sequence[History]) -> Iterator[Page]:
    page = Page(views, told[:: math.ceil(len(told) / WATCHED)])
    views.touch()
    url = here.stack["convex"].url
    with processes.python("tests.support.row_watcher", url, str(views), *page.latest):
        eventually(page.views)
        yield page


def storm(folder: Path, processes: Processes, size: Size) -> Report:
    told = histories(size.made_up_jobs, random.Random(size.seed))
    groq = TellingGroq(chance=random.Random(size.seed))
    with (
        background() as loop,
        live_server(groq.app) as groq_url,
        scene(folder, groq_url, loop, random.Random(size.seed)) as here,
        open_page(processes, here, folder / "views.jsonl", told) as page,
    ):
        return Storm(here, size, told=told, groq=groq, page=page).run()


class Storm:
    def __init__(
        self, here: Scene, size: Size, *, told: Sequence[History], groq: TellingGroq, page: Page
    ) -> None:
        self._here = here
        self._size = size
        self._told = told
        self._page = page
        self._chance = random.Random(size.seed)
        self._kills: Counter[str] = Counter()
        sending = sendings(told, self._chance)
        self._total = len({one.message_id for one in sending})
        self._producer = JobProducer(
            port=here.edges["gateway"].port,
            secret=here.stack.keys.webhook_secret,
            sending=sending,
            may_go=lambda: here.wires.waiting < MOST_WAITING,
            chance=random.Random(size.seed),
        )
        self._visitors = RashVisitors(
            here.loop, url=here.stack["transcriber"].url, recording=RECORDING, chance=random.Random(size.seed)
        )
        groq.meet = self._visitors.meet

    def run(self) -> Report:
        began = time.monotonic()
        try:
            self._blow()
            calm = time.monotonic()
            self._settle()
            return self._report(storm_seconds=calm - began, settle_seconds=time.monotonic() - calm)
        finally:
            self._here.loop.do(self._visitors.close())

    def _blow(self) -> None:
        """Until everything was sent, most of it has arrived, and everybody was killed as often as they should be."""
        loop, count = self._here.loop, self._size.real_jobs
        self._senders = [
            loop.begin(self._producer.run()),
            loop.begin(self._visitors.send(count, progress=self._progress)),
        ]
        self._kill()
        for sender in self._senders:
            sender.result(LONGEST_SECONDS)
        for edge in self._here.edges.values():
            edge.calm = True

    def _kill(self) -> None:
        """Everybody in turn, by chance, each at a moment of the whole way by chance."""
        victims = list(SERVICES) * self._size.kills_each
        self._chance.shuffle(victims)
        moments = sorted(self._chance.uniform(0, LAST_KILL) for _ in victims)
        for moment, victim in zip(moments, victims, strict=True):
            eventually(lambda moment=moment: self._has_come_to(moment), seconds=LONGEST_SECONDS)
            self._kill_one(victim)

    def _kill_one(self, victim: str) -> None:
        """Counted where another process has taken its place. Raises ServiceFailedError if it had died by itself."""
        service = self._here.stack[victim]
        service.check()
        killed = service.pid
        service.kill()
        self._here.stack.start(victim)
        self._kills[victim] += service.pid != killed

    def _has_come_to(self, moment: float) -> bool:
        """Raises what a sender has failed with: it would never come to that."""
        for sender in self._senders:
            if sender.done():
                sender.result()
        return self._progress() >= moment

    def _progress(self) -> float:
        """How much of the made-up jobs' events Convex has taken, about: those of the real jobs are few."""
        return len(self._here.wires.taken) / self._total

    def _settle(self) -> None:
        """Until nothing is under way any more, which the programs are asked themselves.

        Twice: once the first jobs are over nobody comes to interfere any more, but those who do may still retry one.
        """
        for is_so in (self._here.is_settled, lambda: self._visitors.are_quiet, self._here.is_settled):
            eventually(is_so, seconds=SETTLE_SECONDS, pause_seconds=ASK_SECONDS)
        with suppress(AssertionError):  # the report says what it is behind with
            eventually(lambda: not self._page.behind(), seconds=RECONNECT_SECONDS)

    def _report(self, *, storm_seconds: float, settle_seconds: float) -> Report:
        here = self._here
        made_up, real = latest(self._told), here.real_jobs()
        views = self._page.views()
        return Report(
            size=self._size,
            made_up=compare(made_up, here.rows(list(made_up))),
            real=compare(real, here.rows(list(real))),
            taken=frozenset(self._visitors.taken),
            listed=frozenset(real),
            updates=sum(len(history.updates) for history in self._told),
            sent=self._producer.tries,
            events=len(here.wires.events),
            failed=here.failed(),
            dead=here.deliveries("dead"),
            kills=self._kills,
            edges={name: edge.counts for name, edge in here.edges.items()},
            outcomes=here.wires.outcomes,
            cancels=self._visitors.cancels,
            views=len(views),
            setbacks=setbacks(views),
            behind=self._page.behind(),
            storm_seconds=storm_seconds,
            settle_seconds=settle_seconds,
        )
