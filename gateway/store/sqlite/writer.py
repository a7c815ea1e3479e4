"""The one connection that writes: what waits is one transaction and one fsync, and no answer comes before that.

What is done for every webhook is a few short statements. They run on the event loop's thread and only their COMMIT, which
waits for the disk, in another: a thread that executes statements beside a busy event loop has to win the interpreter's
lock back from it after each, and waits far longer for that than the statements take. Everything that may take its time
runs in the other thread as a whole.
"""

import asyncio
import contextlib
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable

from gateway.errors import StoreUnavailable
from gateway.model import value
from gateway.store.sqlite.transaction import Answer, Item, T, Task, Transactions, Work, singly

MAX_GROUP = 256
"""Tasks of one transaction. More would make the first of them wait for the last."""

MAX_WAITING = 1000
MAX_WAITING_BYTES = 64 * 2**20
"""Tasks that may wait, and their content, before nothing more is taken in. A store that stands still must not gather the bodies of everything that is sent meanwhile."""

MAX_SHORT_BYTES = 2**20
"""Content that the event loop's thread copies into the database, or out of it, before it does other things again."""

BUSY_SECONDS = 5.0
"""For how long another program may keep the file locked."""


@value
class Begun:
    """`answers` are there once its statements have run, unless they are still to run in the other thread."""

    group: list[Task]
    content_bytes: int
    started: float
    answers: list[Answer] | None


class Writer:
    """`on_commit(seconds, tasks)` is told of every transaction. All is called from the event loop of the first call.

    `between(content_bytes)` is called in the other thread after each, while none is open.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        *,
        on_commit: Callable[[float, int], None],
        between: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._transactions = Transactions(connection)
        self._on_commit = on_commit
        self._between = between
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: deque[Task] = deque()
        self._waiting_bytes = 0
        self._owed: list[Task] = []
        """Tasks that must be done and are not yet."""
        self._is_open = False
        """A transaction is."""
        self._is_scheduled = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False
        self._queue: queue.SimpleQueue[Begun | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    def demand_room(self) -> None:
        """Raise StoreUnavailable where so much waits that no more should be taken in; what is in goes its way."""
        if len(self._waiting) >= MAX_WAITING:
            raise StoreUnavailable(f"{MAX_WAITING} tasks wait for the store already")
        if self._waiting_bytes >= MAX_WAITING_BYTES:
            raise StoreUnavailable(f"{MAX_WAITING_BYTES} bytes wait for the store already")

    async def do(
        self, work: Callable[[sqlite3.Connection], T], *, short: bool = False, must: bool = False
    ) -> T:
        """The result of `work`, once the transaction that it was part of is on disk.

        A caller that is cancelled leaves its work in the queue: it will be done. What `must` be done is done before all
        that is submitted later, however many transactions fail meanwhile.
        """
        return await self._submit(singly, work, short=short, must=must)

    def together(
        self,
        work: Work[Item, T],
        item: Item,
        *,
        content_bytes: int = 0,
        unheard: Callable[[T], None] | None = None,
    ) -> asyncio.Future[T]:
        """As a short `do`, of the result for `item` of what `work` does for all items that wait.

        `content_bytes` are what it holds in memory. `unheard` is told of the result where the future was cancelled before.
        """
        return self._submit(work, item, short=True, content_bytes=content_bytes, unheard=unheard)

    async def close(self) -> None:
        """Finishes the waiting tasks and ends the thread."""
        self._closed = True
        if self._loop is not None and not self._loop.is_closed():
            await self._idle.wait()
            if self._owed:  # once more
                self._begin()
                await self._idle.wait()
        if self._thread.is_alive():
            self._queue.put(None)
            await asyncio.to_thread(self._thread.join)
        _resolve([(task, None, StoreUnavailable("the store is closed")) for task in self._owed])
        self._owed = []

    def _submit(
        self,
        work: Work[Item, T],
        item: Item,
        *,
        short: bool,
        content_bytes: int = 0,
        must: bool = False,
        unheard: Callable[[T], None] | None = None,
    ) -> asyncio.Future[T]:
        if self._closed:
            raise StoreUnavailable("the store is closed")
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        if not self._is_scheduled and not self._is_open:
            self._schedule(loop)
        self._waiting.append(Task(work, item, future, short, content_bytes, must, unheard))
        self._waiting_bytes += content_bytes
        return future

    # On the event loop's thread.

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.call_soon(self._begin)
        self._is_scheduled = True
        self._idle.clear()

    def _begin(self) -> None:
        """A transaction of what waits now."""
        self._is_scheduled, self._is_open = False, True
        self._idle.clear()
        group = [*self._owed, *(self._waiting.popleft() for _ in range(min(MAX_GROUP, len(self._waiting))))]
        content_bytes = sum(task.content_bytes for task in group)
        self._waiting_bytes -= content_bytes
        started, answers = time.monotonic(), None
        if content_bytes <= MAX_SHORT_BYTES and all(task.short for task in group):
            try:
                if self._transactions.open(patience_seconds=0):
                    answers = self._transactions.statements(group)
            except Exception as error:  # noqa: BLE001 - whatever it is, the callers wait
                self._transactions.roll_back()
                self._end(group, error)
                return
        self._queue.put(Begun(group, content_bytes, started, answers))

    def _end(self, group: list[Task], result: list[Answer] | Exception, seconds: float = 0) -> None:
        """The answers go out before the next transaction begins.

        What comes meanwhile is part of it, and its COMMIT gets the interpreter's lock as soon as the event loop waits: while
        many answers go out nothing would give that up.
        """
        self._is_open = False
        try:
            if isinstance(result, Exception):
                failure = StoreUnavailable(f"the store cannot write: {result}")
                self._owed = [task for task in group if task.must]
                _resolve([(task, None, failure) for task in group if not task.must])
            else:
                self._owed = []
                _resolve(result)
                self._on_commit(seconds, len(group))
        finally:
            if not self._waiting:
                self._idle.set()
            elif self._loop is not None and not self._is_scheduled:
                self._schedule(self._loop)

    # On the thread that waits for the disk.

    def _run(self) -> None:
        while (transaction := self._queue.get()) is not None:
            result: list[Answer] | Exception
            try:
                result = self._commit(transaction)
            except Exception as error:  # noqa: BLE001 - whatever it is, the callers wait
                self._transactions.roll_back()
                result = error
            assert self._loop is not None  # noqa: S101 - for the type: it has submitted
            with contextlib.suppress(RuntimeError):  # the event loop has ended meanwhile
                seconds = time.monotonic() - transaction.started
                self._loop.call_soon_threadsafe(self._end, transaction.group, result, seconds)

    def _commit(self, transaction: Begun) -> list[Answer]:
        answers = transaction.answers
        if answers is None:
            self._transactions.open(patience_seconds=BUSY_SECONDS)
            answers = self._transactions.statements(transaction.group)
        self._transactions.commit()
        self._between(transaction.content_bytes)
        return answers


def _resolve(answers: list[Answer]) -> None:
    for task, result, error in answers:
        if task.future.done():  # its caller was cancelled
            if error is None and task.unheard is not None:
                task.unheard(result)
        elif error is None:
            task.future.set_result(result)
        elif isinstance(error, StopIteration):  # which no future takes
            task.future.set_exception(RuntimeError(repr(error)))
        else:
            task.future.set_exception(error)
