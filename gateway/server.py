"""Serves an application on one socket until a signal ends it."""

import signal
import socket
from collections.abc import Callable

import uvicorn
from starlette.applications import Starlette

from gateway.log import emit

GRACEFUL_SECONDS = 10


class Server(uvicorn.Server):
    """Says where it listens once it does."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and sockets:
            host, port, *_ = sockets[0].getsockname()
            emit("server.listening", url=f"http://{f'[{host}]' if ':' in host else host}:{port}")


def bind(host: str, port: int) -> socket.socket:
    """Raise OSError where the address is taken or is not this machine's."""
    family, _, _, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener


def serve(app: Starlette, listener: socket.socket, *, on_hangup: Callable[[], None]) -> None:
    """Return after SIGTERM or SIGINT. h11 is chosen because it bounds a request's headers; httptools does not."""
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
    )
    signal.signal(signal.SIGHUP, lambda *_: on_hangup())
    for stop in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stop, lambda *_: None)  # uvicorn raises it again after its stop, which is then over
    Server(config).run(sockets=[listener])
