"""One child process with its own process group, log file and question "are you ready?"."""

import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from stack.leash import Leash

TAIL_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Program:
    """What to run. `ready_url` answers 2xx once it can do its work."""

    name: str
    command: tuple[str, ...]
    directory: Path
    environment: Mapping[str, str]
    url: str
    ready_url: str


class ServiceFailedError(Exception):
    """A service ended, or was not ready in time, while the others needed it."""


class Service:
    """A program that can be started, stopped, killed and started again, with the same ports and data."""

    def __init__(self, program: Program, *, log: Path, leash: Leash) -> None:
        self.program = program
        self.log = log
        self._leash = leash
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0
        log.write_bytes(b"")

    @property
    def name(self) -> str:
        return self.program.name

    @property
    def url(self) -> str:
        return self.program.url

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it without waiting. Raises ServiceFailedError if there is no such program."""
        if self._process is not None:
            raise RuntimeError(f"{self.name} runs already")
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            try:
                self._process = subprocess.Popen(
                    self.program.command,
                    cwd=self.program.directory,
                    env=dict(self.program.environment),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    process_group=0,
                )
            except OSError as error:
                raise ServiceFailedError(f"{self.name} cannot be started: {error}.") from error
        self._leash.hold(self._process.pid)

    def is_ready(self) -> bool:
        """Return whether it answers. Raises ServiceFailedError if it has ended, so that nobody waits for a dead process."""
        self.check()
        try:
            # trust_env: a proxy from the environment has no business on the loopback interface.
            return httpx.get(self.program.ready_url, timeout=2, trust_env=False).is_success
        except httpx.TransportError:
            return False

    def check(self) -> None:
        """Raise ServiceFailedError, with the exit code and the last log lines, if it does not run."""
        if not self.running:
            raise ServiceFailedError(f"{self.name} {self._ending()}.\n{self.tail()}")

    def tail(self, lines: int = 15) -> str:
        """Return the last log lines since the latest start, indented, with the log's path for the rest."""
        with self.log.open("rb") as log:
            log.seek(max(self._log_start, self.log.stat().st_size - TAIL_BYTES))
            text = log.read().decode(errors="replace")
        kept = text.splitlines()[-lines:] or ["(it wrote nothing)"]
        return "\n".join([f"The end of {self.log}:", *(f"    {line}" for line in kept)])

    def terminate(self) -> None:
        """Ask it to end (SIGTERM); `reap` waits for it."""
        if self._process is not None and self.running:
            self._process.terminate()

    def reap(self, *, timeout_seconds: float) -> bool:
        """Wait for the end, then kill whatever is left of its group. False if it had to be killed."""
        if self._process is None:
            return True
        try:
            self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            return False
        finally:
            self.kill()
        return True

    def kill(self) -> None:
        """End it and its descendants at once (SIGKILL to the group), as a crash would."""
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._leash.release(self._process.pid)
        self._process = None

    def _ending(self) -> str:
        code = self._process.poll() if self._process else None
        if code is None:
            return "does not run"
        if code < 0:
            return f"was ended by {signal.Signals(-code).name}"
        return f"ended with exit code {code}"
