"""Who is turned away without a handler: on the connection, at a path that is none, without the admin token. Counted and logged."""

import logging
import re
from collections.abc import Callable

from starlette.types import Scope

from gateway.config import Networks
from gateway.framing import Refused
from gateway.log import Alike
from gateway.metrics import Metrics, TokenFault
from gateway.peer import connected, sender, shown

SHOWN_PATH = re.compile(r"[A-Za-z0-9/_.-]{1,31}")
"""A path that the log may have: what is longer, or looks otherwise, may hold a secret."""


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


class Strays:
    """What is sent to a path that is none, and who asks for the admin API without its token."""

    def __init__(
        self, *, metrics: Metrics, monotonic: Callable[[], float], trusted_proxies: Networks
    ) -> None:
        self._metrics = metrics
        self._lines = Alike(monotonic)
        self._trusted_proxies = trusted_proxies

    def note_path(self, scope: Scope) -> None:
        self._metrics.paths_unknown.inc()
        path: str = scope["path"]
        self._lines.emit(
            "path.unknown",
            level=logging.WARNING,
            alike="",
            more=lambda: self._sender(scope),
            method=scope["method"],
            path=path if SHOWN_PATH.fullmatch(path) else None,
        )

    def note_token(self, scope: Scope, reason: TokenFault) -> None:
        self._metrics.admin_refused.labels(reason).inc()
        self._lines.emit(
            "admin.refused",
            level=logging.WARNING,
            alike=reason,
            more=lambda: self._sender(scope),
            reason=reason,
        )

    def _sender(self, scope: Scope) -> dict[str, str | None]:
        return {"sender": shown(sender(scope, trusted=self._trusted_proxies))}
