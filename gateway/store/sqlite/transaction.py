"""One transaction at a time on the connection that writes, for a group of tasks. Whoever calls sees to the one at a time."""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from gateway.model import value

T = TypeVar("T")
BUSY_STEP_SECONDS = 0.005
PRIMARY_CODE = 0xFF
"""Of an extended result code."""

Item = TypeVar("Item")
Work = Callable[[sqlite3.Connection, Sequence[Item]], Sequence[T]]
"""Does many things of one kind in the transaction that is open; a result for each, in their order."""


@value
class Task:
    work: Work[Any, Any]
    item: Any
    future: asyncio.Future[Any]
    short: bool
    content_bytes: int
    must: bool
    """It is not given up where a transaction fails: the next one begins with it."""
    unheard: Callable[[Any], None] | None
    """Told of the result where nobody waits for it any more."""


Answer = tuple[Task, Any, Exception | None]


def singly(db: sqlite3.Connection, items: Sequence[Callable[[sqlite3.Connection], T]]) -> list[T]:
    """The work of tasks of which each is one of its own. They keep their place among all of a group."""
    return [item(db) for item in items]


class Transactions:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        connection.execute("PRAGMA busy_timeout = 0")  # the event loop must not wait for a locked file

    def commit(self) -> None:
        """Return when it is on disk."""
        self._connection.execute("COMMIT")

    def open(self, *, patience_seconds: float) -> bool:
        """Begin a transaction. False where the file is locked and there is no patience; raise where it runs out."""
        deadline = time.monotonic() + patience_seconds
        while True:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & PRIMARY_CODE != sqlite3.SQLITE_BUSY:
                    raise
                if not patience_seconds:
                    return False
                if time.monotonic() > deadline:
                    raise
                time.sleep(BUSY_STEP_SECONDS)
            else:
                return True

    def statements(self, group: list[Task]) -> list[Answer]:
        """Of all tasks, or where one of them is at fault, of all but that one; in the transaction that is open."""
        try:
            return self._simply(group)
        except sqlite3.OperationalError:
            raise  # disk full, I/O error: the whole group fails, and its callers are told to come again
        except Exception:  # noqa: BLE001 - whose fault it is shows when each is done by itself
            self._connection.execute("ROLLBACK")
            self._connection.execute("BEGIN IMMEDIATE")
            return [self._apart(task) for task in group]

    def _simply(self, group: list[Task]) -> list[Answer]:
        answers: list[Answer] = []
        for tasks in _batches(group):
            results = tasks[0].work(self._connection, [task.item for task in tasks])
            answers += [(task, result, None) for task, result in zip(tasks, results, strict=True)]
        return answers

    def _apart(self, task: Task) -> Answer:
        """In a savepoint, so that its failure undoes nothing of the others'."""
        self._connection.execute("SAVEPOINT task")
        try:
            (result,) = task.work(self._connection, [task.item])
        except sqlite3.OperationalError:
            raise
        except Exception as error:  # noqa: BLE001 - handed to the caller
            self._connection.execute("ROLLBACK TO task")
            self._connection.execute("RELEASE task")
            return task, None, error
        self._connection.execute("RELEASE task")
        return task, result, None

    def roll_back(self) -> None:
        with contextlib.suppress(sqlite3.Error):  # some errors have rolled it back already
            self._connection.execute("ROLLBACK")


def _batches(group: list[Task]) -> list[list[Task]]:
    """Tasks of one kind together, but for those that are of none: these keep their place among all.

    Others change their order: their callers wait at the same time, so that none counts on another's having been done.
    """
    batches: list[list[Task]] = []
    open_ones: dict[Work[Any, Any], list[Task]] = {}
    for task in group:
        if task.work is singly:
            open_ones.clear()
        if (batch := open_ones.get(task.work)) is not None:
            batch.append(task)
            continue
        batches.append([task])
        if task.work is not singly:
            open_ones[task.work] = batches[-1]
    return batches
