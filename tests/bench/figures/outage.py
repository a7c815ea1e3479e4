"""What becomes of the events that come while the destination is down."""

import time

from tests.bench.figures.delivering import delivering
from tests.bench.place import Place
from tests.bench.result import Claim, Figure, Panel, Series

PER_SECOND = 200
BEFORE_SECONDS = 2.0
DOWN_SECONDS = 10.0
AFTER_SECONDS = 6.0
DRAINED = 10
"""A backlog of no more than this is what is under way at any time."""
POINTS = 300


def measure(place: Place) -> Figure:
    before, down, after = (place.scale.seconds(of) for of in (BEFORE_SECONDS, DOWN_SECONDS, AFTER_SECONDS))
    total = round(PER_SECOND * (before + down + after))
    with delivering(place, "outage") as scene:
        port = scene.gateway.port
        scene.loader.tell("stream", port=port, rate=PER_SECOND, total=total, connections=64, body_bytes=512)
        time.sleep(before)
        down_at = scene.receiver.ask("down")
        time.sleep(down)
        scene.receiver.ask("up")
        up_at = time.monotonic()
        sent = scene.loader.answer()
        scene.wait_for(total)
        dead = scene.gateway.dead()
        (_, times), report = scene.arrivals()
    backlog = _backlog(sent["began"], sorted(times), total)
    behind = [at for at, waiting in backlog if waiting > DRAINED and at > up_at - sent["began"]]
    drained = (behind[-1] if behind else up_at - sent["began"]) - (up_at - sent["began"])
    most = max(waiting for _, waiting in backlog)
    lost = total - (report["received"] - report["repeated"])
    return Figure(
        title="After an outage",
        how=(
            f"{PER_SECOND} webhooks a second come all the time; {down:.0f} s long the destination refuses connections. "
            f"Drained means that no more than {DRAINED} wait. A held destination is probed after 1, 2, 4 … s, so that "
            "the time to drain holds the wait for the next probe."
        ),
        columns=["down s", "longest backlog", "drained after s", "dead", "lost", "repeated", "out of order"],
        rows=[[up_at - down_at, most, drained, dead, lost, report["repeated"], report["out_of_order"]]],
        claims=[
            Claim("dead letters", dead, at_most=0),
            Claim("lost or out of order", lost + report["out_of_order"], at_most=0),
        ],
        panels=[
            Panel(
                title="backlog",
                x="seconds",
                y="events accepted and not delivered",
                series=[Series("waiting", backlog)],
                marks=[],
            )
        ],
    )


def _backlog(began: float, arrived: list[float], total: int) -> list[tuple[float, float]]:
    """How many of those due were not there yet, over time."""
    end = max(arrived[-1] - began, total / PER_SECOND)
    points = []
    came = 0
    for n in range(POINTS + 1):
        at = end * n / POINTS
        while came < len(arrived) and arrived[came] - began <= at:
            came += 1
        points.append((at, float(max(0, min(total, int(at * PER_SECOND)) - came))))
    return points
