"""Whether a store that holds much is slower to accept than an empty one."""

import statistics

from tests.bench.fill import fill
from tests.bench.gateway import gateway
from tests.bench.place import Place
from tests.bench.result import Cell, Claim, Figure, quantile

ROUNDS = 5
TOTAL = 4000
CONNECTIONS = 32
BODY_BYTES = 200
FIRST = 100_000_000
"""Beyond the numbers of what is stored."""
LEAST_RATIO = 0.9


def measure(place: Place) -> Figure:
    stored = place.scale.stored_events
    full = fill(place.folder / "full.db", stored, body_bytes=BODY_BYTES, state="pending")
    with (
        place.processes.worker("tests.bench.load") as loader,
        gateway(place, place.folder / "empty.db", paused=True) as of_empty,
        gateway(place, full, paused=True) as of_full,
    ):
        ports = {"empty store": of_empty.port, f"{stored} events stored": of_full.port}
        runs = {name: [] for name in ports}
        for number in range(place.scale.number(ROUNDS) + 1):  # the first one only warms up
            for name, port in ports.items():
                total = place.scale.number(TOTAL, least=CONNECTIONS)
                first = FIRST + number * TOTAL
                job = {"total": total, "connections": CONNECTIONS, "body_bytes": BODY_BYTES, "first": first}
                runs[name].append(loader.ask("burst", port=port, **job))
    rows: list[list[Cell]] = []
    for name, (_, *counted) in runs.items():
        took = sorted(ms for run in counted for ms in run["took_ms"])
        rate = statistics.median(run["per_second"] for run in counted)
        rows.append([name, rate, quantile(took, 0.5), quantile(took, 0.99)])
    ratio = float(rows[1][1]) / float(rows[0][1])
    return Figure(
        title="Accepting into a full store",
        how=(
            f"Two gateways take turns, one on an empty store, one on a store with {stored} events and as many keys of "
            "duplicates. Ids are chosen by chance, so that each belongs to another page of their index. Whatever fits "
            "is in the machine's page cache."
        ),
        columns=["store", "per second", "p50 ms", "p99 ms", "ratio"],
        rows=[[*row, float(row[1]) / float(rows[0][1])] for row in rows],
        claims=[Claim(f"accept rate with {stored} events ÷ empty", ratio, at_least=LEAST_RATIO)],
    )
