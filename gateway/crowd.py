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
    """Room for `most` connections, and for `most_bytes` of requests that are not here whole.

    One more takes the place of one that keeps the gateway waiting. First go those that have never sent the head of a
    request, in the order in which they came: floods consist of them. Then those whose patience would end soonest. Where all
    are at work the new one goes. For bytes those go that began first, and so have been at it for longest.
    """

    def __init__(
        self, most: int, *, most_bytes: int, metrics: Metrics, monotonic: Callable[[], float]
    ) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._metrics = metrics
        self._lines = Alike(monotonic)
        self._all: set[Guest] = set()
        self._new: OrderedDict[Guest, None] = OrderedDict()
        """Those that may not have asked yet, in the order in which they came."""
        self._holding: OrderedDict[Guest, int] = OrderedDict()
        """What is held for requests that are not here whole, in the order in which they began."""
        self._held_bytes = 0

    def enter(self, guest: Guest) -> None:
        self._metrics.connections.inc()
        if len(self._all) >= self._most:
            for one in self._leaving() or [guest]:
                self._drop(one, reason="connections")
        self._all.add(guest)
        self._new[guest] = None

    def leave(self, guest: Guest) -> None:
        self._metrics.connections.dec()
        self._forget(guest)

    def hold(self, guest: Guest, number: int) -> None:
        """So many bytes more were received of a request of which there is more to come."""
        self._holding[guest] = self._holding.get(guest, 0) + number
        self._held_bytes += number
        while self._held_bytes > self._most_bytes:
            self._drop(next(iter(self._holding)), reason="bytes")

    def release(self, guest: Guest) -> None:
        """Its request is here whole."""
        self._held_bytes -= self._holding.pop(guest, 0)

    def _forget(self, guest: Guest) -> None:
        self._all.discard(guest)
        self._new.pop(guest, None)
        self.release(guest)

    def _leaving(self) -> list[Guest]:
        while self._new:
            guest, _ = self._new.popitem(last=False)
            if not guest.has_asked():
                return [guest]
        waiting = [
            (end, id(guest), guest) for guest in self._all if (end := guest.patience_ends()) is not None
        ]
        return [guest for _, _, guest in heapq.nsmallest(max(1, round(self._most * SHARE)), waiting)]

    def _drop(self, guest: Guest, *, reason: str) -> None:
        self._forget(guest)
        self._metrics.connections_dropped.inc()
        self._lines.emit("connection.dropped", level=logging.WARNING, alike=reason, reason=reason)
        guest.drop()
