"""What the deletion of old events costs those that come meanwhile."""

import sqlite3
from pathlib import Path

from tests.bench.fill import fill
from tests.bench.gateway import gateway
from tests.bench.place import Place
from tests.bench.result import Claim, Figure, Panel, distribution, quantile

ROUNDS = 3
PER_SECOND = 500
SECONDS = 3.0
OLD_EVENTS = 30_000
"""More than are pruned in that time."""
OLD_DAYS = 8
"""They were delivered; after seven they go."""
BODY_BYTES = 1024
FIRST = 100_000_000
MOST_RATIO = 2.0


def measure(place: Place) -> Figure:
    took: dict[str, list[float]] = {"quiet": [], "pruning": []}
    pruned, seconds = 0, place.scale.seconds(SECONDS)
    with place.processes.worker("tests.bench.load") as loader:
        for number in range(place.scale.number(ROUNDS)):
            for name, age_days in (("quiet", 0), ("pruning", OLD_DAYS)):
                store = place.folder / f"{name}-{number}.db"
                fill(
                    store,
                    place.scale.number(OLD_EVENTS),
                    body_bytes=BODY_BYTES,
                    state="delivered",
                    age_days=age_days,
                )
                with gateway(place, store, paused=True) as running:
                    stored = _stored(store)
                    job = {"rate": PER_SECOND, "total": round(PER_SECOND * seconds), "connections": 32}
                    sent = loader.ask("stream", port=running.port, body_bytes=BODY_BYTES, first=FIRST, **job)
                    took[name] += sent["took_ms"]
                    pruned += stored - _stored(store) if age_days else 0
    for ms in took.values():
        ms.sort()
    ratio = quantile(took["pruning"], 0.99) / quantile(took["quiet"], 0.99)
    return Figure(
        title="Accepting while old events go",
        how=(
            f"{PER_SECOND} webhooks of {BODY_BYTES} bytes a second, each sent when it is due, into a store with "
            f"{place.scale.number(OLD_EVENTS)} delivered events: {OLD_DAYS} days old, so that they are pruned all the time, "
            "or new. The two take turns, each time with a new store."
        ),
        columns=["store", "webhooks", "p50 ms", "p95 ms", "p99 ms", "pruned per second"],
        rows=[
            [
                name,
                len(ms),
                *(quantile(ms, share) for share in (0.5, 0.95, 0.99)),
                pruned / seconds / place.scale.number(ROUNDS) if name == "pruning" else 0,
            ]
            for name, ms in took.items()
        ],
        claims=[Claim("accept p99 while pruning ÷ quiet", ratio, at_most=MOST_RATIO)],
        panels=[
            Panel(
                title="share of the webhooks that were answered",
                x="ms since each was due",
                y="%",
                series=[distribution(name, ms) for name, ms in took.items()],
                log_x=True,
            )
        ],
    )


def _stored(store: Path) -> int:
    """Delivered events."""
    db = sqlite3.connect(f"{store.as_uri()}?mode=ro", uri=True)
    try:
        found = db.execute("SELECT n FROM delivery_counts WHERE state = 'delivered'").fetchone()
        return int(found[0])
    finally:
        db.close()
