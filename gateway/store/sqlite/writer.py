"""One thread that writes to SQLite, and commits what waits for it together: one fsync for many callers."""

import asyncio
import contextlib
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from gateway.errors import StoreUnavailable

T = TypeVar("T")

MAX_GROUP = 256
"""Tasks of one transaction. More would make the first of them wait for the last."""


MAX_WAITING = 1000
"""Tasks that may wait. A store that stands still must not gather the bodies of everything that is sent meanwhile."""


@dataclass(frozen=True, slots=True)
class Task:
    work: Callable[[sqlite3.Connection], Any]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]


class Writer:
    """`on_commit(seconds, tasks)` is told of every group, from the writer's thread."""

    def __init__(self, connection: sqlite3.Connection, *, on_commit: Callable[[float, int], None]) -> None:
        self._connection = connection
        self._on_commit = on_commit
        self._queue: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    async def submit(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """The result of `work`, once the transaction that it was part of is on disk.

        A caller that is cancelled leaves its work in the queue: it will be done.
        """
        if self._closed:
            raise StoreUnavailable("the store is closed")
        if self._queue.qsize() >= MAX_WAITING:
            raise StoreUnavailable(f"{MAX_WAITING} tasks wait for the store already")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._queue.put(Task(work, loop, future))
        return await future

    async def close(self) -> None:
        """Finishes the waiting tasks and ends the thread. Call it from the loop that submits."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            group, last = self._group(first)
            self._commit(group)
            if last:
                return

    def _group(self, first: Task) -> tuple[list[Task], bool]:
        """What waits now, and whether the writer was told to close."""
        group = [first]
        while len(group) < MAX_GROUP:
            try:
                task = self._queue.get_nowait()
            except queue.Empty:
                break
            if task is None:
                return group, True
            group.append(task)
        return group, False

    def _commit(self, group: list[Task]) -> None:
        started = time.monotonic()
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            answers = [self._do(task) for task in group]
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            failure = StoreUnavailable(f"the store cannot write: {error}")
            answers = [(task, None, failure) for task in group]
        else:
            self._on_commit(time.monotonic() - started, len(group))
        _answer(answers)

    def _do(self, task: Task) -> tuple[Task, Any, Exception | None]:
        """One task in a savepoint, so that its failure undoes nothing of the others'."""
        self._connection.execute("SAVEPOINT task")
        try:
            result = task.work(self._connection)
        except sqlite3.OperationalError:
            raise  # disk full, I/O error: the whole group fails, and its callers are told to come again
        except Exception as error:  # noqa: BLE001 - handed to the caller, who waits in another thread
            self._connection.execute("ROLLBACK TO task")
            self._connection.execute("RELEASE task")
            return task, None, error
        self._connection.execute("RELEASE task")
        return task, result, None

    def _roll_back(self) -> None:
        with contextlib.suppress(sqlite3.Error):  # some errors have rolled it back already
            self._connection.execute("ROLLBACK")


def _answer(answers: list[tuple[Task, Any, Exception | None]]) -> None:
    """Wakes each event loop once for all its answers."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[Task, Any, Exception | None]]] = {}
    for answer in answers:
        by_loop.setdefault(answer[0].loop, []).append(answer)
    for loop, of_loop in by_loop.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(_resolve, of_loop)


def _resolve(answers: list[tuple[Task, Any, Exception | None]]) -> None:
    for task, result, error in answers:
        if task.future.done():  # its caller was cancelled
            continue
        if error is None:
            task.future.set_result(result)
        else:
            task.future.set_exception(error)
