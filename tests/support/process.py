"""A service as its own process, read by its JSON log lines."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.support.waiting import eventually

ROOT = Path(__file__).parent.parent.parent


class Service:
    """`python -m` with these arguments and nothing of this process's environment but PATH."""

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        self.lines: list[dict[str, Any]] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], **environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def line(self, event: str, *, seconds: float = 20.0) -> dict[str, Any]:
        """The first log line of this event."""

        def found() -> dict[str, Any] | None:
            assert self.process.poll() is None, f"ended with {self.process.returncode}: {self.lines}"
            return next((line for line in self.lines if line.get("event") == event), None)

        return eventually(found, seconds=seconds)

    @property
    def url(self) -> str:
        return str(self.line("server.listening")["url"])

    def kill(self) -> None:
        """At once, as a power cut would."""
        self.process.kill()
        self._ended(10)

    def stop(self, number: int = signal.SIGTERM, *, seconds: float = 10.0) -> tuple[int, float]:
        """The exit code, and the seconds that it took."""
        began = time.monotonic()
        self.process.send_signal(number)
        return self._ended(seconds), time.monotonic() - began

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self._ended(10)

    def _ended(self, seconds: float) -> int:
        code = self.process.wait(seconds)
        self._reader.join(5)
        assert self.process.stderr is not None
        self.process.stderr.close()
        return code

    def _read(self) -> None:
        assert self.process.stderr is not None
        for text in self.process.stderr:
            try:
                self.lines.append(json.loads(text))
            except ValueError:
                self.lines.append({"event": "not JSON", "text": text})
