"""How long it takes from a webhook's sending to its arrival at the destination."""

from tests.bench.figures.delivering import Delivering, delivering, most_per_second
from tests.bench.place import Place
from tests.bench.result import Cell, Claim, Figure, Panel, distribution, quantile

STEADY_PER_SECOND = 200
STEADY_SECONDS = 10
HALF_SECONDS = 5
PROBING = 12_000
"""Webhooks sent to find out what is the most."""
P50_MS = 2.0
P99_MS = 10.0


def measure(place: Place) -> Figure:
    with delivering(place, "latency") as scene:
        most = most_per_second(scene, place.scale.number(PROBING, least=200))
        rates = {
            f"{STEADY_PER_SECOND}/s": (STEADY_PER_SECOND, STEADY_SECONDS),
            f"half of the most, {most / 2:.0f}/s": (most / 2, HALF_SECONDS),
        }
        took = {
            name: _sent_to_received(scene, rate, round(rate * place.scale.seconds(seconds)))
            for name, (rate, seconds) in rates.items()
        }
    steady = took[f"{STEADY_PER_SECOND}/s"]
    rows: list[list[Cell]] = [
        [name, len(ms), *(quantile(ms, share) for share in (0.5, 0.95, 0.99, 1.0))]
        for name, ms in took.items()
    ]
    return Figure(
        title="From sending to arrival",
        how=(
            "Webhooks of 512 bytes are sent when they are due, whatever became of those before, and the time counts from "
            "when each was due to its arrival at the destination, on disk in between. Generator, gateway and destination "
            "share the cores."
        ),
        columns=["rate", "webhooks", "p50 ms", "p95 ms", "p99 ms", "worst ms"],
        rows=rows,
        claims=[
            Claim(f"p50 at {STEADY_PER_SECOND}/s", quantile(steady, 0.5), at_most=P50_MS, unit="ms"),
            Claim(f"p99 at {STEADY_PER_SECOND}/s", quantile(steady, 0.99), at_most=P99_MS, unit="ms"),
        ],
        panels=[
            Panel(
                title="share of the webhooks that had arrived",
                x="ms since each was due",
                y="%",
                series=[distribution(name, ms) for name, ms in took.items()],
                log_x=True,
            )
        ],
    )


def _sent_to_received(scene: Delivering, rate: float, total: int) -> list[float]:
    """In ms, ascending."""
    scene.receiver.ask("forget")
    sent = scene.loader.ask(
        "stream", port=scene.gateway.port, rate=rate, total=total, connections=64, body_bytes=512
    )
    scene.wait_for(total)
    arrived, _ = scene.arrivals()
    return sorted((at - sent["began"] - number / rate) * 1000 for number, at in zip(*arrived, strict=True))
