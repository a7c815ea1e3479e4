"""The transcriber under load, killed at random, between an engine, a host and webhooks that fail: a round of it, and as a command many.

What follows from a seed is when things happen, not what the machine makes of it: a round cannot be repeated exactly.
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path

import httpx

from stack.ports import ANY, choose
from tests.support.groq_server import KEY
from tests.support.job_clients import Client, running
from tests.support.job_reconcile import Arrival, Promises, faults, faults_of_one_that_wants, read_stored
from tests.support.live_server import live_server
from tests.support.process import Service
from tests.support.stormy import StormyGroq, StormyHost, StormyReceiver
from tests.support.waiting import eventually
from tests.support.webhook_receiver import SECRET

CLIENTS = 4
SETTLE_SECONDS = 180.0
MOSTLY = (200,) * 7 + (500, 404, 307)
NEVER = (500, 503)
WANTED = ("completed", "deleted")
"""By the second webhook, which takes nothing before the storm is over."""
LEAST_KILLS = 3
LEAST_STOPS = 1
"""However short a round is."""


@dataclass(slots=True)
class Report:
    """Of one round, or of several together."""

    seconds: float = 0.0
    kills: int = 0
    stops: int = 0
    accepted: int = 0
    jobs: int = 0
    cancelled: int = 0
    deleted: int = 0
    arrivals: int = 0
    unanswered: int = 0
    """Requests of clients that were cut off."""
    interrupted: int = 0
    """Attempts."""
    faults: list[str] = field(default_factory=list)

    def add(self, other: "Report") -> None:
        for one in fields(self):
            setattr(self, one.name, getattr(self, one.name) + getattr(other, one.name))

    def line(self) -> str:
        return (
            f"{self.seconds:.0f} s: {self.kills} kills, {self.stops} stops; {self.accepted} jobs accepted, {self.jobs} kept, "
            f"{self.cancelled} cancelled, {self.deleted} deleted; {self.unanswered} requests cut off, "
            f"{self.interrupted} attempts interrupted, {self.arrivals} webhooks arrived; {len(self.faults)} faults"
        )


class Storm:
    def __init__(self, folder: Path, *, seed: int) -> None:
        self._folder = folder
        self._chance = random.Random(seed)
        self._groq = StormyGroq(random.Random(seed + 1))
        self._receiver = StormyReceiver(random.Random(seed + 2), MOSTLY)
        self._late = StormyReceiver(random.Random(seed + 3), NEVER)
        self._host = StormyHost(random.Random(seed + 4))
        self._port = choose(ANY).transcriber
        self._url = f"http://127.0.0.1:{self._port}"
        self._promises = Promises()
        self._report = Report()
        self._service: Service | None = None

    def round(self, seconds: float) -> Report:
        began = time.monotonic()
        with self._surroundings():
            clients = [
                Client(
                    self._url,
                    name=f"user-{number}",
                    chance=random.Random(number),
                    promises=self._promises,
                    audio_url=f"{self._host.url}/talk.mp3",
                )
                for number in range(CLIENTS)
            ]
            self._start()
            with running(clients):
                while time.monotonic() < began + seconds or not self._blew_enough():
                    self._blow()
                self._report.seconds = time.monotonic() - began
            self._report.unanswered = sum(client.unanswered for client in clients)
            self._clear_up()
        return self._report

    @contextmanager
    def _surroundings(self) -> Iterator[None]:
        with ExitStack() as stack:
            self._groq.url = stack.enter_context(live_server(self._groq.app))
            self._host.url = stack.enter_context(live_server(self._host.app))
            for receiver in (self._receiver, self._late):
                receiver.url = stack.enter_context(live_server(receiver.app)) + "/hook"
            stack.callback(lambda: self._service and self._service.close())
            yield

    def _start(self) -> None:
        config = self._folder / "webhooks.toml"
        config.write_text(
            f'[[webhooks]]\nname = "late"\nurl = "{self._late.url}"\nsecrets = ["{SECRET}"]\n'
            f"event_types = {[f'transcription.job.{step}' for step in WANTED]}\n"
        )
        variables = {
            "TRANSCRIBER_DATA_DIR": str(self._folder),
            "TRANSCRIBER_PORT": str(self._port),
            "TRANSCRIBER_WEBHOOK_URL": self._receiver.url,
            "TRANSCRIBER_WEBHOOK_SECRET": SECRET,
            "TRANSCRIBER_CONFIG": str(config),
            "TRANSCRIBER_ALLOW_PRIVATE_AUDIO_URLS": "true",
            "TRANSCRIBER_GROQ_MAX_FILE_BYTES": "100000",
            "TRANSCRIBER_PROGRESS_SECONDS": "0",
            "GROQ_API_KEY": KEY,
            "GROQ_BASE_URL": self._groq.url,
        }
        self._service = Service(["transcriber", "serve"], variables)
        assert self._service.url == self._url

    def _blew_enough(self) -> bool:
        return self._report.kills >= LEAST_KILLS and self._report.stops >= LEAST_STOPS

    def _blow(self) -> None:
        """Lets it run for a moment, and ends it in one of two ways."""
        time.sleep(self._chance.uniform(0.1, 2.5))
        assert self._service is not None
        if self._report.kills >= LEAST_KILLS * (1 + self._report.stops):
            code, _ = self._service.stop()
            if code != 0:
                self._report.faults.append(f"a stop ended with {code}")
            self._report.stops += 1
        else:
            self._service.kill()
            self._report.kills += 1
        self._start()

    def _clear_up(self) -> None:
        """Fair weather, and one more start, so that nothing waits for a time: everything ends and goes out."""
        assert self._service is not None
        self._groq.fair = self._receiver.fair = self._late.fair = self._host.fair = True
        for answers in (self._groq.answers, self._receiver.answers, self._late.answers, self._host.replies):
            answers.clear()
        self._service.stop()
        self._start()
        with httpx.Client(base_url=self._url, timeout=10) as http:
            eventually(lambda: _settled(http), seconds=SETTLE_SECONDS, pause_seconds=0.1)
            stored = read_stored(self._folder)
            for job_id, data in stored.jobs.items():
                if http.get(f"/v1/jobs/{job_id}").text != data:
                    self._report.faults.append(f"{job_id} is not read as it is stored")
        self._service.stop()
        stored = read_stored(self._folder)
        arrivals = _arrivals(self._receiver)
        report = self._report
        report.faults += faults(self._promises, stored, arrivals)
        report.faults += faults_of_one_that_wants(WANTED, _arrivals(self._late), arrivals)
        report.faults += [f"not verified: {forged}" for forged in self._receiver.forged + self._late.forged]
        report.accepted, report.jobs = len(self._promises.accepted), len(stored.jobs)
        report.cancelled, report.deleted = stored.counts["cancelled"], stored.counts["deleted"]
        report.arrivals, report.interrupted = len(arrivals), stored.interrupted


def _arrivals(receiver: StormyReceiver) -> list[Arrival]:
    return [
        Arrival(received.webhook_id, received.body, taken=200 <= received.status < 300)
        for received in receiver.received
    ]


def _settled(http: httpx.Client) -> bool:
    """By its metrics: nothing waits, for an engine or for a webhook."""
    waiting = (
        'transcriber_jobs{status="queued"}',
        'transcriber_jobs{status="processing"}',
        "transcriber_outbox_waiting",
    )
    lines = http.get("/metrics").text.splitlines()
    values = [float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(waiting)]
    return len(values) >= len(waiting) and sum(values) == 0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="transcriber_storm", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--round-seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args(arguments)
    total, ends, seed = Report(), time.monotonic() + options.minutes * 60, options.seed
    while time.monotonic() < ends:
        with tempfile.TemporaryDirectory(prefix="storm-") as folder:
            report = Storm(Path(folder), seed=seed).round(options.round_seconds)
        _say(f"seed {seed}: {report.line()}", *(f"  {fault}" for fault in report.faults[:20]))
        total.add(report)
        seed += 1
    _say(total.line())
    return 1 if total.faults else 0


def _say(*lines: str) -> None:
    print(*lines, sep="\n", flush=True)  # noqa: T201 - a command's report


if __name__ == "__main__":
    sys.exit(main())
