"""How fast webhooks are accepted, against an endpoint that does nothing with them on the same server."""

import statistics
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from tests.bench.gateway import bare_endpoint, gateway
from tests.bench.place import Place
from tests.bench.processes import Worker
from tests.bench.result import Cell, Claim, Figure, Panel, Series, quantile

ROUNDS = 7
CONNECTIONS = {1: 200, 8: 1000, 32: 2000, 128: 2000}
"""How many at once, and how many requests a round."""
BODY_BYTES = {200: 2000, 1024: 2000, 16_384: 1000, 102_400: 300}
USUAL_CONNECTIONS = 32
USUAL_BODY_BYTES = 1024
LEAST_RATIO = 0.35
AIM = 0.5

BARE, PAUSED, DELIVERING = "bare endpoint", "gateway, destination paused", "gateway, delivering"

Runs = dict[str, dict[tuple[int, int], list[Any]]]


def measure(place: Place) -> Figure:
    with ExitStack() as open_until_end:
        start = open_until_end.enter_context
        loader = start(place.processes.worker("tests.bench.load"))
        receiver = start(place.processes.worker("tests.bench.receiver"))
        ports = {
            BARE: start(bare_endpoint(place))[0],
            PAUSED: start(gateway(place, place.folder / "paused.db", paused=True)).port,
            DELIVERING: start(
                gateway(place, place.folder / "delivering.db", destination_port=receiver.ask("up"))
            ).port,
        }
        runs = _take_turns(place, loader, ports, settle=lambda: _settle(receiver))
    return _figure(runs)


def _take_turns(place: Place, loader: Worker, ports: dict[str, int], *, settle: Callable[[], None]) -> Runs:
    """The servers take turns, so that the machine's mood is the same for all."""
    cells = {(connections, USUAL_BODY_BYTES): total for connections, total in CONNECTIONS.items()}
    cells |= {(USUAL_CONNECTIONS, body_bytes): total for body_bytes, total in BODY_BYTES.items()}
    runs: Runs = {name: {cell: [] for cell in cells} for name in ports}
    for port in ports.values():
        loader.ask("burst", port=port, total=place.scale.number(1000, least=8), connections=8, body_bytes=200)
    for _ in range(place.scale.number(ROUNDS)):
        for cell, total in cells.items():
            connections, body_bytes = cell
            for name, port in ports.items():
                settle()
                number = place.scale.number(total, least=connections)
                runs[name][cell].append(
                    loader.ask(
                        "burst", port=port, total=number, connections=connections, body_bytes=body_bytes
                    )
                )
    return runs


def _settle(receiver: Worker) -> None:
    """Until what was accepted before is delivered."""
    before = -1
    while (now := receiver.ask("received")) != before:
        before = now


def _figure(runs: Runs) -> Figure:
    rows: list[list[Cell]] = []
    ratios: dict[str, dict[tuple[int, int], float]] = {PAUSED: {}, DELIVERING: {}}
    for cell in runs[BARE]:
        bare = _rate(runs[BARE][cell])
        for name, of_server in runs.items():
            rate = _rate(of_server[cell])
            took = sorted(ms for run in of_server[cell] for ms in run["took_ms"])
            if name != BARE:
                ratios[name][cell] = rate / bare
            rows.append(
                [name, cell[0], cell[1], rate, quantile(took, 0.5), quantile(took, 0.99), rate / bare]
            )
    usual = ratios[PAUSED][USUAL_CONNECTIONS, USUAL_BODY_BYTES]
    return Figure(
        title="Accepting, against a bare endpoint",
        how=(
            "A Starlette endpoint that reads the body and answers, and the gateway on the same server, take turns; each "
            "cell is the median of the rounds, times are over all of them. The gateway checks the signature, and answers "
            "after the fsync. Each event has a delivery: to a destination that is paused, or to one that takes part in the "
            "load on the same cores. The load generator has one of the two cores for itself, as far as the system gives it."
        ),
        columns=["server", "connections", "body bytes", "per second", "p50 ms", "p99 ms", "ratio"],
        rows=rows,
        claims=[
            Claim(
                f"accept rate ÷ bare endpoint's, {USUAL_CONNECTIONS} connections, {USUAL_BODY_BYTES} bytes",
                usual,
                at_least=LEAST_RATIO,
            )
        ],
        panels=[
            _panel("connections", ratios, lambda cell: cell[0], lambda cell: cell[1] == USUAL_BODY_BYTES),
            _panel("body bytes", ratios, lambda cell: cell[1], lambda cell: cell[0] == USUAL_CONNECTIONS),
        ],
    )


def _panel(
    x: str,
    ratios: dict[str, dict[tuple[int, int], float]],
    at: Callable[[tuple[int, int]], int],
    belongs: Callable[[tuple[int, int]], bool],
) -> Panel:
    series = [
        Series(name, sorted((at(cell), ratio) for cell, ratio in of_server.items() if belongs(cell)))
        for name, of_server in ratios.items()
    ]
    return Panel(
        title=f"by {x}",
        x=x,
        y="rate ÷ bare endpoint's",
        series=series,
        log_x=True,
        marks=[("claim", LEAST_RATIO), ("aim", AIM)],
    )


def _rate(runs: list[Any]) -> float:
    return statistics.median(run["per_second"] for run in runs)
