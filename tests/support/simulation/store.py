"""The store as one process sees it: real, but now and then unavailable, and its answers come late."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Literal

from gateway.errors import StoreUnavailable
from gateway.model import Event, EventId
from gateway.store import EventRecord, Store
from tests.support.simulation.calls import Calls
from tests.support.simulation.loop import Aside

Trouble = Literal["none", "before", "after"]
"""When a call fails: not at all, before the store has done anything, or after it has done it."""

SURE = frozenset(("clock_stepped",))
"""What the dispatcher counts on."""


class WatchedStore:
    """Does what it is asked for at once and in the order of asking, as the writer does, events that come together as one
    group; answers `delay` turns of the loop later.
    """

    def __init__(self, store: Store, *, calls: Calls, aside: Aside, delay: int) -> None:
        self._store = store
        self._calls = calls
        self._aside = aside
        self._delay = delay
        self._gone = False
        self._coming = 0
        self._arrived: list[tuple[tuple[Any, ...], Mapping[str, Any], asyncio.Future[Any]]] = []
        self.unheard: set[EventId] = set()
        """Events whose callers give up while these are being stored."""
        self.troubles: deque[Trouble] = deque()
        """For the next calls."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        async def call(*arguments: Any, **named: Any) -> Any:
            return await self._call(name, *arguments, **named)

        return call

    def expect(self, number: int) -> None:
        """So many events more, which are one group, unless something else is asked for between them."""
        self._coming += number

    def die(self) -> None:
        """The process is gone: whatever still runs of it neither asks nor learns anything."""
        self._gone = True

    async def _call(self, name: str, *arguments: Any, **named: Any) -> Any:
        self._live()
        trouble = self.troubles.popleft() if self.troubles and name not in SURE else "none"
        if trouble != "none":
            self._calls.saw_trouble(name)
        result = None
        if name == "accept":
            result = await self._arrive(arguments, named, lost=trouble == "before")
        else:
            self._let_in()
            if trouble != "before":
                result = self._aside.do(getattr(self._store, name)(*arguments, **named))
                self._calls.saw(name, result, *arguments, **named)
        for _ in range(self._delay):
            await asyncio.sleep(0)
            self._live()
        if trouble != "none":
            raise StoreUnavailable(f"{name}: trouble {trouble} it was done")
        return result

    async def _arrive(self, arguments: tuple[Any, ...], named: Mapping[str, Any], *, lost: bool) -> Any:
        """As one of a group, which is taken in when the last of it is here."""
        if not lost and arguments[0].id in self.unheard:
            self._let_in()
            stored = self._aside.do(_give_up(self._store, *arguments, **named))
            self._calls.saw("unheard", stored, *arguments, **named)
            raise asyncio.CancelledError
        accepted = asyncio.get_running_loop().create_future()
        self._coming = max(0, self._coming - 1)
        if not lost:
            self._arrived.append((arguments, named, accepted))
        if not self._coming:
            self._let_in()
        return None if lost else await accepted

    def _let_in(self) -> None:
        group, self._arrived = self._arrived, []
        if not group:
            return
        results = self._aside.do(
            _all(self._store.accept(*arguments, **named) for arguments, named, _ in group)
        )
        for result, (arguments, named, accepted) in zip(results, group, strict=True):
            self._calls.saw("accept", result, *arguments, **named)
            accepted.set_result(result)

    def _live(self) -> None:
        if self._gone:
            raise asyncio.CancelledError


async def _all(works: Iterable[Awaitable[Any]]) -> list[Any]:
    return await asyncio.gather(*works)


async def _give_up(store: Store, event: Event, **named: Any) -> EventRecord | None:
    """What is stored of an event in the end, whose caller is cancelled as soon as it has asked."""
    caller = asyncio.create_task(store.accept(event, **named))
    await asyncio.sleep(0)
    caller.cancel()
    for _ in range(2):  # the event, and what was leased for it given back
        await store.ping()
    return await store.event(event.id)
