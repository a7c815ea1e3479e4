"""The store in one SQLite file, owned by one process."""

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from gateway.config import Retention
from gateway.errors import StoreUnavailable, StoreUnusable
from gateway.model import Accepted, Claim, DestinationName, Event, EventId, Outcome, ReplayId, Verdict
from gateway.store import (
    NO_LEASES,
    Claimed,
    EventFilter,
    EventRecord,
    Finished,
    Matched,
    Queueing,
    ReplayRecord,
    ReplayState,
    Room,
    Standing,
    StandingChange,
    Stats,
)
from gateway.store.sqlite import accept, clock, dispatch, file, leases, prune, read, record, replay, standing
from gateway.store.sqlite.checkpoint import Checkpoints
from gateway.store.sqlite.disk import Disk
from gateway.store.sqlite.reader import Reader
from gateway.store.sqlite.writer import Writer

GIVE_BACK_SECONDS = 0.5
"""Between two tries to give back what was leased for nobody."""


class SqliteStore:
    """See `Store`. What is written goes through one `Writer`, in groups; lists and figures have a reader each.

    The process holds a lock on `PATH.lock` while the store is open, so that at its start every lease is known to be
    a dead process's and is taken back at once.
    """

    def __init__(
        self,
        path: Path,
        *,
        destinations: Iterable[DestinationName],
        now: int,
        on_commit: Callable[[float, int], None],
    ) -> None:
        """Open or create. Raise StoreUnusable with a sentence for the operator where that cannot be."""
        self._path = path
        self._destinations = tuple(destinations)
        with contextlib.ExitStack() as undo:
            self._lock = file.lock(path)
            undo.callback(os.close, self._lock)
            try:
                self.created = not path.exists()
                self._connection = file.open_to_write(path)
                undo.callback(self._connection.close)
                self.copied_at = _begin(self._connection, self._destinations, now=now)
                counts = read.counts(self._connection)
                self.pending_at_start = sum(n for (_, state), n in counts.items() if state == "pending")
                self._lists = Reader(path, name="store-lists")
                undo.callback(self._lists.close)
                self._figures = Reader(path, name="store-figures")
                undo.callback(self._figures.close)
                self._disk = Disk(path)
                self._checkpoints = Checkpoints(path, self._disk)
                undo.callback(self._checkpoints.close)
            except (sqlite3.Error, OSError) as error:
                raise StoreUnusable(f"{path}: {error}") from None
            undo.pop_all()
        self._writer = Writer(self._connection, on_commit=on_commit, between=self._checkpoints.committed)
        self._giving_back: set[asyncio.Task[None]] = set()

    async def accept(
        self, event: Event, *, same_id_is_duplicate: bool, leases: Mapping[DestinationName, int] = NO_LEASES
    ) -> Accepted:
        try:
            self._disk.demand_room()
        except StoreUnavailable:
            self._checkpoints.make_room()
            raise
        self._writer.demand_room()
        accepted = self._writer.together(
            accept.accept,
            accept.Arrival(event, same_id_is_duplicate, leases),
            content_bytes=len(event.webhook.body),
            unheard=self._give_back_unheard,
        )
        try:
            return await accepted
        except asyncio.CancelledError:
            if accepted.done() and not accepted.cancelled() and accepted.exception() is None:
                self._give_back_unheard(accepted.result())  # it came while the cancellation was on its way
            raise

    async def claim(
        self, destination: DestinationName, *, room: Room, probe: bool, now: int, lease_until: int
    ) -> Claimed:
        return await self._writer.do(
            lambda db: dispatch.claim(
                db, destination, room=room, probe=probe, now=now, lease_until=lease_until
            ),
            short=True,
        )

    async def record(
        self, claim: Claim, outcome: Outcome, verdict: Verdict, *, now: int, yields_at: int | None
    ) -> Finished:
        result = record.Result(claim, outcome, verdict, now, yields_at)
        return await self._writer.together(record.record, result)

    async def give_back(self, claims: Sequence[Claim], *, now: int) -> None:
        await self._writer.do(lambda db: leases.give_back(db, claims, now=now))

    async def end_leases(self, *, now: int) -> int:
        return await self._writer.do(lambda db: leases.end_leases(db, ended_by=now, now=now))

    async def set_standing(
        self, destination: DestinationName, change: StandingChange, *, now: int
    ) -> Standing:
        return await self._writer.do(lambda db: standing.change(db, destination, change, now=now))

    async def quiet(self, destination: DestinationName, *, until: int, now: int) -> None:
        if until > now:
            await self._writer.do(lambda db: standing.quiet(db, destination, until=until))

    async def clock_stepped(self, by_ms: int) -> None:
        await self._writer.do(lambda db: clock.clock_stepped(db, by_ms), must=True)

    async def replay(
        self, event_id: EventId, destinations: Sequence[DestinationName], *, now: int
    ) -> list[DestinationName]:
        return await self._writer.do(lambda db: replay.replay(db, event_id, destinations, now=now))

    async def discard(self, event_id: EventId, *, now: int) -> list[DestinationName]:
        return await self._writer.do(lambda db: replay.discard(db, event_id, now=now))

    async def erase(self, event_id: EventId, *, now: int) -> list[DestinationName]:
        """In the file too: overwritten, as far as SQLite's `secure_delete` reaches, and the write-ahead log emptied."""
        discarded = await self._writer.do(lambda db: replay.erase(db, event_id, now=now))
        await self._lists.read(lambda _: file.empty_log(self._path))
        return discarded

    async def begin_replay(self, begun: ReplayRecord) -> None:
        await self._writer.do(lambda db: replay.begin(db, begun))

    async def queue_replay(self, running: ReplayRecord, queueing: Queueing, *, now: int) -> bool:
        return await self._writer.do(lambda db: replay.queue(db, running, queueing, now=now))

    async def cancel_replay(self, replay_id: ReplayId) -> None:
        await self._writer.do(lambda db: replay.cancel(db, replay_id))

    async def prune(self, retention: Retention, *, now: int, limit: int) -> int:
        return await self._writer.do(lambda db: prune.prune(db, retention, now=now, limit=limit))

    async def ping(self) -> None:
        await self._writer.do(file.touch)

    async def count(self, where: EventFilter) -> Matched:
        return await self._lists.read(lambda db: read.count(db, where))

    async def replay_page(self, running: ReplayRecord, *, limit: int) -> list[EventRecord]:
        return await self._lists.read(
            lambda db: read.page(
                db, running.where, cursor=running.cursor, last_seq=running.last_seq, limit=limit
            )
        )

    async def replays(self, *, state: ReplayState | None = None) -> list[ReplayRecord]:
        return await self._lists.read(lambda db: replay.find_all(db, state))

    async def find_replay(self, replay_id: ReplayId) -> ReplayRecord | None:
        return await self._lists.read(lambda db: replay.find(db, replay_id))

    async def events(self, where: EventFilter, *, before: int | None, limit: int) -> list[EventRecord]:
        return await self._lists.read(lambda db: read.events(db, where, before=before, limit=limit))

    async def event(self, event_id: EventId) -> EventRecord | None:
        return await self._lists.read(lambda db: read.event(db, event_id))

    async def stats(self) -> Stats:
        return await self._figures.read(self._stats)

    async def close(self) -> None:
        for task in self._giving_back:  # what they asked for is done; of the rest the next start takes care
            task.cancel()
        await self._writer.close()
        self._checkpoints.close()
        self._lists.close()
        self._figures.close()
        self._connection.close()
        os.close(self._lock)

    def _give_back_unheard(self, accepted: Accepted) -> None:
        """Its caller was cancelled, and will make no attempts."""
        if accepted.claims:
            task = asyncio.create_task(self._give_back_quietly(accepted.claims))
            self._giving_back.add(task)
            task.add_done_callback(self._giving_back.discard)

    async def _give_back_quietly(self, claims: Sequence[Claim]) -> None:
        while True:
            try:
                await self.give_back(claims, now=claims[0].queued_at)
            except StoreUnavailable:
                await asyncio.sleep(GIVE_BACK_SECONDS)
            else:
                return

    def _stats(self, db: sqlite3.Connection) -> Stats:
        oldest = {name: read.oldest_pending(db, name) for name in self._destinations}
        self._disk.look()
        return Stats(
            deliveries=read.counts(db),
            oldest_pending={name: at for name, at in oldest.items() if at is not None},
            standings=standing.read_all(db),
            replay_remaining=replay.remaining(db),
            size_bytes=self._disk.used_bytes(),
            free_bytes=self._disk.free_bytes,
            needed_free_bytes=self._disk.needed_bytes,
        )


def sqlite_path(url: str) -> Path:
    """The file of `sqlite:///relative` or `sqlite:////absolute`."""
    return Path(url.removeprefix("sqlite:///"))


def _begin(
    connection: sqlite3.Connection, destinations: tuple[DestinationName, ...], *, now: int
) -> int | None:
    """Takes every lease back, and follows a clock that was set back. Of a copy: pauses every destination as of when it was made, and says when that was."""
    connection.execute("BEGIN IMMEDIATE")
    leases.end_leases(connection, ended_by=dispatch.FOREVER, now=now)
    clock.follow_set_back(connection, destinations, now=now)
    standing.forget_quiet(connection, now=now)
    copied = connection.execute("SELECT at FROM copied").fetchone()
    if copied is not None:
        standing.pause_all(connection, destinations, now=copied[0])  # no horizon ran out since
        connection.execute("DELETE FROM copied")
    connection.execute("COMMIT")
    return None if copied is None else int(copied[0])
