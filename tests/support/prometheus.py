"""A real Prometheus, on a free port, with its data in a folder."""

import json
import os
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.gateway import free_port
from tests.support.waiting import eventually


def tool(name: str) -> str:
    """`prometheus` or `promtool`: in the folder that PROMETHEUS_BIN names, else in PATH."""
    found = shutil.which(name, path=os.environ.get("PROMETHEUS_BIN") or None)
    assert found, (
        f"there is no {name}: CONTRIBUTING.md says where it comes from, and PROMETHEUS_BIN where it is"
    )
    return found


@dataclass(frozen=True, slots=True)
class Prometheus:
    port: int

    def query(self, text: str) -> list[dict[str, Any]]:
        """The vector as of now. Fails with what Prometheus says of a query that it does not take."""
        return self._ask("query", query=text, time=str(time.time()))["result"]  # type: ignore[no-any-return]

    def firing(self) -> set[str]:
        return {one["labels"]["alertname"] for one in self.alerts() if one["state"] == "firing"}

    def alerts(self) -> list[dict[str, Any]]:
        """Those pending too."""
        return self._ask("alerts")["alerts"]  # type: ignore[no-any-return]

    def targets(self) -> dict[str, str]:
        """Health by job."""
        return {one["labels"]["job"]: one["health"] for one in self._ask("targets")["activeTargets"]}

    def _ask(self, path: str, **parameters: str) -> dict[str, Any]:
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as response:
                answer = json.load(response)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{parameters}: {error.read().decode()}") from None
        return answer["data"]  # type: ignore[no-any-return]


@contextmanager
def prometheus(folder: Path, config: Path) -> Iterator[Prometheus]:
    port = free_port()
    command = [
        tool("prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    with (folder / "prometheus.log").open("w") as log, subprocess.Popen(command, stderr=log) as process:
        try:

            def ready() -> bool:
                assert process.poll() is None, (folder / "prometheus.log").read_text()
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=5):
                        return True
                except OSError:
                    return False

            eventually(ready)
            yield Prometheus(port)
        finally:
            process.terminate()
            process.wait(20)
