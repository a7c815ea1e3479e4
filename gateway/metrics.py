"""Every metric: what this process counted, and what the store holds, on a registry of its own each."""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Literal, get_args

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from gateway.config import Source
from gateway.framing import RefusedStatus
from gateway.model import DeadReason, DestinationName, OutcomeKind, RejectionReason
from gateway.store import Standing, Stats

disable_created_metrics()  # type: ignore[no-untyped-call]  # global to the library; else every counter has a second series

FAST = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
ATTEMPT = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
LATENCY = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 3600.0, 86_400.0)
GROUP = (1, 2, 4, 8, 16, 32, 64, 128, 256)
STATES = ("pending", "delivered", "dead")
WEBHOOK_OUTCOMES = ("accepted", "duplicate", "unrouted", "id_reused", "handshake", "rejected")
SHADOW_OUTCOMES = ("match", "missing_header", "malformed", "bad_signature", "too_old", "too_new")
TokenFault = Literal["missing", "wrong"]
ReloadOutcome = Literal["taken", "partial", "refused"]
UNKNOWN = "unknown"
"""The source of a request that names none there is."""
UNKNOWN_REASONS = ("unknown_source", "unavailable")
LAG_LOOKS = 120
"""Looks at the event loop that are remembered: a minute's, so that no scrape misses the worst."""


class Series(dict[tuple[str, ...], Counter]):
    """A counter's children by their labels: to ask the counter for one each time costs more than to count."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter

    def __missing__(self, labels: tuple[str, ...]) -> Counter:
        child = self[labels] = self._counter.labels(*labels)
        return child

    def forget(self, labels: tuple[str, ...]) -> None:
        """Tells no more of it; it begins at 0 where it comes back."""
        del self[labels]
        self._counter.remove(*labels)


class Metrics:
    def __init__(self, *, version: str) -> None:
        registry = self.registry = CollectorRegistry()
        self.stored = Stored()
        ProcessCollector(registry=registry)
        self.webhooks = Counter(
            "gateway_webhooks",
            "Requests to a webhook URL, by what became of them; the outcomes exclude each other.",
            ["source", "outcome"],
            registry=registry,
        )
        self.rejected = Counter(
            "gateway_webhooks_rejected",
            "Refused requests, by reason.",
            ["source", "reason"],
            registry=registry,
        )
        self.refused = Counter(
            "gateway_requests_refused",
            "Requests refused before anything looked at them, by the status they were answered with.",
            ["status"],
            registry=registry,
        )
        self.paths_unknown = Counter(
            "gateway_paths_unknown", "Requests to a path that is none, but GET and HEAD.", registry=registry
        )
        self.admin_refused = Counter(
            "gateway_admin_refused",
            "Requests to the admin API without its token, by what was wrong.",
            ["reason"],
            registry=registry,
        )
        self.reloads = Counter(
            "gateway_config_reloads", "Configurations read anew, by outcome.", ["outcome"], registry=registry
        )
        self.connections = Gauge("gateway_connections", "Connections that stand.", registry=registry)
        self.connections_dropped = Counter(
            "gateway_connections_dropped", "Connections closed to make room for others.", registry=registry
        )
        self.accept_duration = Histogram(
            "gateway_accept_duration_seconds",
            "From a request's arrival to its answer, of stored webhooks and duplicates.",
            buckets=FAST,
            registry=registry,
        )
        self.secret_used = Series(
            Counter(
                "gateway_secret_used",
                "Webhooks verified by a source's secret, by its index.",
                ["source", "secret"],
                registry=registry,
            )
        )
        self.shadows = Counter(
            "gateway_shadow_verifications",
            "Accepted webhooks, by what a secret or scheme that is only tried would have done with them.",
            ["source", "tried", "outcome"],
            registry=registry,
        )
        self.attempts = Counter(
            "gateway_delivery_attempts",
            "Finished attempts, by outcome.",
            ["destination", "outcome"],
            registry=registry,
        )
        self.attempt_duration = Histogram(
            "gateway_delivery_attempt_duration_seconds",
            "Time of one attempt.",
            ["destination"],
            buckets=ATTEMPT,
            registry=registry,
        )
        self.delivery_latency = Histogram(
            "gateway_delivery_latency_seconds",
            "From accepting an event, or asking for its replay, to its delivery.",
            ["destination"],
            buckets=LATENCY,
            registry=registry,
        )
        self.retries = Counter(
            "gateway_retries", "Attempts after the first of a delivery.", ["destination"], registry=registry
        )
        self.dead = Counter(
            "gateway_deliveries_dead",
            "Deliveries given up, by reason.",
            ["destination", "reason"],
            registry=registry,
        )
        self.commit_duration = Histogram(
            "gateway_store_commit_duration_seconds",
            "Time of one transaction, fsync included.",
            buckets=FAST,
            registry=registry,
        )
        self.commit_events = Histogram(
            "gateway_store_commit_events",
            "Tasks that shared one transaction.",
            buckets=GROUP,
            registry=registry,
        )
        self.store_up = Gauge(
            "gateway_store_up",
            "1 where the store answered this scrape; else its figures are missing.",
            registry=registry,
        )
        self.event_loop_lags: deque[float] = deque(maxlen=LAG_LOOKS)
        Gauge(
            "gateway_event_loop_lag_seconds",
            "How late the event loop woke, at its worst in the last minute.",
            registry=registry,
        ).set_function(lambda: max(self.event_loop_lags, default=0.0))
        Gauge("gateway_build_info", "1, with the version.", ["version"], registry=registry).labels(
            version
        ).set(1)

    def on_commit(self, seconds: float, tasks: int) -> None:
        self.commit_duration.observe(seconds)
        self.commit_events.observe(tasks)

    def expect(self, sources: Iterable[Source], destinations: Iterable[DestinationName]) -> None:
        """Shows every label that can occur, at 0: Prometheus sees no increase in what appears with its first one."""
        for reason in UNKNOWN_REASONS:
            self.rejected.labels(UNKNOWN, reason)
        self.webhooks.labels(UNKNOWN, "rejected")
        for status in get_args(RefusedStatus):
            self.refused.labels(str(status))
        for fault in get_args(TokenFault):
            self.admin_refused.labels(fault)
        for outcome in get_args(ReloadOutcome):
            self.reloads.labels(outcome)
        for source in sources:
            self._expect_source(source)
        for destination in destinations:
            for outcome in get_args(OutcomeKind):
                if outcome != "interrupted":  # known to the next process only
                    self.attempts.labels(destination, outcome)
            for reason in get_args(DeadReason):
                self.dead.labels(destination, reason)

    def _expect_source(self, source: Source) -> None:
        for outcome in WEBHOOK_OUTCOMES:
            self.webhooks.labels(source.name, outcome)
        for reason in get_args(RejectionReason):
            if reason != "unknown_source":
                self.rejected.labels(source.name, reason)
        if source.shadow is not None:
            for outcome in SHADOW_OUTCOMES:
                self.shadows.labels(source.name, "scheme", outcome)
        self._expect_secrets(source)

    def _expect_secrets(self, source: Source) -> None:
        """Those alone: what a reload took out would stand still for ever, as one that nobody uses."""
        used: set[tuple[str, ...]] = set()
        for index, secret in enumerate(source.secrets):
            if secret.shadow:
                for outcome in ("match", "bad_signature"):
                    self.shadows.labels(source.name, f"secret {index}", outcome)
            else:
                used.add((source.name, str(index)))
        for labels in used:
            self.secret_used[labels]  # is made where it is missing
        for labels in [one for one in self.secret_used if one[0] == source.name and one not in used]:
            self.secret_used.forget(labels)

    def exposition(self, stats: Stats | None, *, destinations: Sequence[DestinationName], now: int) -> bytes:
        """Prometheus text. `now` in Unix ms. Without `stats` the store did not answer, and its figures are left out."""
        self.store_up.set(stats is not None)
        counted = generate_latest(self.registry)
        if stats is None:
            return counted
        self.stored.show(stats, destinations=destinations, now=now)
        return counted + generate_latest(self.stored.registry)


class Stored:
    """What the store holds, as of the last look."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self.deliveries = Gauge(
            "gateway_deliveries",
            "Deliveries in the store, by state; of destinations that are not configured only those pending.",
            ["destination", "state"],
            registry=registry,
        )
        self.oldest_pending = Gauge(
            "gateway_oldest_pending_delivery_age_seconds",
            "For how long the oldest pending delivery has waited, since it was accepted or replayed; 0 if none waits.",
            ["destination"],
            registry=registry,
        )
        self.held = Gauge(
            "gateway_destination_held",
            "1 while a destination is down: it is probed, and its deliveries wait.",
            ["destination"],
            registry=registry,
        )
        self.paused = Gauge(
            "gateway_destination_paused",
            "1 while a destination is paused by hand.",
            ["destination"],
            registry=registry,
        )
        self.replay_remaining = Gauge(
            "gateway_replay_remaining",
            "Events of running replays that are neither delivered nor failed.",
            registry=registry,
        )
        self.store_bytes = Gauge("gateway_store_bytes", "Size of the store on disk.", registry=registry)
        self.store_free_bytes = Gauge(
            "gateway_store_free_bytes",
            "Free space beside the store, once the write-ahead log is moved into it.",
            registry=registry,
        )

    def show(self, stats: Stats, *, destinations: Sequence[DestinationName], now: int) -> None:
        self.deliveries.clear()
        for (destination, state), number in stats.deliveries.items():
            if destination not in destinations and state == "pending" and number:
                self.deliveries.labels(destination, state).set(number)
        for destination in destinations:
            for state in STATES:
                self.deliveries.labels(destination, state).set(stats.deliveries.get((destination, state), 0))
            oldest = stats.oldest_pending.get(destination, now)
            self.oldest_pending.labels(destination).set(max(0, now - oldest) / 1000)
            standing = stats.standings.get(destination, Standing())
            self.held.labels(destination).set(standing.held_at is not None)
            self.paused.labels(destination).set(standing.paused_at is not None)
        self.replay_remaining.set(stats.replay_remaining)
        self.store_bytes.set(stats.size_bytes)
        self.store_free_bytes.set(stats.free_bytes)
