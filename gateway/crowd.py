"""The connections that stand, and which of them go where there are too many."""

import heapq
import logging
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from gateway.log import Alike
from gateway.metrics import Metrics

SHARE = 0.05
"""Of the connections, which go at once where each has to be looked at to find them."""


class Guest(Protocol):
    """One connection, as far as it matters here."""

    def has_asked(self) -> bool:
        """Whether the head of a request ever arrived whole."""
        ...

    def patience_ends(self) -> float | None:
        """When it would be closed for its silence; None while the peer waits for the gateway."""
        ...

    def drop(self) -> None: ...


class Crowd:
    """Room for `most` connections. One more takes the place of one that keeps the gateway waiting.

    First go those that have never sent the head of a request, in the order in which they came: floods consist of them.
    Then those whose patience would end soonest. Where all are at work the new one goes.
    """

    def __init__(self, most: int, *, metrics: Metrics, monotonic: Callable[[], float]) -> None:
        self._most = most
        self._metrics = metrics
        self._lines = Alike(monotonic)
        self._all: set[Guest] = set()
        self._new: OrderedDict[Guest, None] = OrderedDict()
        """Those that may not have asked yet, in the order in which they came."""

    def enter(self, guest: Guest) -> None:
        self._metrics.connections.inc()
        if len(self._all) >= self._most:
            for one in self._leaving() or [guest]:
                self._drop(one)
        self._all.add(guest)
        self._new[guest] = None

    def leave(self, guest: Guest) -> None:
        self._metrics.connections.dec()
        self._all.discard(guest)
        self._new.pop(guest, None)

    def _leaving(self) -> list[Guest]:
        while self._new:
            guest, _ = self._new.popitem(last=False)
            if not guest.has_asked():
                return [guest]
        waiting = [
            (end, id(guest), guest) for guest in self._all if (end := guest.patience_ends()) is not None
        ]
        return [guest for _, _, guest in heapq.nsmallest(max(1, round(self._most * SHARE)), waiting)]

    def _drop(self, guest: Guest) -> None:
        self._all.discard(guest)
        self._new.pop(guest, None)
        self._metrics.connections_dropped.inc()
        self._lines.emit("connection.dropped", level=logging.WARNING, alike="", max_connections=self._most)
        guest.drop()
