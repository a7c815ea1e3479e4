"""What the store may forget, and when."""

from typing import Any

from gateway.config import Retention
from gateway.model import EventId
from tests.support.simulation.delivery import Key
from tests.support.simulation.ledger import TALLY, Ledger


def went(
    ledger: Ledger,
    *,
    deliveries: set[Key],
    events: set[EventId],
    keys: set[tuple[Any, ...]],
    retention: Retention,
    now: int,
) -> None:
    """A pruning left these."""
    day = 86_400_000
    for key in ledger.deliveries.keys() - deliveries:
        one = ledger.deliveries.pop(key)
        TALLY["pruned"] += 1
        days = retention.delivered_days if one.state == "delivered" else retention.dead_days
        old = one.state != "pending" and one.finished_at < now - days * day
        ledger.check(old, f"{one} was pruned")
    for event_id in ledger.events.keys() - events:
        event = ledger.events.pop(event_id)
        old = event_id in ledger.routed or event.received_at < now - retention.unrouted_days * day
        ledger.check(old, f"{event_id} was pruned, unrouted")
        ledger.check(
            all(one.event != event_id for one in ledger.deliveries.values()), f"{event_id} was pruned"
        )
    for (source, dedupe_key), known in ledger.dedupe.items():
        for body_sha256, (event_id, seen_at) in list(known.items()):
            if (source, dedupe_key, body_sha256) not in keys:
                del known[body_sha256]
                ledger.check(
                    seen_at < now - retention.dedupe_days * day, f"{event_id}: its dedupe key was pruned"
                )
