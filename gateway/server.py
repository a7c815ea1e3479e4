"""Serves the gateway until a signal ends it: at one port, or the admin API at a port of its own."""

import asyncio
import copy
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp

from gateway.errors import CannotListen
from gateway.log import emit
from gateway.protocol import Limits, Protocol

GRACEFUL_SECONDS = 2


@dataclass(frozen=True, slots=True)
class AdminPort:
    app: ASGIApp
    listener: socket.socket


class Server(uvicorn.Server):
    """Says where it listens once it does, at both ports where there are two."""

    def __init__(self, config: uvicorn.Config, *, admin: AdminPort | None = None) -> None:
        super().__init__(config)
        self._admin = admin

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.started or not sockets:
            return
        if self._admin is None:
            emit("server.listening", url=_url(sockets[0]))
        else:
            await self._open(self._admin)
            emit("server.listening", url=_url(sockets[0]), admin_url=_url(self._admin.listener))

    async def _open(self, admin: AdminPort) -> None:
        """Its connections count among those of the first port, so that a stop waits for all of them alike."""
        config = copy.copy(self.config)
        config.loaded_app = admin.app

        def protocol() -> asyncio.Protocol:
            return config.http_protocol_class(  # type: ignore[call-arg]  # as uvicorn calls it
                config=config, server_state=self.server_state, app_state=self.lifespan.state
            )

        loop = asyncio.get_running_loop()
        self.servers.append(await loop.create_server(protocol, sock=admin.listener, backlog=config.backlog))


def _url(listener: socket.socket) -> str:
    host, port, *_ = listener.getsockname()
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def bind(host: str, port: int, *, setting: str = "GATEWAY_HOST and GATEWAY_PORT") -> socket.socket:
    """Raise CannotListen where the address is taken or is not this machine's; `setting` says what to set instead."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        return _listener(*found[0])
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CannotListen(
            f"cannot listen on {host}:{port}: {reason}; set {setting} to a free address"
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


def serve(
    app: ASGIApp, listener: socket.socket, *, on_hangup: Callable[[], None], admin: AdminPort | None = None
) -> None:
    """Return after SIGTERM or SIGINT."""
    signal.signal(signal.SIGHUP, lambda *_: on_hangup())
    for stop in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stop, lambda *_: None)  # uvicorn raises it again after its stop, which is then over
    Server(settings(app, limits=Limits()), admin=admin).run(sockets=[listener])
