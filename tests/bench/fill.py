"""A store with many events in it, soon: the first goes the gateway's own way, and its rows are multiplied in SQL."""

import asyncio
import hashlib
import os
import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from gateway.model import Delivered, SourceName, Webhook
from gateway.store.sqlite.dedupe import dedupe_hash
from tests.bench.load import JOBS, body, headers, key
from tests.support.store import A, accept, claim, event, finish, open_store

State = Literal["pending", "delivered"]

STEP = 100_000
"""Rows of one transaction."""
CACHE_KIB = 400_000
DAY_MS = 86_400_000

NUMBERS = "WITH RECURSIVE n (n) AS (SELECT :first UNION ALL SELECT n + 1 FROM n WHERE n < :last)"

# `n` counts on from the first event, whose rows' values are `one.…`.
EVENT = {
    "seq": "one.seq + n",
    "id": "printf('evt_%012x%020x', one.received_at, n)",
    "dedupe_key": "chosen_id(n)",
    "body": "body(n)",
    "body_sha256": "sha256(body(n))",
    "ordering_key": "job(n)",
}
DEDUPE_KEY = {
    "number": "one.number + n",
    "dedupe_key": "(SELECT dedupe_key FROM events WHERE seq = n + 1)",
    "hash": "dedupe_hash(one.source, (SELECT dedupe_key FROM events WHERE seq = n + 1))",
    "body_sha256": "(SELECT body_sha256 FROM events WHERE seq = n + 1)",
    "event_id": "(SELECT id FROM events WHERE seq = n + 1)",
}
DELIVERY = {
    "id": "one.id + n",
    "event_seq": "one.event_seq + n",
    "ordering_key": "job(n)",
}
# Only the first of a key is due; the others wait for it.
WAITING = {**DELIVERY, "next_attempt_at": f"CASE WHEN n % {JOBS * 8} < {JOBS} THEN one.next_attempt_at END"}
ATTEMPT = {"delivery_id": "one.delivery_id + n"}


def fill(path: Path, events: int, *, body_bytes: int, state: State, age_days: float = 0) -> Path:
    """All were accepted, and delivered if they were, `age_days` ago; in jobs as those of `load`, numbered from 0."""
    now = round(time.time() * 1000 - age_days * DAY_MS)
    asyncio.run(_begin(path, body_bytes=body_bytes, state=state, now=now))
    db = sqlite3.connect(path, isolation_level=None)
    try:
        _multiply(db, events, body_bytes=body_bytes, state=state)
    finally:
        db.close()
    os.sync()  # else the disk is busy with it while something else is measured
    return path


async def _begin(path: Path, *, body_bytes: int, state: State, now: int) -> None:
    content = body(0, body_bytes=body_bytes)
    sent = tuple((name.encode(), value.encode()) for name, value in headers(content, event_id=chosen_id(0)))
    webhook = Webhook(
        headers=((b"host", b"127.0.0.1:8080"), *sent, (b"content-length", b"%d" % len(content))),
        query=b"",
        body=content,
    )
    first = event(
        0,
        source=SourceName("producer"),
        type="transcription.job.progress",
        dedupe_key=chosen_id(0),
        ordering_key=key(0),
        received_at=now,
        webhook=webhook,
        body_sha256=hashlib.sha256(content).digest(),
        destinations=(A,),
    )
    async with open_store(path, now=now) as store:
        await accept(store, first)
        if state == "delivered":
            (one,) = await claim(store, now=now)
            await finish(store, one, Delivered(), now=now)


def _multiply(db: sqlite3.Connection, events: int, *, body_bytes: int, state: State) -> None:
    db.create_function("body", 1, lambda n: body(n, body_bytes=body_bytes), deterministic=True)
    db.create_function("sha256", 1, lambda content: hashlib.sha256(content).digest(), deterministic=True)
    db.create_function("job", 1, key, deterministic=True)
    db.create_function("chosen_id", 1, chosen_id, deterministic=True)
    db.create_function("dedupe_hash", 2, dedupe_hash, deterministic=True)
    for pragma in ("synchronous = OFF", "journal_mode = OFF", f"cache_size = -{CACHE_KIB}"):
        db.execute(f"PRAGMA {pragma}").fetchall()
    tables = {"events": EVENT, "dedupe_keys": DEDUPE_KEY}
    tables["deliveries"] = WAITING if state == "pending" else DELIVERY
    if state == "delivered":
        tables["attempts"] = ATTEMPT
    for table in tables:
        db.execute(f"CREATE TEMP TABLE one_of_{table} AS SELECT * FROM {table}")  # noqa: S608 - a constant
    for first in range(1, events, STEP):
        bounds = {"first": first, "last": min(first + STEP, events) - 1}
        db.execute("BEGIN")
        for table, changes in tables.items():
            db.execute(_insert(db, table, changes), bounds)
        db.execute("COMMIT")


def _insert(db: sqlite3.Connection, table: str, changes: Mapping[str, str]) -> str:
    """Every column as the first row has it, but for those that change."""
    columns = [row[1] for row in db.execute(f"PRAGMA main.table_info({table})")]
    values = ", ".join(changes.get(column, f"one.{column}") for column in columns)
    return f"INSERT INTO {table} ({', '.join(columns)}) {NUMBERS} SELECT {values} FROM n, one_of_{table} one"  # noqa: S608 - constants


def chosen_id(number: int) -> str:
    return f"msg_{hashlib.blake2b(str(number).encode(), digest_size=13).hexdigest()}"
