"""What a long queue costs: the start, the memory, and the end of the queue against its beginning."""

import sqlite3
import time
from pathlib import Path

from tests.bench.figures.delivering import Delivering
from tests.bench.fill import fill
from tests.bench.gateway import gateway
from tests.bench.place import Place
from tests.bench.processes import wait_until_answers
from tests.bench.result import Claim, Figure, Panel, Series

BODY_BYTES = 200
LOOK_SECONDS = 0.25
START_SECONDS = 2.0
MOST_MEMORY_MB = 200.0
LEAST_RATIO = 0.8


def measure(place: Place) -> Figure:
    store = place.folder / "full.db"  # as the figure before this one may have left it
    if not store.exists():
        fill(store, place.scale.stored_events, body_bytes=BODY_BYTES, state="pending")
    pending = _release(store)
    with (
        place.processes.worker("tests.bench.load") as loader,
        place.processes.worker("tests.bench.receiver") as receiver,
    ):
        port = receiver.ask("up")
        began = time.monotonic()
        with gateway(place, store, destination_port=port, ready=False) as running:
            wait_until_answers(running.process, running.port, "/readyz")
            start_seconds, at_start = time.monotonic() - began, running.memory_mb(peak=True)
            scene = Delivering(running, loader, receiver, port, store.with_suffix(".arrivals"))
            memory = _watch(scene, pending, began=began)
            at_end = running.memory_mb(peak=True)
            (_, times), report = scene.arrivals()
    tenths = [times[max(0, n * len(times) // 10 - 1)] for n in range(11)]
    rates = [len(times) / 10 / (tenths[n + 1] - tenths[n]) for n in range(10)]
    wrong = report["repeated"] + report["out_of_order"]
    return Figure(
        title="A long queue",
        how=(
            f"{pending} deliveries wait when the gateway starts, of 64 ordering keys at a time, eight deliveries of each; "
            "32 in flight. Destination and gateway share the cores. Memory is the gateway's peak, shared libraries "
            "included."
        ),
        columns=[
            "pending",
            "start s",
            "MB at start",
            "MB in all",
            "first tenth per second",
            "last tenth per second",
            "whole s",
            "repeated",
            "out of order",
        ],
        rows=[
            [
                pending,
                start_seconds,
                at_start,
                at_end,
                rates[0],
                rates[-1],
                times[-1] - times[0],
                report["repeated"],
                report["out_of_order"],
            ]
        ],
        claims=[
            Claim("until /readyz answers 200", start_seconds, at_most=START_SECONDS, unit="s"),
            Claim("memory", at_end, at_most=MOST_MEMORY_MB, unit="MB"),
            Claim("rate of the last tenth ÷ first", rates[-1] / rates[0], at_least=LEAST_RATIO),
            Claim("repeated or out of order", wrong, at_most=0),
        ],
        panels=[
            Panel(
                title="rate",
                x="tenth of the queue",
                y="per second",
                series=[Series("arrivals", [(n + 1, rate) for n, rate in enumerate(rates)])],
            ),
            Panel(
                title="memory",
                x="seconds since the start",
                y="MB",
                series=[Series("resident", memory)],
                marks=[("claim", MOST_MEMORY_MB)],
            ),
        ],
    )


def _release(store: Path) -> int:
    """Lets the destination be served again if it was paused; how many wait for it."""
    db = sqlite3.connect(store, isolation_level=None)
    try:
        db.execute("DELETE FROM destinations")
        return int(db.execute("SELECT n FROM delivery_counts WHERE state = 'pending'").fetchone()[0])
    finally:
        db.close()


def _watch(scene: Delivering, pending: int, *, began: float) -> list[tuple[float, float]]:
    """The memory over time, until all have arrived."""
    seen = []
    while scene.receiver.ask("received") < pending:
        seen.append((time.monotonic() - began, scene.gateway.memory_mb()))
        time.sleep(LOOK_SECONDS)
        if scene.gateway.process.poll() is not None:
            raise RuntimeError("the gateway ended")
    return seen[:: max(1, len(seen) // 200)] or [(0.0, scene.gateway.memory_mb())]
