"""The programs that a bench starts. Whatever happens to it, they end with it."""

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from stack.leash import Leash
from tests.support.process import ROOT

BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
"""Unbuffered, Python drops the rest of a line of which a pipe took only a part, as it may under uvloop."""
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class Processes:
    """All that run now; closing it ends them, and if this process is killed its leash does."""

    def __init__(self) -> None:
        self._leash = Leash()
        self._ends = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.close()
        self._leash.close()

    @contextmanager
    def python(
        self, *arguments: str, environ: Mapping[str, str] | None = None, speaks: bool = False
    ) -> Iterator[subprocess.Popen[str]]:
        """`python -m` with these arguments. One that speaks is asked on its standard input and answers on its output."""
        pipe = subprocess.PIPE if speaks else subprocess.DEVNULL
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=ROOT,
            env={**BUFFERED, **(environ or {})},
            stdin=pipe,
            stdout=pipe,
            stderr=None if speaks else subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        self._leash.hold(process.pid)
        try:
            yield process
        finally:
            end(process)
            self._leash.release(process.pid)

    @contextmanager
    def worker(self, module: str) -> Iterator["Worker"]:
        with self.python(module, speaks=True) as process:
            yield Worker(process)


class Worker:
    """A process that is told by lines of JSON what to do, and answers each by one."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, do: str, **values: Any) -> Any:
        self.tell(do, **values)
        return self.answer()

    def tell(self, do: str, **values: Any) -> None:
        """Without waiting for the answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{json.dumps({'do': do, **values})}\n")
        self._process.stdin.flush()

    def answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args} ended")
        return json.loads(line)


def obey(commands: Mapping[str, Any], lines: Sequence[str] | Any = sys.stdin) -> None:
    """The other side of a `Worker`, until its input ends."""
    for line in lines:
        values = json.loads(line)
        print(json.dumps(commands[values.pop("do")](**values)), flush=True)


def end(process: subprocess.Popen[str]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def cpu_seconds(pid: int) -> float:
    """Spent so far, in the kernel too, by all its threads; in steps of a tick."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def memory_mb(pid: int, *, peak: bool = False) -> float:
    """Resident now, or the most since it was started."""
    name = "VmHWM" if peak else "VmRSS"
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.partition(f"{name}:")[2].split()[0]) / 1024


def answers(port: int, path: str) -> bool:
    """Whether a GET is answered 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def wait_until_answers(process: subprocess.Popen[str], port: int, path: str, *, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not answers(port, path):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{process.args} does not answer at {path}")
        time.sleep(0.005)
