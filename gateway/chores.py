"""What is done beside the requests: warnings at the start, the event loop watched, old events deleted."""

import asyncio
import logging
from collections.abc import Iterable, Mapping

from gateway.clock import UNSOUND_MS, Clock
from gateway.config import Config, Retention
from gateway.errors import StoreUnavailable
from gateway.forward import Forwarder
from gateway.log import emit
from gateway.metrics import Metrics
from gateway.model import DestinationName
from gateway.store import Standing, Store
from gateway.verify import NoVerifier

LAG_PERIOD_SECONDS = 0.5
PRUNE_PERIOD_SECONDS = 60.0
PRUNE_PAUSE_SECONDS = 0.01
PRUNE_STEP = 20
BEFORE = "since before this start"
RECALL_SECONDS = 2.0
"""The start waits no longer for it."""


def warn(config: Config, *, now: int) -> None:
    """`now` in Unix seconds."""
    for source in config.sources:
        if isinstance(source.verifier, NoVerifier):
            emit("source.unverified", level=logging.WARNING, source=source.name)
        elif not any(secret.counts(now) for secret in source.secrets):
            emit("source.without_secret", level=logging.WARNING, source=source.name)
    if not config.destinations:
        emit("destinations.none", level=logging.WARNING)


async def recall(store: Store, destinations: Iterable[DestinationName]) -> None:
    """Says of which destinations a start finds that they are held or paused; else only an older log would."""
    try:
        async with asyncio.timeout(RECALL_SECONDS):
            standings = (await store.stats()).standings
    except (StoreUnavailable, OSError) as error:  # a time-out is one
        emit("store.unavailable", level=logging.ERROR, error=str(error) or repr(error))
        return
    for name in destinations:
        standing = standings.get(name, Standing())
        if (at := standing.held_at) is not None:
            emit("destination.held", level=logging.ERROR, destination=name, detail=BEFORE, held_at=at)
        if (at := standing.paused_at) is not None:
            emit("destination.paused", level=logging.WARNING, destination=name, detail=BEFORE, paused_at=at)


async def survey(store: Store, forwarders: Mapping[DestinationName, Forwarder]) -> None:
    """Warns of what a start finds that will not deliver. It is no reason not to start."""
    for name, forwarder in forwarders.items():
        if why := await forwarder.address_refusal():
            emit("destination.address_refused", level=logging.WARNING, destination=name, error=why)
    for (destination, state), number in (await store.stats()).deliveries.items():
        if state == "pending" and number and destination not in forwarders:
            emit("destination.unknown", level=logging.WARNING, destination=destination, pending=number)


async def watch_event_loop(metrics: Metrics) -> None:
    loop = asyncio.get_running_loop()
    while True:
        expected = loop.time() + LAG_PERIOD_SECONDS
        await asyncio.sleep(LAG_PERIOD_SECONDS)
        metrics.event_loop_lags.append(max(0.0, loop.time() - expected))


async def prune(store: Store, retention: Retention, *, clock: Clock) -> None:
    while True:
        gone = 0
        try:
            if abs(clock.moved_ms()) <= UNSOUND_MS:  # else what is not yet past would be gone for good
                gone = await store.prune(retention, now=clock.now_ms(), limit=PRUNE_STEP)
        except StoreUnavailable as error:
            emit("store.unavailable", level=logging.ERROR, error=str(error))
        except Exception as error:  # noqa: BLE001 - a fault here must not end this for good
            emit("prune.failed", level=logging.ERROR, error=repr(error))
        await asyncio.sleep(PRUNE_PAUSE_SECONDS if gone else PRUNE_PERIOD_SECONDS)
