"""The addresses of a destination's host, each judged before it is connected to."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Awaitable, Callable

from gateway.address import is_address, refusal
from gateway.clock import Clock

FRESH_SECONDS = 0.5
"""How long found addresses serve the attempts that follow: asking takes longer than an attempt on a kept connection."""

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""The addresses of a name, in the order to try them. Raise OSError where it has none."""


class AddressRefusedError(Exception):
    """The destination resolves to an address that it may not have."""


class Resolver:
    """Asks once for all attempts that wait at the same time, so that a name server that hangs holds one thread, not many."""

    def __init__(self, host: str, port: int, *, allow_private: bool, resolve: Resolve, clock: Clock) -> None:
        self._host = host
        self._port = port
        self._allow_private = allow_private
        self._resolve = resolve
        self._clock = clock
        self._asking: asyncio.Task[list[str]] | None = None
        self._found: list[str] = []
        self._fresh_until = float("-inf")

    async def addresses(self) -> list[str]:
        """Those that may be connected to, at least one. Raise AddressRefusedError, or OSError where the name has none."""
        if self._clock.monotonic() < self._fresh_until:
            return self._found
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        return await asyncio.shield(self._asking)

    def close(self) -> None:
        if self._asking is not None:
            self._asking.cancel()

    async def _ask(self) -> list[str]:
        host = self._host
        found = [host] if is_address(host) else await self._resolve(host, self._port)
        refusals = {address: refusal(address, allow_private=self._allow_private) for address in found}
        allowed = [address for address, why in refusals.items() if why is None]
        if not allowed:
            why = next(iter(refusals.values()), None) or "has no address"
            raise AddressRefusedError(f"{host}: {why}")
        self._found, self._fresh_until = allowed, self._clock.monotonic() + FRESH_SECONDS
        return allowed


async def resolve_by_system(host: str, port: int) -> list[str]:
    """In a thread of its own that nothing waits for: the event loop's few would be held by the names of others."""
    loop = asyncio.get_running_loop()
    found: asyncio.Future[list[str]] = loop.create_future()

    def ask() -> None:
        answer: list[str] | OSError
        try:
            answer = look_up(host, port)
        except OSError as error:
            answer = error
        with contextlib.suppress(RuntimeError):  # the event loop has ended meanwhile
            loop.call_soon_threadsafe(_settle, found, answer)

    threading.Thread(target=ask, name=f"resolve {host}", daemon=True).start()
    return await found


def look_up(host: str, port: int) -> list[str]:
    """The addresses of a name as the system says, in the order to try them. Raise OSError where it has none."""
    try:
        rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except ValueError as error:
        raise OSError(f"no name that could be asked for: {error}") from error
    return [str(sockaddr[0]) for *_, sockaddr in rows]


def _settle(found: asyncio.Future[list[str]], answer: list[str] | OSError) -> None:
    if found.done():
        return
    if isinstance(answer, OSError):
        found.set_exception(answer)
    else:
        found.set_result(answer)
