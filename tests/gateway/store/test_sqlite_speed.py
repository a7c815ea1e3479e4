"""What is done for every webhook costs the same however much is stored: by an index each time, and by the clock."""

import re
import statistics
import time

import pytest

from gateway.model import Delivered
from gateway.store import NO_LEASES, Room
from gateway.store.sqlite import (
    accept,
    clock,
    dispatch,
    keys,
    leases,
    numbers,
    prune,
    read,
    record,
    replay,
    rows,
    standing,
)
from tests.support.store import LEASE, NOW, A, event, fill, open_store, outcome

SMALL = (
    "destinations",
    "replays",
    "delivery_counts",
    "clock",
    "highest",
    "CONSTANT ROW",
    "(subquery",
    "SCAN v",
)
"""A row for each destination or replay, one row in all, or the rows of the statement itself; reading all of it is nothing."""

READS_MUCH = {
    "leases.END_LEASES": "the leased ones alone: SCAN deliveries USING INDEX deliveries_leased_key",
    "leases.NOTE_INTERRUPTED": "the leased ones alone: SCAN deliveries USING INDEX deliveries_leased_key",
    "read.EVENTS pending": "the pending ones alone: SCAN deliveries USING INDEX deliveries_pending",
    "read.PAGE pending": "the pending ones alone: SCAN deliveries USING INDEX deliveries_pending",
    "read.COUNT dead": "the dead ones alone: SCAN f USING INDEX deliveries_dead",
    "read.COUNT pending": "the pending ones alone: SCAN deliveries USING INDEX deliveries_pending",
    "read.COUNT unrouted": "the unrouted ones alone: SCAN e USING INDEX events_unrouted",
    "prune.KEYS_PAST": "no more than are asked for, from the oldest on: SCAN dedupe_keys",
    "read.COUNT": "counts all there are, before a replay: SCAN e",
}
"""Statements that go through more than they return, and what that is."""

WAYS = {
    "dispatch.DUE": "SEARCH d USING INDEX deliveries_due (destination=? AND again=? AND next_attempt_at<?)",
    "dispatch.YIELD": "SEARCH deliveries USING INDEX deliveries_yielding (destination=? AND yields_at<?)",
    "dispatch.LEASE": "SEARCH deliveries USING INTEGER PRIMARY KEY (rowid=?)",
    "keys.PROMOTE": "SEARCH o USING INDEX deliveries_of_key (destination=? AND ordering_key=?)",
    "accept.KNOWN": "SEARCH k USING INDEX dedupe_keys_hash (hash=?)",
    "accept.BUSY": "SEARCH deliveries USING INDEX deliveries_of_key (destination=? AND ordering_key=?)",
    "replay.QUEUE": "SEARCH deliveries USING INDEX deliveries_of_key (destination=? AND ordering_key=?)",
    "standing.HURRY": "SEARCH deliveries USING INDEX deliveries_due (destination=? AND again=? AND next_attempt_at>?)",
    "record.COUNTED": "SEARCH d USING INTEGER PRIMARY KEY (rowid=?)",
    "record.RECORD": "SEARCH deliveries USING INTEGER PRIMARY KEY (rowid=?)",
    "read.OLDEST_PENDING": "SEARCH deliveries USING INDEX deliveries_pending (destination=?)",
    "prune.DELIVERIES_PAST": "SEARCH deliveries USING COVERING INDEX deliveries_finished (state=? AND finished_at<?)",
    "read.PAGE": "SEARCH e USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
    "read.PAGE dead": "SEARCH f USING INDEX deliveries_dead (event_seq>? AND event_seq<?)",
    "read.EVENTS dead": "SEARCH f USING INDEX deliveries_dead (event_seq<?)",
    "read.COUNT pending of one": "SEARCH deliveries USING INDEX deliveries_pending (destination=?)",
    "read.EVENTS pending of one": "SEARCH deliveries USING INDEX deliveries_pending (destination=?)",
    "read.EVENTS": "SEARCH e USING INTEGER PRIMARY KEY (rowid<?)",
}
"""How the statements that matter most find their rows."""


def statements():
    """Every one that the store is made of, by module and name."""
    found = {}
    for module in (accept, clock, dispatch, keys, leases, numbers, record, standing, replay, prune, read):
        of = module.__name__.rpartition(".")[2]
        for name, value in vars(module).items():
            if isinstance(value, str) and re.match(r"\s*(SELECT|INSERT|UPDATE|DELETE)", value):
                found[f"{of}.{name}"] = value.format(**read.ALL) if "{few}" in value else value
                if "{few}" in value:
                    found |= {f"{of}.{name} {state}": value.format(**few) for state, few in read.FEW.items()}
    return found | {f"standing {change}": sql for change, sql in standing.CHANGES.items()}


def plan(store, sql):
    values = dict.fromkeys(re.findall(r":(\w+)", sql))
    if rows.ROWS in sql:
        inserted = re.search(r"INSERT (?:OR FAIL )?INTO \w+ \(([^)]*)\)", sql)
        width = inserted[1].count(",") + 1 if inserted else max(map(int, re.findall(r"column(\d+)", sql)))
        sql, values = rows.filled(sql, 2, width), [None] * (2 * width)
    connection = store._connection  # noqa: SLF001 - the plan is that of the connection that runs it
    return [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", values)]


def seconds_of_a_delivery(store, number, *, key):
    """To accept one, to claim the next and to record it, without the commit."""
    db = store._connection  # noqa: SLF001 - the commit is the disk's time
    db.execute("BEGIN")
    began = time.perf_counter()
    accept.accept(db, [accept.Arrival(event(10**9 + number, ordering_key=key), False, NO_LEASES)])
    claimed = dispatch.claim(db, A, room=Room(1, 1), probe=False, now=NOW, lease_until=LEASE)
    (one,) = claimed.claims
    (finished,) = record.record(db, [record.Result(one, outcome(), Delivered(), NOW, None)])
    assert finished.counted
    took = time.perf_counter() - began
    db.execute("COMMIT")
    return took


@pytest.mark.parametrize("number", [1, 10_000])
async def test_no_statement_reads_a_whole_table(path, number):
    async with open_store(path) as store:
        fill(store, number)
        scans = {}
        for name, sql in statements().items():
            allowed = READS_MUCH.get(name, "none").split(": ")[-1]
            lines = [line for line in plan(store, sql) if line.startswith("SCAN")]
            wrong = [line for line in lines if line != allowed and not any(small in line for small in SMALL)]
            if wrong:
                scans[name] = wrong
        assert scans == {}


@pytest.mark.parametrize("number", [1, 10_000])
async def test_what_is_done_all_the_time_finds_its_rows_by_the_index_made_for_it(path, number):
    async with open_store(path) as store:
        fill(store, number)
        found = {name: plan(store, sql) for name, sql in statements().items() if name in WAYS}
        assert {name: way for name, way in WAYS.items() if way not in found[name]} == {}
        next_at = plan(store, dispatch.NEXT_AT)
        assert (
            sum(
                "deliveries_due (destination=? AND again=? AND next_attempt_at>?)" in line for line in next_at
            )
            == 2
        )
        assert any("deliveries_yielding (destination=? AND yields_at>?)" in line for line in next_at)


@pytest.mark.parametrize("key", [None, "x"], ids=["without a key", "all of one key"])
async def test_a_delivery_costs_the_same_with_many_pending_as_with_few(tmp_path, key):
    async with open_store(tmp_path / "few.db") as few, open_store(tmp_path / "many.db") as many:
        fill(few, 100, key=key)
        fill(many, 40_000, key=key)
        pairs = [
            [seconds_of_a_delivery(store, number, key=key) for store in (few, many)] for number in range(60)
        ]
    with_few, with_many = (statistics.median(column) for column in zip(*pairs, strict=True))
    assert with_many < 3 * with_few
