"""Every metric of this service, in its own registry."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Literal, get_args

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

from transcriber import __version__
from transcriber.model import STATUSES, UnixMs
from transcriber.store.outbox import Backlog
from transcriber.store.rows import Census

AttemptOutcome = Literal["taken", "refused", "timeout", "unreachable"]
RunOutcome = Literal["completed", "failed", "fetched", "postponed", "stopped"]

LAG_PERIOD_SECONDS = 0.5
LAG_LOOKS = 120
"""Looks at the event loop that are remembered: a minute's, so that no scrape misses the worst."""


class Metrics:
    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._jobs = Gauge("transcriber_jobs", "Jobs by status.", ["status"], registry=registry)
        self._queue_age = Gauge(
            "transcriber_queue_age_seconds", "Time that the oldest queued job has waited.", registry=registry
        )
        self._waiting = Gauge(
            "transcriber_outbox_waiting", "Events not yet taken, by webhook.", ["webhook"], registry=registry
        )
        self._outbox_age = Gauge(
            "transcriber_outbox_oldest_age_seconds",
            "Age of the oldest event not yet taken, by webhook.",
            ["webhook"],
            registry=registry,
        )
        self._audio = Counter(
            "transcriber_audio_seconds", "Seconds of audio transcribed.", ["engine"], registry=registry
        )
        self._runs = Counter(
            "transcriber_runs", "Runs of a job on an engine.", ["engine", "outcome"], registry=registry
        )
        self._run_duration = Histogram(
            "transcriber_run_duration_seconds",
            "Duration of a run.",
            ["engine"],
            buckets=(0.5, 1, 2, 5, 10, 30, 60, 300, 1800),
            registry=registry,
        )
        self._real_time_factor = Histogram(
            "transcriber_real_time_factor",
            "Seconds that the engine took for a second of audio.",
            ["engine"],
            buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
            registry=registry,
        )
        self._engine_errors = Counter(
            "transcriber_engine_errors",
            "Runs that did not succeed, by the code of their error.",
            ["engine", "code"],
            registry=registry,
        )
        self._engine_paused = Gauge(
            "transcriber_engine_paused",
            "1 while a rate limit keeps the engine from being asked.",
            ["engine"],
            registry=registry,
        )
        self._refused = Counter(
            "transcriber_requests_refused", "Requests refused, by code.", ["code"], registry=registry
        )
        self._free_bytes = Gauge(
            "transcriber_disk_free_bytes", "Free on the disk of the data folder.", registry=registry
        )
        self._store_bytes = Gauge(
            "transcriber_store_bytes",
            "Size of the database, its write-ahead log included.",
            registry=registry,
        )
        self._attempts = Counter(
            "transcriber_webhook_attempts",
            "Attempts to send an event.",
            ["webhook", "outcome"],
            registry=registry,
        )
        self._lags: deque[float] = deque(maxlen=LAG_LOOKS)
        Gauge(
            "transcriber_event_loop_lag_seconds",
            "How late the event loop woke, at its worst in the last minute.",
            registry=registry,
        ).set_function(lambda: max(self._lags, default=0.0))
        Gauge("transcriber_build_info", "Always 1.", ["version"], registry=registry).labels(__version__).set(
            1
        )

    def expect(self, *, engines: Iterable[str], webhooks: Iterable[str]) -> None:
        """Shows every label that can occur, at 0: Prometheus sees no increase in what appears with its first one.

        Not the codes of refusals and errors: they are many, and no alert counts them.
        """
        for engine in engines:
            self._audio.labels(engine)
            for outcome in get_args(RunOutcome):
                self._runs.labels(engine, outcome)
        for webhook in webhooks:
            for taken in get_args(AttemptOutcome):
                self._attempts.labels(webhook, taken)

    async def watch_event_loop(self) -> None:
        """For ever."""
        loop = asyncio.get_running_loop()
        while True:
            expected = loop.time() + LAG_PERIOD_SECONDS
            await asyncio.sleep(LAG_PERIOD_SECONDS)
            self._lags.append(max(0.0, loop.time() - expected))

    def ran(self, *, engine: str, outcome: RunOutcome, duration_seconds: float) -> None:
        self._runs.labels(engine, outcome).inc()
        self._run_duration.labels(engine).observe(duration_seconds)

    def transcribed(self, *, engine: str, audio_seconds: float) -> None:
        self._audio.labels(engine).inc(audio_seconds)

    def heard(self, *, engine: str, audio_seconds: float, duration_seconds: float) -> None:
        self._real_time_factor.labels(engine).observe(duration_seconds / audio_seconds)

    def engine_failed(self, *, engine: str, code: str) -> None:
        self._engine_errors.labels(engine, code).inc()

    def watch_pause(self, *, engine: str, seconds_left: Callable[[], float]) -> None:
        """`seconds_left` is asked at every exposition."""
        self._engine_paused.labels(engine).set_function(lambda: 1.0 if seconds_left() > 0 else 0.0)

    def refused(self, code: str) -> None:
        self._refused.labels(code).inc()

    def measured(self, *, free_bytes: int, store_bytes: int) -> None:
        self._free_bytes.set(free_bytes)
        self._store_bytes.set(store_bytes)

    def attempted(self, webhook: str, outcome: AttemptOutcome) -> None:
        self._attempts.labels(webhook, outcome).inc()

    def exposition(self, census: Census, backlogs: Iterable[Backlog], now: UnixMs) -> bytes:
        """The Prometheus text format."""
        for status in STATUSES:
            self._jobs.labels(status).set(census.by_status.get(status, 0))
        self._queue_age.set(_age_seconds(census.oldest_queued_at, now))
        self._show(backlogs, now)
        return generate_latest(self._registry)

    def _show(self, backlogs: Iterable[Backlog], now: UnixMs) -> None:
        """Those for which nothing waits any more, and that are not configured, are gone."""
        self._waiting.clear()
        self._outbox_age.clear()
        for backlog in backlogs:
            self._waiting.labels(backlog.webhook).set(backlog.waiting)
            self._outbox_age.labels(backlog.webhook).set(_age_seconds(backlog.oldest_written_at, now))


def _age_seconds(since: UnixMs | None, now: UnixMs) -> float:
    return 0.0 if since is None else max(0, now - since) / 1000
