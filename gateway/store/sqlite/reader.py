"""A connection that reads, and a thread of its own, so that no reading holds up the event loop or the writer."""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from gateway.errors import StoreUnavailable
from gateway.store.sqlite import file

T = TypeVar("T")


class Reader:
    def __init__(self, path: Path, *, name: str) -> None:
        """May raise sqlite3.Error."""
        self._connection = file.open_to_read(path)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Raise StoreUnavailable where it cannot be read, or is closed."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._thread, work, self._connection)
        except sqlite3.Error as error:
            raise StoreUnavailable(f"the store cannot read: {error}") from error
        except RuntimeError:  # the thread has ended
            raise StoreUnavailable("the store is closed") from None

    def close(self) -> None:
        self._thread.shutdown()
        self._connection.close()
