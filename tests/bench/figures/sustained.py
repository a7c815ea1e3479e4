"""How many events a second are accepted and delivered, for as long as they come."""

from itertools import pairwise

from tests.bench.figures.delivering import CONNECTIONS, delivering
from tests.bench.place import Place
from tests.bench.result import Cell, Claim, Figure, Panel, Series

TOTAL = 30_000
BODY_BYTES = 512
IN_FLIGHT = (32, 8)
LEAST_PER_SECOND = 4000


def measure(place: Place) -> Figure:
    total = place.scale.number(TOTAL, least=200)
    runs = {in_flight: _run(place, in_flight, total) for in_flight in IN_FLIGHT}
    rows = [row for row, _ in runs.values()]
    wrong = sum(int(row[-1]) + int(row[-2]) for row in rows)
    return Figure(
        title="Accepting and delivering, sustained",
        how=(
            f"{total} webhooks of {BODY_BYTES} bytes over {CONNECTIONS} connections, as fast as they are answered, of "
            "64 ordering keys at a time; the rate counts from the first one's sending to the last one's arrival. Where more "
            "are accepted than delivered, the plot rises when the last one is accepted. "
            "Generator, gateway and destination share the cores. The destination counts by number and checks the order "
            "of each key. CPU is the gateway's process, kernel included."
        ),
        columns=[
            "in flight",
            "events",
            "seconds",
            "per second",
            "accepted per second",
            "CPU µs per event",
            "most memory MB",
            "repeated",
            "out of order",
        ],
        rows=rows,
        claims=[
            Claim("events per second, 32 in flight", float(rows[0][3]), at_least=LEAST_PER_SECOND),
            Claim("repeated or out of order", wrong, at_most=0),
        ],
        panels=[
            Panel(
                title="arrivals",
                x="seconds",
                y="per second",
                series=[Series(f"{number} in flight", points) for number, (_, points) in runs.items()],
                marks=[("claim", LEAST_PER_SECOND)],
            )
        ],
    )


def _run(place: Place, in_flight: int, total: int) -> tuple[list[Cell], list[tuple[float, float]]]:
    with delivering(place, f"sustained-{in_flight}", max_in_flight=in_flight) as scene:
        cpu = scene.gateway.cpu_seconds()
        sent = scene.loader.ask(
            "burst", port=scene.gateway.port, total=total, connections=CONNECTIONS, body_bytes=BODY_BYTES
        )
        scene.wait_for(total)
        cpu = scene.gateway.cpu_seconds() - cpu
        memory = scene.gateway.memory_mb(peak=True)
        (_, times), report = scene.arrivals()
    seconds = times[-1] - sent["began"]
    row: list[Cell] = [
        in_flight,
        total,
        seconds,
        total / seconds,
        sent["per_second"],
        cpu / total * 1e6,
        memory,
    ]
    return [*row, report["repeated"], report["out_of_order"]], _per_second(
        [at - sent["began"] for at in times]
    )


def _per_second(times: list[float]) -> list[tuple[float, float]]:
    """The rate over each thirtieth of the arrivals, at its end."""
    marks = [times[n * (len(times) - 1) // 30] for n in range(31)]
    return [(end, len(times) / 30 / max(end - start, 1e-9)) for start, end in pairwise(marks)]
