"""The gateway under measurement: a process of its own, on a store of its own."""

import base64
import http.client
import json
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.load import KEY
from tests.bench.place import Place
from tests.bench.processes import cpu_seconds, memory_mb, wait_until_answers

TOKEN = "made-up-admin-token"

CONFIGURATION = """
[server]
host = "127.0.0.1"
port = {port}
admin_token = "{token}"

[store]
url = "sqlite:///{store}"

[[sources]]
name = "producer"
preset = "standard-webhooks"
secrets = ["whsec_{secret}"]
ordering_key = "json:data.jobId"

[[destinations]]
name = "a"
url = "http://127.0.0.1:{destination_port}/in"
allow_private_address = true
max_in_flight = {max_in_flight}
"""


@dataclass(frozen=True, slots=True)
class Gateway:
    port: int
    store: Path
    process: "subprocess.Popen[str]"

    def cpu_seconds(self) -> float:
        return cpu_seconds(self.process.pid)

    def memory_mb(self, *, peak: bool = False) -> float:
        return memory_mb(self.process.pid, peak=peak)

    def pause(self) -> None:
        self._ask("POST", "/v1/destinations/a/pause")

    def dead(self) -> int:
        return len(json.loads(self._ask("GET", "/v1/events?state=dead&limit=1"))["items"])

    def store_bytes(self) -> tuple[int, int]:
        """Of the file and of its write-ahead log."""
        log = Path(f"{self.store}-wal")
        return self.store.stat().st_size, log.stat().st_size if log.exists() else 0

    def _ask(self, method: str, path: str) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, headers={"authorization": f"Bearer {TOKEN}"})
            response = connection.getresponse()
            body = response.read()
        finally:
            connection.close()
        if response.status >= 300:
            raise RuntimeError(f"{path} is answered {response.status}: {body.decode()}")
        return body


@contextmanager
def gateway(
    place: Place,
    store: Path,
    *,
    destination_port: int = 9,
    max_in_flight: int = 32,
    paused: bool = False,
    ready: bool = True,
    environ: Mapping[str, str] | None = None,
) -> Iterator[Gateway]:
    """One source, and one destination that wants every event. Its log lines go to /dev/null.

    Without `ready` nobody has waited for it.
    """
    port = free_port()
    config = store.with_suffix(".toml")
    config.write_text(
        CONFIGURATION.format(
            port=port,
            token=TOKEN,
            store=store,
            secret=base64.b64encode(KEY).decode(),
            destination_port=destination_port,
            max_in_flight=max_in_flight,
        )
    )
    with place.processes.python("gateway", "serve", "--config", str(config), environ=environ) as process:
        made = Gateway(port, store, process)
        if ready:
            wait_until_answers(process, port, "/readyz")
        if paused:
            made.pause()
        yield made


@contextmanager
def bare_endpoint(place: Place) -> Iterator[tuple[int, int]]:
    """Its port and its process."""
    port = free_port()
    with place.processes.python("tests.bench.bare", str(port)) as process:
        wait_until_answers(process, port, "/readyz")
        yield port, process.pid


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
