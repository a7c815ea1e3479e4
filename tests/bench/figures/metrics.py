"""Whether /metrics costs more where much is stored."""

import http.client
import time

from tests.bench.fill import fill
from tests.bench.gateway import gateway
from tests.bench.place import Place
from tests.bench.result import Cell, Claim, Figure, quantile

ASKED = 1000
BODY_BYTES = 200
MOST_RATIO = 1.1


def measure(place: Place) -> Figure:
    stored = place.scale.stored_events
    full = fill(place.folder / "watched.db", stored, body_bytes=BODY_BYTES, state="pending")
    with (
        gateway(place, place.folder / "unwatched.db", paused=True) as of_empty,
        gateway(place, full, paused=True) as of_full,
    ):
        asked = {"empty store": of_empty, f"{stored} events stored": of_full}
        took: dict[str, list[float]] = {name: [] for name in asked}
        before = [running.cpu_seconds() for running in asked.values()]
        for _ in range(place.scale.number(ASKED, least=20)):
            for name, running in asked.items():
                took[name].append(_ask(running.port))
        spent = [running.cpu_seconds() - was for running, was in zip(asked.values(), before, strict=True)]
    rows: list[list[Cell]] = [
        [name, len(times), seconds / len(times) * 1000, quantile(sorted(times), 0.5)]
        for (name, times), seconds in zip(took.items(), spent, strict=True)
    ]
    ratio = spent[1] / max(spent[0], 0.01)
    return Figure(
        title="Asking for the metrics",
        how=(
            f"Two gateways are asked by turns, one on an empty store, one on a store with {stored} events, all pending. Each "
            "time with a connection of its own. How many steps SQLite takes for it is counted in a test."
        ),
        columns=["store", "asked", "processor ms", "p50 ms"],
        rows=rows,
        claims=[Claim(f"processor time with {stored} events ÷ empty", ratio, at_most=MOST_RATIO)],
    )


def _ask(port: int) -> float:
    """The ms that it took."""
    began = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/metrics")
        response = connection.getresponse()
        response.read()
    finally:
        connection.close()
    if response.status != 200:
        raise RuntimeError(f"/metrics is answered {response.status}")
    return (time.perf_counter() - began) * 1000
