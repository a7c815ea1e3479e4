"""The gateway under load, killed at random, between destinations that fail: a round of it, and as a command many.

What follows from a seed is when things happen, not what the machine makes of it: a round cannot be repeated exactly.
"""

import argparse
import contextlib
import json
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from http.client import HTTPException
from pathlib import Path
from typing import Any

from tests.support.gateway_scene import Scene, scene
from tests.support.noting_destination import OK, Attempt, Reply
from tests.support.producers import statuses
from tests.support.reconcile import FINAL_REFUSAL, Account
from tests.support.store import rows
from tests.support.waiting import eventually

KEYS = 16
KEYLESS = 8
PAUSE_SECONDS = 0.008
TIMEOUT_SECONDS = 1.5
SETTLE_SECONDS = 90.0
LEAST_KILLS = 2
"""However short a round is."""
POISON = 43
"""Every how manyeth webhook is refused for good."""


class Weather:
    """What the destinations do: mostly well, sometimes badly, at times nothing. `fair` ends all of it."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._changes_at: dict[str, float] = {}
        self._down: dict[str, Reply | None] = {}
        self.fair = False
        self.forgiving = False

    def __call__(self, attempt: Attempt) -> Reply:
        if attempt.n % POISON == 0 and not self.forgiving:
            return Reply(status=FINAL_REFUSAL)
        if self.fair:
            return OK
        if attempt.at >= self._changes_at.get(attempt.destination, 0.0):
            self._change(attempt)
        return self._down[attempt.destination] or self._any()

    def _change(self, attempt: Attempt) -> None:
        goes_down = self._chance.random() < 0.3
        kinds = (Reply(status=503), Reply(status=0), Reply(status=500))
        self._down[attempt.destination] = self._chance.choice(kinds) if goes_down else None
        self._changes_at[attempt.destination] = attempt.at + self._chance.uniform(0.5, 2 if goes_down else 5)

    def _any(self) -> Reply:
        roll = self._chance.random()
        if roll < 0.01:
            return Reply(status=500)
        if roll < 0.015:
            return Reply(status=0)
        if roll < 0.03:
            return Reply(after_seconds=self._chance.uniform(0.05, 0.5))
        if roll < 0.032:
            return Reply(after_seconds=TIMEOUT_SECONDS + 1)
        if roll < 0.0325:
            return Reply(status=429, headers="retry-after: 1\r\n")
        return OK


@dataclass(slots=True)
class Report:
    """Of one round, or of several together."""

    seconds: float = 0.0
    kills: int = 0
    stops: int = 0
    replays: int = 0
    sent_twice: int = 0
    """Answered `duplicate`."""
    unanswered: int = 0
    unavailable: int = 0
    account: Account = field(default_factory=Account)

    def add(self, other: "Report") -> None:
        for one in fields(self):
            if one.name != "account":
                setattr(self, one.name, getattr(self, one.name) + getattr(other, one.name))
        for one in fields(self.account):
            total = getattr(self.account, one.name) + getattr(other.account, one.name)
            setattr(self.account, one.name, total)

    def lines(self) -> list[str]:
        account = self.account
        rate = account.accepted / max(1, self.seconds)
        faults = {
            "lost": account.lost,
            "invented": account.invented,
            "out of order": account.disordered,
            "repeated without a reason": account.unexplained,
            "recorded wrongly": account.untrue,
        }
        return [
            f"{self.seconds:.0f} s: {self.kills} kills, {self.stops} stops, {self.replays} replays begun",
            f"{account.accepted} events accepted ({rate:.0f}/s), {account.unrouted} of them unrouted",
            f"{self.sent_twice} duplicates answered, {self.unanswered} requests cut off, {self.unavailable} answered 503",
            f"{account.delivered} deliveries delivered, {account.dead} dead, {account.pending} pending",
            f"{account.attempts} attempts received, {account.interrupted} noted as interrupted",
            f"{account.repeated} attempts repeated, {account.explained} of them explained",
            ", ".join(f"{name} {len(found)}" for name, found in faults.items()),
        ]


class Storm:
    def __init__(self, here: Scene, *, chance: random.Random, longest_seconds: float) -> None:
        self._here = here
        self._longest_seconds = longest_seconds
        self._chance = chance
        self._weather = Weather(chance)
        self._blows = True
        self._report = Report()

    def round(self, seconds: float) -> Report:
        began = time.monotonic()
        self._here.destinations.behave = self._weather
        self._here.gateway.start()
        producers = [
            self._here.begin(
                lambda _: self._blows,
                name=f"key-{number}" if number < KEYS else f"loose-{number}",
                ordered=number < KEYS,
                pause_seconds=PAUSE_SECONDS,
                duplicates=0.05,
                reused_ids=0.02,
            )
            for number in range(KEYS + KEYLESS)
        ]
        while time.monotonic() < began + seconds or self._report.kills < LEAST_KILLS:
            self._blow()
        self._blows = False
        for producer in producers:
            producer.result(SETTLE_SECONDS)
        self._report.seconds = time.monotonic() - began
        self._clear_up()
        return self._report

    def _blow(self) -> None:
        """Lets it run for a moment, interferes, and ends it in one of two ways."""
        time.sleep(self._chance.uniform(0.1, self._longest_seconds))
        self._interfere()
        if self._chance.random() < 0.25 and self._is_up():
            self._here.gateway.stop()
            self._report.stops += 1
        else:
            self._here.gateway.kill()
            self._report.kills += 1
        self._here.gateway.start(wait=False)

    def _interfere(self) -> None:
        roll, name = self._chance.random(), self._chance.choice(("first", "second"))
        if roll < 0.2:
            self._ask(f"/v1/destinations/{name}/pause")
        elif roll < 0.6:
            self._ask(f"/v1/destinations/{name}/resume")
        elif roll < 0.75:
            key = f"key-{self._chance.randrange(KEYS)}"
            self._ask("/v1/replays", {"key": key, "state": "delivered"})

    def _clear_up(self) -> None:
        """Fair weather: everything goes out, and then again what is dead at the first destination."""
        self._weather.fair = True
        gateway = self._here.gateway
        eventually(self._is_up)
        for name in ("first", "second"):
            assert gateway.ask("POST", f"/v1/destinations/{name}/resume").status == 200
        self._settle()
        self._weather.forgiving = True
        assert gateway.ask("POST", "/v1/replays", {"state": "dead", "destination": "first"}).status == 202
        self._settle()
        gateway.stop()
        asked = [json.loads(text)["key"] for (text,) in rows(gateway.store, "SELECT filter FROM replays")]
        answers = statuses(self._here.ledger)
        self._report.replays = len(asked)
        self._report.sent_twice = answers["duplicate"]
        self._report.unanswered = sum(entry.cut for entry in self._here.ledger.entries.values())
        self._report.unavailable = self._here.ledger.unavailable
        self._report.account = account = self._here.account(replays=asked)
        account.untrue += self._here.ledger.odd

    def _settle(self) -> None:
        def settled() -> bool:
            running = rows(self._here.gateway.store, "SELECT count(*) FROM replays WHERE state = 'running'")
            return running == [(0,)] and self._here.pending() == 0

        eventually(settled, seconds=SETTLE_SECONDS)

    def _ask(self, path: str, content: Any = None) -> None:
        """Where it is down, nobody knows: what was asked may be stored all the same."""
        with contextlib.suppress(OSError, HTTPException):
            self._here.gateway.ask("POST", path, content)

    def _is_up(self) -> bool:
        try:
            return self._here.gateway.ask("GET", "/healthz").status == 200
        except (OSError, HTTPException):
            return False


def storm(folder: Path, *, seconds: float, seed: int, longest_seconds: float = 4.0) -> Report:
    """One round on a store of its own; `longest_seconds` lie between a start and the next kill or stop."""
    with scene(folder, log_level="error", timeout_seconds=TIMEOUT_SECONDS) as here:
        return Storm(here, chance=random.Random(seed), longest_seconds=longest_seconds).round(seconds)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="storm", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--round-seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args(arguments)
    total, ends, seed = Report(), time.monotonic() + options.minutes * 60, options.seed
    while time.monotonic() < ends:
        with tempfile.TemporaryDirectory(prefix="storm-") as folder:
            report = storm(Path(folder), seconds=options.round_seconds, seed=seed)
        _say(f"seed {seed}: {report.lines()[0]}; {report.lines()[-1]}")
        for fault in report.account.faults[:20]:
            _say(f"  {fault}")
        total.add(report)
        seed += 1
    _say(*total.lines())
    return 1 if total.account.faults else 0


def _say(*lines: str) -> None:
    print(*lines, sep="\n", flush=True)  # noqa: T201 - a command's report


if __name__ == "__main__":
    sys.exit(main())
