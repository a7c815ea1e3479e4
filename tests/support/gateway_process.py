"""A gateway as a process of its own, at the same address and on the same file at every start."""

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from tests.support.altered_gateway import Alterations
from tests.support.gateway_app import SECRET, TOKEN
from tests.support.process import ROOT
from tests.support.waiting import eventually

CONFIGURATION = """
[server]
host = "127.0.0.1"
port = {port}
admin_token = "{token}"
log_level = "{log_level}"

[store]
url = "sqlite:///{store}"
retention = {{ {retention} }}

[[sources]]
name = "producer"
preset = "standard-webhooks"
secrets = ["{secret}"]
ordering_key = "json:key"

{destinations}
"""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: Any
    """JSON read, or text."""


class GatewayProcess:
    """`destinations` is what its configuration says after the source."""

    def __init__(
        self,
        folder: Path,
        destinations: str,
        *,
        store: Path | None = None,
        retention: str = "",
        log_level: str = "info",
    ) -> None:
        # Bound, so that nobody is given this port while the gateway is down; it can still be listened on.
        self._reserved = socket.socket()
        self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._reserved.bind(("127.0.0.1", 0))
        self.port: int = self._reserved.getsockname()[1]
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.store = store or folder / "gateway.db"
        self.config = folder / "gateway.toml"
        self.log = folder / "gateway.log"
        self.config.write_text(
            CONFIGURATION.format(
                port=self.port,
                token=TOKEN,
                log_level=log_level,
                store=self.store,
                retention=retention,
                secret=SECRET,
                destinations=destinations,
            )
        )
        self.process: subprocess.Popen[bytes] | None = None

    def start(
        self,
        alterations: Alterations | None = None,
        *,
        wrapper: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        wait: bool = True,
    ) -> None:
        """With `wait`, until it answers."""
        self.process = self.command(
            "serve", alterations=alterations, wrapper=wrapper, environment=environment
        )
        if wait:
            eventually(self._answers)

    def command(
        self,
        *arguments: str,
        alterations: Alterations | None = None,
        wrapper: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> "subprocess.Popen[bytes]":
        """One of the gateway's commands, with this configuration. What it says is added to the log."""
        module = "gateway" if alterations is None else "tests.support.altered_gateway"
        name, *others = arguments
        inherited = {
            key: value for key, value in os.environ.items() if not key.startswith(("GATEWAY_", "OTEL_"))
        }
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [*wrapper, sys.executable, "-m", module, name, "--config", str(self.config), *others],
                cwd=ROOT,
                env={
                    **inherited,
                    **(environment or {}),
                    **(alterations.environment() if alterations else {}),
                },
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def died(self, *, seconds: float = 20.0) -> None:
        """Waits for the death that it was altered to die."""
        assert self.process is not None
        assert self.process.wait(seconds) == -signal.SIGKILL, self.said()

    def terminate(self) -> None:
        assert self.process is not None
        self.process.terminate()

    def stop(self, *, seconds: float = 15.0) -> float:
        """The seconds that it took to end well."""
        assert self.process is not None
        began = time.monotonic()
        self.process.terminate()
        assert self.process.wait(seconds) == 0, self.said()
        return time.monotonic() - began

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()
        self._reserved.close()

    def refuse_writes(self) -> None:
        """From now on every write of this process to a file fails, as on a disk that went bad. Pipes and sockets are no files."""
        self._limit_files(0)

    def allow_writes(self) -> None:
        self._limit_files(resource.RLIM_INFINITY)

    def said(self) -> str:
        return self.log.read_text("utf-8", errors="replace")

    def lines(self, event: str) -> list[dict[str, Any]]:
        """Of its log."""
        lines = [json.loads(line) for line in self.said().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == event]

    def ask(
        self,
        method: str,
        path: str,
        content: Any = None,
        *,
        headers: dict[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """`content` is sent as JSON, `body` as it is; with the admin token."""
        if content is not None:
            body = json.dumps(content).encode()
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(
                method,
                path,
                body,
                {"content-type": "application/json", "authorization": f"Bearer {TOKEN}", **(headers or {})},
            )
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        answered = {name.lower(): value for name, value in response.getheaders()}
        is_json = "json" in answered.get("content-type", "")
        return Answer(response.status, answered, json.loads(text) if is_json and text else text)

    def metric(self, line: str) -> float | None:
        """The value behind a metric's name and labels, written as /metrics writes them."""
        for said in str(self.ask("GET", "/metrics").body).splitlines():
            name, _, value = said.rpartition(" ")
            if name == line:
                return float(value)
        return None

    def _limit_files(self, most_bytes: int) -> None:
        assert self.process is not None
        hard = resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (most_bytes, hard))

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"ended with {self.process.returncode}: {self.said()}"
        try:
            return self.ask("GET", "/healthz").status == 200
        except (OSError, HTTPException):
            return False
