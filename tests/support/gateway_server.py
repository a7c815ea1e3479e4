"""The gateway's own server, in a thread, on a free loopback port."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from starlette.types import ASGIApp

from gateway.limits import Limits
from gateway.metrics import Metrics
from gateway.protocol import Protocol
from gateway.server import AdminPort, Server, bind, settings
from tests.support.waiting import eventually

STOP_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Serving:
    server: Server
    port: int

    @property
    def connections(self) -> list[Protocol]:
        """Those that stand now."""
        return list(self.server.server_state.connections)


@contextmanager
def serving(
    app: ASGIApp,
    *,
    limits: Limits,
    metrics: Metrics | None = None,
    max_connections: int = 1000,
    admin: AdminPort | None = None,
    on_hangup: Callable[[], None] = lambda: None,
) -> Iterator[Serving]:
    listener, ports = bind("127.0.0.1", 0), 1 if admin is None else 2
    metrics = metrics or Metrics(version="test")
    served = settings(app, limits=limits, max_connections=max_connections, metrics=metrics)
    server = Server(served, max_connections=max_connections, admin=admin, on_hangup=on_hangup)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        eventually(lambda: (server.started and len(server.servers) == ports) or not thread.is_alive())
        yield Serving(server, listener.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(STOP_SECONDS)
        listener.close()
        if thread.is_alive():
            raise RuntimeError(f"the server did not stop within {STOP_SECONDS} s")
