"""What a process that died left behind."""

import asyncio
import sqlite3

from transcriber.store import attempts, rows
from transcriber.store.changes import Store


async def recover(store: Store) -> int:
    """The number of jobs that a process which ended without giving them back had in hand; removes stray files."""

    def work(connection: sqlite3.Connection) -> tuple[int, set[str]]:
        attempts.interrupt_all(connection)
        return rows.let_all_crash(connection), rows.audio_names(connection)

    count, known = await store.database.transaction(work)
    await asyncio.to_thread(store.recordings.sweep, known)
    return count
