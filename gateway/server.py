"""Serves the gateway until a signal ends it: at one port, or the admin API at a port of its own."""

import asyncio
import copy
import errno
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp

from gateway import __version__
from gateway.crowd import Crowd
from gateway.errors import CannotListen
from gateway.limits import Limits
from gateway.log import emit
from gateway.metrics import Metrics
from gateway.protocol import Protocol
from gateway.refusals import Refusals

GRACEFUL_SECONDS = 2
BACKLOG = 2048
"""Connections that may wait for being taken, as long as there is no store too."""
SWITCH_SECONDS = 0.0005
"""For how long a thread may keep the interpreter's lock from one that is ready. The one that has waited for the disk needs it for a
moment; those that write metrics and spans would keep it from the event loop, which asks for it again after every system call. With
Python's own 5 ms, answers wait as long for the one as for the others."""
OWN_FILES = 100
"""What the process has open besides connections: its store, log and event loop, backups, names that are looked up."""


@dataclass(frozen=True, slots=True)
class AdminPort:
    app: ASGIApp
    listener: socket.socket


class Server(uvicorn.Server):
    """Says where it listens once it does, at both ports where there are two, and for how many."""

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        max_connections: int,
        admin: AdminPort | None = None,
        on_hangup: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(config)
        self._max_connections = max_connections
        self._admin = admin
        self._on_hangup = on_hangup
        self._hung_up = False

    def hang_up(self) -> None:
        """For a signal, which comes in the middle of anything, with locks held: what it asks for is done at the next tick."""
        self._hung_up = True

    async def on_tick(self, counter: int) -> bool:
        if self._hung_up:
            self._hung_up = False
            asyncio.get_running_loop().call_soon(self._on_hangup)
        return await super().on_tick(counter)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.started or not sockets:
            return
        admin: dict[str, Any] = {}
        if self._admin is not None:
            await self._open(self._admin)
            admin = {"admin_url": _url(self._admin.listener)}
        emit(
            "server.listening",
            url=_url(sockets[0]),
            **admin,
            max_connections=self._max_connections,
            version=__version__,
        )

    async def _open(self, admin: AdminPort) -> None:
        """Its connections count among those of the first port, so that one bound holds for both, and a stop waits for all."""
        config = copy.copy(self.config)
        config.loaded_app = admin.app

        def protocol() -> asyncio.Protocol:
            return config.http_protocol_class(  # type: ignore[call-arg]  # as uvicorn calls it
                config=config, server_state=self.server_state, app_state=self.lifespan.state
            )

        loop = asyncio.get_running_loop()
        self.servers.append(await loop.create_server(protocol, sock=admin.listener, backlog=BACKLOG))


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
        taken = getattr(error, "errno", None) == errno.EADDRINUSE
        hint = ", maybe by a gateway that runs already" if taken else ""
        raise CannotListen(
            f"cannot listen on {host}:{port}: {reason}{hint}; set {setting} to a free address"
        ) from None


def _listener(family: int, kind: int, protocol: int, _: str, address: Any) -> socket.socket:
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(BACKLOG)  # else whoever binds the same address is told only when it listens there
    except OSError:
        listener.close()
        raise
    return listener


def room(wanted: int, *, others: int) -> int:
    """How many connections may stand: those wanted, or what the system's bound on open files leaves.

    Without a bound of our own the system's would refuse new connections, the store's files and destinations alike. The
    process's soft bound is raised as far as this needs and the hard one allows. `others`: connections to destinations.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    kept = OWN_FILES + others
    possible = wanted + kept if hard == resource.RLIM_INFINITY else min(wanted + kept, hard)
    if soft != resource.RLIM_INFINITY and soft < possible:
        resource.setrlimit(resource.RLIMIT_NOFILE, (possible, hard))
    return max(1, possible - kept)


def settings(app: ASGIApp, *, limits: Limits, max_connections: int, metrics: Metrics) -> uvicorn.Config:
    """How uvicorn serves `app`: on uvloop, speaking HTTP by the gateway's own `Protocol`."""
    protocol = partial(
        Protocol,
        limits=limits,
        crowd=Crowd(
            max_connections, most_bytes=limits.arriving_bytes, metrics=metrics, monotonic=time.monotonic
        ),
        refusals=Refusals(metrics=metrics, monotonic=time.monotonic),
    )
    return uvicorn.Config(
        app,
        http=cast("type[Protocol]", protocol),
        loop="uvloop",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
    )


def serve(
    app: ASGIApp,
    listener: socket.socket,
    *,
    limits: Limits,
    max_connections: int,
    metrics: Metrics,
    on_hangup: Callable[[], None],
    admin: AdminPort | None = None,
) -> None:
    """Return after SIGTERM or SIGINT."""
    served = settings(app, limits=limits, max_connections=max_connections, metrics=metrics)
    server = Server(served, max_connections=max_connections, admin=admin, on_hangup=on_hangup)
    signal.signal(signal.SIGHUP, lambda *_: server.hang_up())
    for stop in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stop, lambda *_: None)  # uvicorn raises it again after its stop, which is then over
    sys.setswitchinterval(SWITCH_SECONDS)
    server.run(sockets=[listener])
