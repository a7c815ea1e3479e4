"""What the two services expose when all of it has been touched, and so has its labels."""

from pathlib import Path

from gateway.account import Account
from gateway.metrics import Metrics as GatewayMetrics
from gateway.model import DestinationName
from gateway.store import Stats
from tests.support.gateway_app import SECRET, SOURCES, configuration
from transcriber.metrics import Metrics as TranscriberMetrics
from transcriber.model import WebhookName
from transcriber.store.outbox import Backlog
from transcriber.store.rows import Census

SHADOW = f'[sources.shadow]\npreset = "standard-webhooks"\nsecrets = ["{SECRET}"]\n'
APP = DestinationName("app")


def of_gateway(folder: Path) -> str:
    """With a source and the destination `app`."""
    metrics = GatewayMetrics(version="0")
    metrics.expect(configuration(SOURCES + SHADOW, folder).sources, [APP])
    Account(APP, metrics=metrics)
    stats = Stats({}, {}, {}, replay_remaining=0, size_bytes=0, free_bytes=0, needed_free_bytes=0)
    return metrics.exposition(stats, destinations=[APP], now=0).decode()


def of_transcriber() -> str:
    """With the engine `groq` and the webhook `default`."""
    metrics = TranscriberMetrics()
    metrics.expect(engines=["groq"], webhooks=["default"])
    metrics.ran(engine="groq", outcome="completed", duration_seconds=1)
    metrics.heard(engine="groq", audio_seconds=1, duration_seconds=1)
    metrics.engine_failed(engine="groq", code="engine_refused")
    metrics.watch_pause(engine="groq", seconds_left=lambda: 0)
    metrics.refused("not_audio")
    backlog = Backlog(
        WebhookName("default"),
        configured=True,
        waiting=0,
        oldest_written_at=None,
        last_status=None,
        last_error=None,
    )
    return metrics.exposition(Census({}, None), [backlog], 0).decode()
