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
"""Tasks that may wait before nothing more is taken in. A store that stands still must not gather the bodies of everything that is sent meanwhile."""


@dataclass(frozen=True, slots=True)
class Task:
    work: Callable[[sqlite3.Connection], Any]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    must: bool
    """It is not given up where a transaction fails: the next one begins with it."""


Answer = tuple[Task, Any, Exception | None]


class Writer:
    """`on_commit(seconds, tasks)` is told of every group, from the writer's thread."""

    def __init__(self, connection: sqlite3.Connection, *, on_commit: Callable[[float, int], None]) -> None:
        self._connection = connection
        self._on_commit = on_commit
        self._queue: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self._closed = False
        self._owed: list[Task] = []
        """Tasks that must be done and are not yet; touched by the writer's thread alone."""
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    def demand_room(self) -> None:
        """Raise StoreUnavailable where so much waits that no more should be taken in; what is in goes its way."""
        if self._queue.qsize() >= MAX_WAITING:
            raise StoreUnavailable(f"{MAX_WAITING} tasks wait for the store already")

    async def submit(self, work: Callable[[sqlite3.Connection], T], *, must: bool = False) -> T:
        """The result of `work`, once the transaction that it was part of is on disk.

        A caller that is cancelled leaves its work in the queue: it will be done. What `must` be done is done before all
        that is submitted later, however many transactions fail meanwhile.
        """
        if self._closed:
            raise StoreUnavailable("the store is closed")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._queue.put(Task(work, loop, future, must))
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
            self._commit([*self._owed, *group])
            if last:
                break
        _answer([(task, None, StoreUnavailable("the store is closed")) for task in self._owed])

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
            answers = self._transaction(group)
        except sqlite3.Error as error:
            failure = StoreUnavailable(f"the store cannot write: {error}")
            self._owed = [task for task in group if task.must]
            answers = [(task, None, failure) for task in group if not task.must]
        else:
            self._owed = []
            self._on_commit(time.monotonic() - started, len(group))
        _answer(answers)

    def _transaction(self, group: list[Task]) -> list[Answer]:
        """All of them, or where one of them is at fault, all but that one."""
        try:
            return self._do(group, one=self._simply)
        except sqlite3.OperationalError:
            raise  # disk full, I/O error: the whole group fails, and its callers are told to come again
        except Exception:  # noqa: BLE001 - whose fault it is shows when each is done by itself
            return self._do(group, one=self._apart)

    def _do(self, group: list[Task], *, one: Callable[[Task], Answer]) -> list[Answer]:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            answers = [one(task) for task in group]
            self._connection.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise
        return answers

    def _simply(self, task: Task) -> Answer:
        return task, task.work(self._connection), None

    def _apart(self, task: Task) -> Answer:
        """In a savepoint, so that its failure undoes nothing of the others'."""
        self._connection.execute("SAVEPOINT task")
        try:
            result = task.work(self._connection)
        except sqlite3.OperationalError:
            raise
        except Exception as error:  # noqa: BLE001 - handed to the caller, who waits in another thread
            self._connection.execute("ROLLBACK TO task")
            self._connection.execute("RELEASE task")
            return task, None, error
        self._connection.execute("RELEASE task")
        return task, result, None

    def _roll_back(self) -> None:
        with contextlib.suppress(sqlite3.Error):  # some errors have rolled it back already
            self._connection.execute("ROLLBACK")


def _answer(answers: list[Answer]) -> None:
    """Wakes each event loop once for all its answers."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Answer]] = {}
    for answer in answers:
        by_loop.setdefault(answer[0].loop, []).append(answer)
    for loop, of_loop in by_loop.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(_resolve, of_loop)


def _resolve(answers: list[Answer]) -> None:
    for task, result, error in answers:
        if task.future.done():  # its caller was cancelled
            continue
        if error is None:
            task.future.set_result(result)
        else:
            task.future.set_exception(error)
