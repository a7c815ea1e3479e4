"""The whole product in a storm: is every row of Convex in the end what the API says of its job?

Made-up jobs of a producer and real ones of the transcriber go through gateway and functions. Each edge on their way
delays, loses, repeats and refuses, and all three programs are killed meanwhile. Then all is calm, what waits goes out,
and every row is held against the truth.
"""

import json
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.processes import Processes
from tests.bench.product_scene import Scene, scene
from tests.support.background import background
from tests.support.job_histories import History, histories
from tests.support.job_producer import JobProducer, sendings
from tests.support.job_rows import Comparison, compare, setbacks
from tests.support.live_server import live_server
from tests.support.product import DATA, SERVICES
from tests.support.rash_visitors import RashVisitors, TellingGroq
from tests.support.waiting import eventually

RECORDING = DATA / "jfk.mp3"
WATCHED = 12
MOST_WAITING = 400
"""Events in the gateway, from when on the producer waits: what was sent is to arrive while there is chaos."""
LAST_KILL = 0.95
"""As a share of the whole way."""
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

    made_up: Comparison
    real: Comparison
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
    storm_seconds: float
    settle_seconds: float

    @property
    def faults(self) -> list[str]:
        dead = [f"{self.dead} deliveries are dead"] if self.dead else []
        return [*self.made_up.faults, *self.real.faults, *self.failed, *dead, *self.setbacks]


class Page:
    """Some jobs as an open page is shown them."""

    def __init__(self, views: Path, job_ids: Sequence[str]) -> None:
        self._views = views
        self.job_ids = job_ids

    def views(self) -> list[dict[str, int]]:
        """The sequence of every job shown; a line that is not whole yet is none."""
        return [json.loads(line) for line in self._views.read_text("utf-8").split("\n")[:-1]]


@contextmanager
def open_page(processes: Processes, here: Scene, views: Path, told: Sequence[History]) -> Iterator[Page]:
    job_ids = [history.latest["jobId"] for history in told[:: max(1, len(told) // WATCHED)]]
    views.touch()
    url = here.stack["convex"].url
    with processes.python("tests.support.row_watcher", url, str(views), *job_ids):
        page = Page(views, job_ids)
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
        loop = self._here.loop
        sent = loop.begin(self._producer.run())
        submitted = loop.begin(self._visitors.send(self._size.real_jobs, progress=self._progress))
        self._kill()
        for one in (sent, submitted):
            one.result(LONGEST_SECONDS)
        for edge in self._here.edges.values():
            edge.calm = True

    def _kill(self) -> None:
        """Everybody in turn, by chance, each at a moment of the whole way by chance."""
        victims = list(SERVICES) * self._size.kills_each
        self._chance.shuffle(victims)
        for moment, victim in zip(
            sorted(self._chance.uniform(0, LAST_KILL) for _ in victims), victims, strict=True
        ):
            eventually(lambda moment=moment: self._progress() >= moment, seconds=LONGEST_SECONDS)
            self._here.stack[victim].kill()
            self._kills[victim] += 1
            self._here.stack.start(victim)

    def _progress(self) -> float:
        """How much of the made-up jobs' events Convex has taken, about: those of the real jobs are few."""
        return len(self._here.wires.taken) / self._total

    def _settle(self) -> None:
        """Until nothing is under way any more, which the programs are asked themselves."""
        eventually(lambda: self._visitors.are_quiet, seconds=SETTLE_SECONDS)
        eventually(self._here.is_settled, seconds=SETTLE_SECONDS, pause_seconds=ASK_SECONDS)

    def _report(self, *, storm_seconds: float, settle_seconds: float) -> Report:
        here = self._here
        made_up = {history.latest["jobId"]: history.latest for history in self._told}
        real = here.real_jobs()
        views = self._page.views()
        return Report(
            made_up=compare(made_up, here.rows(list(made_up))),
            real=compare(real, here.rows(list(real))),
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
            storm_seconds=storm_seconds,
            settle_seconds=settle_seconds,
        )
