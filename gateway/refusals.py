"""What no application sees, because it is refused on the connection: counted and logged."""

import logging
from collections.abc import Callable

from gateway.framing import Refused
from gateway.log import Alike
from gateway.metrics import Metrics
from gateway.peer import connected, shown


class Refusals:
    def __init__(self, *, metrics: Metrics, monotonic: Callable[[], float]) -> None:
        self._metrics = metrics
        self._lines = Alike(monotonic)

    def note(self, refused: Refused, *, client: tuple[str, int] | None) -> None:
        status = str(refused.status)
        self._metrics.refused.labels(status).inc()
        self._lines.emit(
            "request.refused",
            level=logging.WARNING,
            alike=status,
            more=lambda: {"sender": shown(connected(client))},
            status=refused.status,
            detail=refused.detail,
        )
