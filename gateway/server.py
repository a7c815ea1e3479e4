"""Serves an application on one socket until a signal ends it."""

import signal
import socket
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp

from gateway.errors import CannotListen
from gateway.log import emit
from gateway.protocol import Limits, Protocol

GRACEFUL_SECONDS = 2


class Server(uvicorn.Server):
    """Says where it listens once it does."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and sockets:
            host, port, *_ = sockets[0].getsockname()
            emit("server.listening", url=f"http://{f'[{host}]' if ':' in host else host}:{port}")


def bind(host: str, port: int) -> socket.socket:
    """Raise CannotListen where the address is taken or is not this machine's."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        return _listener(*found[0])
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CannotListen(
            f"cannot listen on {host}:{port}: {reason}; set GATEWAY_HOST and GATEWAY_PORT to a free address"
        ) from None


def _listener(family: int, kind: int, protocol: int, _: str, address: Any) -> socket.socket:
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener


def settings(app: ASGIApp, *, limits: Limits) -> uvicorn.Config:
    """How uvicorn serves `app`: on uvloop, speaking HTTP by the gateway's own `Protocol`."""
    return uvicorn.Config(
        app,
        http=cast("type[Protocol]", partial(Protocol, limits=limits)),
        loop="uvloop",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
    )


def serve(app: ASGIApp, listener: socket.socket, *, on_hangup: Callable[[], None]) -> None:
    """Return after SIGTERM or SIGINT."""
    signal.signal(signal.SIGHUP, lambda *_: on_hangup())
    for stop in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stop, lambda *_: None)  # uvicorn raises it again after its stop, which is then over
    Server(settings(app, limits=Limits())).run(sockets=[listener])
