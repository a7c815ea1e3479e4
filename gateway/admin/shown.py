"""How what is stored is shown: records in, what becomes JSON out."""

import base64
from dataclasses import asdict
from typing import Any
from urllib.parse import urlsplit

from gateway.config import Destination
from gateway.pace import Outlook
from gateway.store import AttemptRecord, DeliveryRecord, EventRecord, ReplayRecord, Standing, Stats


def summary(record: EventRecord) -> dict[str, Any]:
    event = record.event
    return {
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "dedupe_key": event.dedupe_key,
        "ordering_key": event.ordering_key,
        "received_at": event.received_at,
        "body_authenticated": event.body_authenticated,
        "erased_at": record.erased_at,
        "state": record.state,
        "deliveries": [_delivery(delivery) for delivery in record.deliveries],
    }


def whole(record: EventRecord) -> dict[str, Any]:
    shown = summary(record)
    shown["deliveries"] = [
        {**_delivery(delivery), "history": [_attempt(attempt) for attempt in delivery.history]}
        for delivery in record.deliveries
    ]
    return {**shown, "body_sha256": record.event.body_sha256.hex(), **_content(record)}


def replay(record: ReplayRecord) -> dict[str, Any]:
    return {
        "id": record.id,
        "state": record.state,
        "matched": record.matched,
        "queued": record.queued,
        "done": record.done,
        "failed": record.failed,
        "created_at": record.created_at,
        "filters": asdict(record.where),
        "rate_per_second": record.rate_per_second,
    }


def destination(one: Destination, stats: Stats, outlook: Outlook, *, now: int) -> dict[str, Any]:
    """`now` in Unix ms."""
    standing = stats.standings.get(one.name, Standing())
    quiet = standing.quiet_until is not None and standing.quiet_until > now
    oldest = stats.oldest_pending.get(one.name)
    deliveries = {
        state: stats.deliveries.get((one.name, state), 0) for state in ("pending", "delivered", "dead")
    }
    probed = _standing(standing) == "held" and deliveries["pending"] > 0
    return {
        "name": one.name,
        "url": _without_credentials(one.url),
        "state": _standing(standing),
        "paused_at": standing.paused_at,
        "held_at": standing.held_at,
        "quiet_until": standing.quiet_until if quiet else None,
        "next_probe_at": _next_probe_at(standing, outlook) if probed else None,
        "last_error": outlook.last_error,
        "last_error_at": outlook.last_error_at,
        **deliveries,
        "oldest_pending_age_seconds": None if oldest is None else max(0, now - oldest) / 1000,
    }


def _delivery(delivery: DeliveryRecord) -> dict[str, Any]:
    return {
        "destination": delivery.destination,
        "state": delivery.state,
        "attempts": delivery.attempts,
        "next_attempt_at": delivery.next_attempt_at,
        "last_status": delivery.last_status,
        "last_error": delivery.last_error,
        "dead_reason": delivery.dead_reason,
    }


def _attempt(attempt: AttemptRecord) -> dict[str, Any]:
    return {
        "number": attempt.number,
        "started_at": attempt.started_at,
        "duration_ms": attempt.duration_ms,
        "outcome": attempt.outcome,
        "status": attempt.status,
        "error": attempt.error,
        "response_base64": base64.b64encode(attempt.response).decode(),
    }


def _content(record: EventRecord) -> dict[str, Any]:
    if record.erased_at is not None:
        return {"query": None, "headers": None, "body_base64": None}
    webhook = record.event.webhook
    return {
        "query": webhook.query.decode("latin-1"),
        "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in webhook.headers],
        "body_base64": base64.b64encode(webhook.body).decode(),
    }


def _standing(standing: Standing) -> str:
    if standing.paused_at is not None:
        return "paused"
    return "running" if standing.held_at is None else "held"


def _next_probe_at(standing: Standing, outlook: Outlook) -> int | None:
    """Not while it asks to be left alone."""
    at = outlook.next_probe_at
    return None if at is None else max(at, standing.quiet_until or 0)


def _without_credentials(url: str) -> str:
    """Keys are sent in queries too."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
