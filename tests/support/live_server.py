"""Runs an ASGI application on a real uvicorn in a thread, lifespan included, on a free loopback port."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.types import ASGIApp

START_SECONDS = 30.0
STOP_SECONDS = 15.0


@contextmanager
def live_server(app: ASGIApp, *, http: Any = "h11") -> Iterator[str]:
    """Yields the server's URL, without a trailing slash, once it accepts connections; stops it on exit.

    Raises RuntimeError when the application's start-up fails or either step outlasts its time limit.
    """
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=0,
        http=http,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=2,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="live-server", daemon=True)
    thread.start()
    try:
        _wait_until_started(server, thread)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(STOP_SECONDS)
        if thread.is_alive():
            raise RuntimeError(f"the server did not stop within {STOP_SECONDS} s")


def _wait_until_started(server: uvicorn.Server, thread: threading.Thread) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not server.started:
        if not thread.is_alive():
            raise RuntimeError("the server ended while starting: its lifespan failed, see its log")
        if time.monotonic() > deadline:
            raise RuntimeError(f"the server did not start within {START_SECONDS} s")
        thread.join(0.005)
