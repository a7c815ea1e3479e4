"""What an honest producer notices of attacks on the gateway that go on meanwhile."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.bench.gateway import Gateway, gateway
from tests.bench.place import Place, Scale
from tests.bench.processes import Worker
from tests.bench.result import Claim, Figure, Panel, distribution, quantile

ROUNDS = 2
PER_SECOND = 200
SECONDS = 1.6
QUIET_SECONDS = 0.8
SETTLE_SECONDS = 0.3
BODY_BYTES = 1024
MOST_RATIO = 2.0


@dataclass(frozen=True, slots=True)
class Attack:
    do: str
    how: Mapping[str, Any]
    is_bounded: bool = True
    """At a stated rate; else as fast as it is answered, which says what is beyond the claim."""

    def at(self, scale: Scale) -> dict[str, Any]:
        """How it is done in a run of this size: with fewer connections, each as busy."""
        connections = scale.number(self.how["connections"], least=4)
        sized = {
            "connections": connections,
            "rate": self.how.get("rate", 0.0) * connections / self.how["connections"],
            "ramp": scale.seconds(self.how.get("ramp", 0.0), least=0.05),
        }
        return {name: sized.get(name, value) for name, value in self.how.items()}


def flood(request: str, rate: float, connections: int, *, fresh: bool = False) -> Attack:
    how = {"request": request, "rate": rate, "connections": connections, "fresh": fresh}
    return Attack("flood", how, is_bounded=bool(rate))


def stand(start: str, connections: int, *, ramp: float) -> Attack:
    return Attack("stand", {"start": start, "connections": connections, "ramp": ramp})


ATTACKS = {
    "wrong signatures": flood("bad signature", 1000, 1000),
    "wrong signatures, each a connection": flood("bad signature", 500, 500, fresh=True),
    "wrong signatures, 1 MiB": flood("bad signature, 1 MiB", 20, 20),
    "unknown source": flood("unknown source", 1000, 1000),
    "no such path": flood("no such path", 500, 500),
    "wrong admin token": flood("wrong admin token", 500, 500),
    "too many headers": flood("many headers", 500, 100, fresh=True),
    "not HTTP": flood("no HTTP", 500, 100, fresh=True),
    "readiness": flood("readiness", 100, 50),
    "silent connections": stand("nothing", 5000, ramp=2.0),
    "slow heads": stand("slow head", 500, ramp=0.5),
    "slow bodies": stand("slow body", 500, ramp=0.5),
    "wrong signatures, full speed": flood("bad signature", 0, 256),
}


@dataclass(slots=True)
class Suffered:
    """Of all rounds."""

    took_ms: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    """The gateway's, of one core."""
    per_second: list[float] = field(default_factory=list)
    """Requests of the attack, or connections."""
    standing: int = 0


def measure(place: Place) -> Figure:
    quiet, under = Suffered(), {name: Suffered() for name in ATTACKS}
    with (
        place.processes.worker("tests.bench.load") as loader,
        place.processes.worker("tests.bench.attack") as attacker,
        gateway(place, place.folder / "hostile.db", paused=True) as running,
    ):
        _stream(running, loader, Suffered(), seconds=place.scale.seconds(QUIET_SECONDS))
        for _ in range(place.scale.number(ROUNDS)):
            for name, attack in ATTACKS.items():
                _stream(running, loader, quiet, seconds=place.scale.seconds(QUIET_SECONDS))
                with _attacked(running, attacker, attack, under[name], scale=place.scale):
                    _stream(running, loader, under[name], seconds=place.scale.seconds(SECONDS))
    return figure(quiet, under)


@contextmanager
def _attacked(
    running: Gateway, attacker: Worker, attack: Attack, suffered: Suffered, *, scale: Scale
) -> Iterator[None]:
    """The attack is under way before the honest stream begins, and lasts longer."""
    how, settling = attack.at(scale), scale.seconds(SETTLE_SECONDS, least=0.05)
    before = how.get("ramp", 0.0) + settling
    attacker.tell(attack.do, port=running.port, seconds=before + scale.seconds(SECONDS) + settling, **how)
    time.sleep(before)
    yield
    came = attacker.answer()
    suffered.per_second.append(came["per_second"])
    suffered.standing = max(suffered.standing, came["standing"])


def _stream(running: Gateway, loader: Worker, suffered: Suffered, *, seconds: float) -> None:
    total, before = max(2, round(PER_SECOND * seconds)), running.cpu_seconds()
    job = {"rate": PER_SECOND, "total": total, "connections": 16, "body_bytes": BODY_BYTES}
    suffered.took_ms += loader.ask("stream", port=running.port, **job)["took_ms"]
    suffered.cpu.append((running.cpu_seconds() - before) / seconds)


def figure(quiet: Suffered, under: Mapping[str, Suffered]) -> Figure:
    all_of = {"quiet": quiet, **under}
    took = {name: sorted(suffered.took_ms) for name, suffered in all_of.items()}
    still = quantile(took["quiet"], 0.99)
    ratios = {name: quantile(ms, 0.99) / still for name, ms in took.items()}
    worst = max((ratios[name] for name, attack in ATTACKS.items() if attack.is_bounded), default=1.0)
    return Figure(
        title="An honest producer under attack",
        how=(
            f"{PER_SECOND} signed webhooks of {BODY_BYTES} bytes a second over 16 connections, each sent when it is due, while "
            "one attack after the other goes on, and without one before each. The attack's rate is what was really sent, in "
            "requests or for connections that only stand in connections; its generator and that of the honest stream share "
            "the cores with the gateway, so that the ratio counts what they take too. At full speed it has one core for "
            "itself: what it then costs is no claim."
        ),
        columns=[
            "attack",
            "per second",
            "standing",
            "p50 ms",
            "p95 ms",
            "p99 ms",
            "p99 ÷ quiet",
            "gateway's CPU",
        ],
        rows=[
            [
                name,
                _mean(suffered.per_second),
                suffered.standing,
                *(quantile(took[name], share) for share in (0.5, 0.95, 0.99)),
                ratios[name],
                _mean(suffered.cpu),
            ]
            for name, suffered in all_of.items()
        ],
        claims=[Claim("worst accept p99 under an attack ÷ quiet", worst, at_most=MOST_RATIO)],
        panels=[_panel(took)],
    )


def _panel(took: Mapping[str, Sequence[float]]) -> Panel:
    shown = ("quiet", "wrong signatures", "silent connections", "slow bodies")
    return Panel(
        title="share of the honest webhooks that were answered",
        x="ms since each was due",
        y="%",
        series=[distribution(name, took[name]) for name in shown],
        log_x=True,
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
