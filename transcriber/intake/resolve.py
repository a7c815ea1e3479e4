"""The addresses of a name, as the system knows them."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Awaitable, Callable

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""The addresses of a host at a port, in the order to try them. Raises OSError where it has none."""


async def resolve_by_system(host: str, port: int) -> list[str]:
    """In a thread of its own that nothing waits for: a name server that hangs would hold the few of the event loop."""
    loop = asyncio.get_running_loop()
    found: asyncio.Future[list[str]] = loop.create_future()

    def settle(answer: list[str] | OSError) -> None:
        if found.done():
            return  # nobody waits any more
        if isinstance(answer, OSError):
            found.set_exception(answer)
        else:
            found.set_result(answer)

    def ask() -> None:
        answer: list[str] | OSError
        try:
            answer = _look_up(host, port)
        except OSError as error:
            answer = error
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, answer)

    threading.Thread(target=ask, name=f"resolve {host}", daemon=True).start()
    return await found


def _look_up(host: str, port: int) -> list[str]:
    try:
        rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except ValueError as error:
        raise OSError("no name that could be asked for") from error
    return [str(sockaddr[0]) for *_, sockaddr in rows]
