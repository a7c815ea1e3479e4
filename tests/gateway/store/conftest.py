"""Every store that there is, for the tests of what all of them promise.

An implementation joins with one line in STORES: a function that opens the store of this folder, in one process,
as an async context manager. Modules named test_sqlite_* are about that one alone.
"""

import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import pytest

from gateway.store import Store
from tests.support.store import open_store as open_sqlite

ROOT = Path(__file__).parents[3]

Opens = Callable[[], AbstractAsyncContextManager[Store]]

STORES: dict[str, Callable[[Path], AbstractAsyncContextManager[Store]]] = {
    "sqlite": lambda folder: open_sqlite(folder / "gateway.db"),
}


@pytest.fixture(params=sorted(STORES))
def open_store(request, tmp_path: Path) -> Opens:
    """Opens the same store again, after it was closed."""
    return partial(STORES[request.param], tmp_path)


@pytest.fixture
async def store(open_store: Opens) -> AsyncIterator[Store]:
    async with open_store() as opened:
        yield opened


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file of the SQLite store."""
    return tmp_path / "gateway.db"


class Child:
    """A Python program of its own, that has the project and its arguments; it is killed with the test at the latest."""

    def __init__(self, program: str, *arguments: object) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", program, *map(str, arguments)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )

    def line(self) -> str:
        """The next one that it prints; empty once it has ended."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def kill(self) -> None:
        """At once, as a power cut would."""
        self.process.kill()
        self.process.wait(10)
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def child() -> Iterator[Callable[..., Child]]:
    children: list[Child] = []

    def start(program: str, *arguments: object) -> Child:
        children.append(Child(program, *arguments))
        return children[-1]

    yield start
    for one in children:
        one.kill()
