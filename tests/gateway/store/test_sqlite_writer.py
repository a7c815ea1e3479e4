"""The writer: what waits together is one transaction and one fsync, and no answer comes before it."""

import asyncio
import sqlite3
import threading
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from gateway.errors import StoreUnavailable
from gateway.model import Delivered, DestinationName
from gateway.store.sqlite import SqliteStore
from gateway.store.sqlite.writer import MAX_GROUP, MAX_SHORT_BYTES, MAX_WAITING, MAX_WAITING_BYTES
from tests.support.store import NOW, A, accept, claim, event, numbers, open_store, outcome, rows

NO_NAME = DestinationName(object())
"""Nothing that SQLite can store."""


@asynccontextmanager
async def standing_still(store):
    """A store whose disk hangs: what is asked for meanwhile waits, and is one group afterwards."""
    go_on, hangs = threading.Event(), threading.Event()

    def hang(_):
        hangs.set()
        assert go_on.wait(20)

    blocking = asyncio.ensure_future(store._writer.do(hang))  # noqa: SLF001 - the disk has no handle to hang it by
    assert await asyncio.to_thread(hangs.wait, 20)
    try:
        yield
    finally:
        go_on.set()
        await blocking


async def ask_together(store, *events):
    """The results of accepting these in one group, exceptions among them."""
    async with standing_still(store):
        asked = asyncio.gather(
            *(store.accept(one, same_id_is_duplicate=False) for one in events), return_exceptions=True
        )
        await asyncio.sleep(0)
    return await asked


async def test_what_waits_shares_transactions_of_a_bounded_size(path):
    groups = []
    async with open_store(path, on_commit=lambda _seconds, tasks: groups.append(tasks)) as store:
        await ask_together(store, *(event(number) for number in range(600)))
    assert groups == [1, MAX_GROUP, MAX_GROUP, 600 - 2 * MAX_GROUP]


async def test_no_answer_comes_before_the_commit_has_returned(path):
    committing, go_on = threading.Event(), threading.Event()

    def watch(statement):
        if statement == "COMMIT":
            committing.set()
            assert go_on.wait(20)

    async with open_store(path) as store:
        store._connection.set_trace_callback(watch)  # noqa: SLF001 - told of each statement before it runs
        asked = [
            asyncio.ensure_future(store.accept(event(number), same_id_is_duplicate=False))
            for number in range(3)
        ]
        assert await asyncio.to_thread(committing.wait, 20)
        done, _ = await asyncio.wait(asked, timeout=0.05)
        assert not done
        assert rows(path, "SELECT count(*) FROM events") == [(0,)]
        go_on.set()
        for one in asked:
            answer = await one
            assert (answer.event_id,) in rows(path, "SELECT id FROM events")


async def test_answers_go_out_before_the_next_transaction_begins(path):
    said = []
    async with open_store(path) as store:
        store._connection.set_trace_callback(  # noqa: SLF001 - told of each statement before it runs
            lambda statement: said.append(statement.split()[0])
        )

        async def ask(number):
            await store.accept(event(number), same_id_is_duplicate=False)
            said.append(f"answer {number}")

        first = asyncio.ensure_future(ask(1))
        while "BEGIN" not in said:
            await asyncio.sleep(0)
        await asyncio.gather(first, ask(2), ask(3))
        store._connection.set_trace_callback(None)  # noqa: SLF001
    ends = [one for one in said if one in ("BEGIN", "COMMIT") or one.startswith("answer")]
    assert ends == ["BEGIN", "COMMIT", "answer 1", "BEGIN", "COMMIT", "answer 2", "answer 3"]


async def test_the_time_of_a_commit_is_told(path):
    told = []
    async with open_store(path, on_commit=lambda seconds, _tasks: told.append(seconds)) as store:
        await accept(store, event(1))
    assert told
    assert all(0 < seconds < 20 for seconds in told)


async def test_a_task_that_fails_undoes_itself_whole_and_nothing_of_its_group(path):
    async with open_store(path) as store:
        bad = event(99, destinations=(A, NO_NAME))  # fails with its second delivery
        good = [event(number) for number in range(20)]
        results = await ask_together(store, *good[:10], bad, *good[10:])
        failed = results.pop(10)
        assert isinstance(failed, Exception)
        assert not isinstance(failed, StoreUnavailable)
        assert [one.status for one in results] == ["accepted"] * 20
        assert numbers(await claim(store, total=100)) == list(range(20))
        assert await store.event(bad.id) is None
        (again,) = await accept(store, replace(bad, destinations=(A,)))
        assert again.status == "accepted"


async def test_a_full_disk_fails_the_whole_group_leaves_nothing_half_stored_and_ends_with_it(path):
    async with open_store(path) as store:
        (_,) = await accept(store, event(0))
        (claimed,) = await claim(store)
        answer = outcome(response=bytes(20_000))
        store._connection.execute("PRAGMA max_page_count = 1")  # noqa: SLF001 - no disk is full here
        large = [event(number, body=bytes(4000)) for number in range(1, 30)]
        refusals = await ask_together(store, *large)
        assert all(isinstance(one, StoreUnavailable) and "full" in str(one) for one in refusals)
        assert rows(path, "SELECT (SELECT count(*) FROM events), (SELECT count(*) FROM dedupe_keys)") == [
            (1, 1)
        ]
        with pytest.raises(StoreUnavailable, match="full"):
            await store.record(claimed, answer, Delivered(), now=NOW, yields_at=None)
        store._connection.execute("PRAGMA max_page_count = 1000000")  # noqa: SLF001 - room again
        assert (await store.record(claimed, answer, Delivered(), now=NOW, yields_at=None)).counted
        assert [one.status for one in await accept(store, *large)] == ["accepted"] * 29
    assert rows(path, "SELECT count(*) FROM events") == [(30,)]


async def test_more_waiting_tasks_than_the_bound_are_refused_at_once_and_the_others_done(path):
    async with open_store(path) as store:
        async with standing_still(store):
            waiting = [
                asyncio.ensure_future(store.accept(event(number), same_id_is_duplicate=False))
                for number in range(MAX_WAITING + 50)
            ]
            done, _ = await asyncio.wait(waiting, timeout=0.2)
            assert len(done) == 50
            assert all(isinstance(one.exception(), StoreUnavailable) for one in done)
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert sum(not isinstance(one, Exception) for one in results) == MAX_WAITING


async def test_what_waits_is_bounded_in_bytes_too(path):
    large = bytes(MAX_WAITING_BYTES // 8)
    async with open_store(path) as store:
        async with standing_still(store):
            waiting = [
                asyncio.ensure_future(store.accept(event(number, body=large), same_id_is_duplicate=False))
                for number in range(10)
            ]
            done, _ = await asyncio.wait(waiting, timeout=0.2)
            assert len(done) == 2
            assert all(isinstance(one.exception(), StoreUnavailable) for one in done)
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert sum(not isinstance(one, Exception) for one in results) == 8
        assert (await accept(store, event(99)))[0].status == "accepted"


@pytest.mark.parametrize(
    ("body_bytes", "on_the_loop"), [(1000, True), (MAX_SHORT_BYTES + 1, False)], ids=["few", "many"]
)
async def test_the_event_loop_executes_what_is_short_and_never_waits_for_the_disk(
    path, body_bytes, on_the_loop
):
    threads = {}

    def note(statement):
        threads[statement.split()[0]] = threading.current_thread() is threading.main_thread()

    async with open_store(path) as store:
        store._connection.set_trace_callback(note)  # noqa: SLF001 - told of each statement by the thread that runs it
        await accept(store, event(1, body=bytes(body_bytes)))
        store._connection.set_trace_callback(None)  # noqa: SLF001
    assert threads["INSERT"] is on_the_loop
    assert threads["COMMIT"] is False


async def test_a_file_that_another_program_has_locked_holds_up_neither_the_loop_nor_for_good(path):
    async with open_store(path) as store:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        asked = asyncio.ensure_future(store.accept(event(1), same_id_is_duplicate=False))
        for _ in range(20):
            async with asyncio.timeout(1):
                await asyncio.sleep(0.01)
        assert not asked.done()
        other.execute("COMMIT")
        other.close()
        assert (await asked).status == "accepted"


async def test_a_task_whose_caller_went_away_is_done_and_the_others_get_their_answers(path):
    async with open_store(path) as store:
        async with standing_still(store):
            asked = [
                asyncio.ensure_future(store.accept(event(number), same_id_is_duplicate=False))
                for number in range(3)
            ]
            await asyncio.sleep(0)
            asked[1].cancel()
        results = await asyncio.gather(*asked, return_exceptions=True)
        assert isinstance(results[1], asyncio.CancelledError)
        assert [results[0].status, results[2].status] == ["accepted", "accepted"]
        assert numbers(await claim(store)) == [0, 1, 2]


async def test_reads_do_not_wait_for_the_writer(path):
    async with open_store(path) as store:
        await accept(store, event(1))
        async with standing_still(store), asyncio.timeout(5):
            assert await store.event(event(1).id) is not None
            assert (await store.stats()).deliveries[A, "pending"] == 1


async def test_figures_do_not_wait_for_a_long_list(path):
    going_on = threading.Event()
    async with open_store(path) as store:
        listing = asyncio.ensure_future(store._lists.read(lambda _: going_on.wait(20)))  # noqa: SLF001 - a list of millions
        async with asyncio.timeout(5):
            await store.stats()
        going_on.set()
        assert await listing


async def test_a_clock_step_that_cannot_be_stored_is_stored_before_anything_else_is(path):
    async with open_store(path) as store:
        await accept(store, event(1))
        store._connection.execute("PRAGMA query_only = ON")  # noqa: SLF001 - a disk that takes no writes
        stepping = asyncio.ensure_future(store.clock_stepped(1000))
        with pytest.raises(StoreUnavailable):
            await claim(store, now=NOW + 1000)
        assert not stepping.done()
        store._connection.execute("PRAGMA query_only = OFF")  # noqa: SLF001 - it does again
        assert await claim(store, now=NOW + 999) == [], "it waits in the time of the new clock"
        assert numbers(await claim(store, now=NOW + 1000)) == [1]
        await stepping


async def test_a_clock_step_that_was_never_stored_is_given_up_with_the_store(path):
    async with open_store(path) as store:
        store._connection.execute("PRAGMA query_only = ON")  # noqa: SLF001 - a disk that takes no writes
        stepping = asyncio.ensure_future(store.clock_stepped(1000))
        with pytest.raises(StoreUnavailable):
            await claim(store)
    with pytest.raises(StoreUnavailable):
        await stepping


@pytest.mark.parametrize("store_is_ill", [False, True], ids=["at once", "once the store can"])
async def test_a_lease_for_a_caller_that_was_cancelled_as_its_result_came_is_given_back(path, store_is_ill):
    async with open_store(path) as store:
        asked = asyncio.ensure_future(
            store.accept(event(1), same_id_is_duplicate=False, leases={A: NOW + 30_000})
        )
        await asyncio.sleep(0)
        end = store._writer._end  # noqa: SLF001 - the one moment between a result and the waking of who waits for it

        def end_and_cancel(*arguments):
            end(*arguments)
            asked.cancel()
            store._connection.execute(f"PRAGMA query_only = {store_is_ill}")  # noqa: SLF001 - a disk that takes no writes

        store._writer._end = end_and_cancel  # noqa: SLF001
        with pytest.raises(asyncio.CancelledError):
            await asked
        store._writer._end = end  # noqa: SLF001
        if store_is_ill:
            with pytest.raises(StoreUnavailable):
                await store.ping()
            store._connection.execute("PRAGMA query_only = OFF")  # noqa: SLF001
        async with asyncio.timeout(10):
            while not (claims := await claim(store)):
                await asyncio.sleep(0.02)
        assert (numbers(claims), claims[0].attempt) == ([1], 2)


async def test_whatever_a_task_raises_or_whoever_is_told_of_a_commit_the_others_are_answered(path):
    def broken(_seconds, _tasks):
        raise RuntimeError("no metrics")

    def stop(_):
        raise StopIteration

    loop = asyncio.get_running_loop()
    told = []
    loop.set_exception_handler(lambda _, context: told.append(context["exception"]))
    async with asyncio.timeout(10), open_store(path, on_commit=broken) as store:
        stopped = asyncio.ensure_future(store._writer.do(stop))  # noqa: SLF001 - no statement of the store's does that
        asked = [
            asyncio.ensure_future(store.accept(event(number), same_id_is_duplicate=False))
            for number in range(3)
        ]
        with pytest.raises(RuntimeError, match="StopIteration"):
            await stopped
        assert [(await one).status for one in asked] == ["accepted"] * 3
    loop.set_exception_handler(None)
    assert {str(error) for error in told} == {"no metrics"}


async def test_a_clock_step_that_could_not_be_stored_is_tried_once_more_at_the_end(path):
    async with open_store(path) as store:
        store._connection.execute("PRAGMA query_only = ON")  # noqa: SLF001 - a disk that takes no writes
        stepping = asyncio.ensure_future(store.clock_stepped(1000))
        with pytest.raises(StoreUnavailable):
            await store.ping()
        store._connection.execute("PRAGMA query_only = OFF")  # noqa: SLF001 - it does again
    await stepping
    assert rows(path, "SELECT offset_ms FROM clock") == [(1000,)]


async def test_a_store_whose_event_loop_ended_under_it_can_be_closed_from_another(path):
    def abandoned():
        loop = asyncio.new_event_loop()
        store = SqliteStore(path, destinations=[A], now=NOW, on_commit=lambda _seconds, _tasks: None)
        asked = loop.create_task(store.ping())
        loop.run_until_complete(asyncio.sleep(0))
        asked.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
        return store

    store = await asyncio.to_thread(abandoned)
    async with asyncio.timeout(10):
        await store.close()


async def test_no_prepared_statement_holds_on_to_much_content(path):
    taken_out = []

    def note(statement):
        if statement.startswith("\nINSERT OR FAIL INTO events"):
            taken_out.append(len(statement) < 1000)

    async with open_store(path) as store:
        store._connection.set_trace_callback(note)  # noqa: SLF001 - with the values that it has
        await accept(store, event(1, body=b"{}"))
        assert taken_out == [True], "little is left where it is"
        taken_out.clear()
        await accept(store, event(2, body=bytes(300_000)))
        store._connection.set_trace_callback(None)  # noqa: SLF001
    assert taken_out == [False, True]
