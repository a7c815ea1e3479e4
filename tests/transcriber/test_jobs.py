"""The queue and the outbox over a real database: no state without its event, no event without its state."""

import asyncio
import json
import sqlite3
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.job_bench import HEARD, Bench, files
from tests.transcriber.conftest import Api, job_id
from transcriber import states
from transcriber.errors import JobOverError, StoreError
from transcriber.model import Failure, JobId, Transcript
from transcriber.queue.run import MAX_ATTEMPTS
from transcriber.results import fit
from transcriber.store import rows
from transcriber.store.changes import record
from transcriber.store.database import Database
from transcriber.store.outbox import Event


def data_of(event: Event) -> str:
    return event.body.split('"data":', 1)[1][:-1]


async def test_every_step_is_one_event_numbered_without_gap_and_read_alike(bench: Bench) -> None:
    identity = await bench.submit()
    sent = []

    async def step_was_sent() -> None:
        (event,) = await bench.send_all()
        assert data_of(event) == await bench.data(identity)
        sent.append(event)

    await step_was_sent()
    await bench.work.claim()
    await step_was_sent()
    for percent in (10, 50):
        await bench.work.progress(identity, percent)
        await step_was_sent()
    await bench.work.complete(identity, HEARD, fit(HEARD, ""))
    await step_was_sent()
    await bench.jobs.delete(identity)
    await step_was_sent()
    assert [event.step for event in sent] == [
        "queued",
        "started",
        "progress",
        "progress",
        "completed",
        "deleted",
    ]
    assert [event.sequence for event in sent] == [1, 2, 3, 4, 5, 6]
    assert len({event.webhook_id for event in sent}) == 6


async def test_progress_that_was_never_sent_is_replaced_in_place(bench: Bench) -> None:
    identity = await bench.submit()
    await bench.work.claim()
    for percent in (10, 20, 30):
        await bench.work.progress(identity, percent)
    await bench.work.fail(identity, Failure("x", "y"))
    sent = await bench.send_all()
    assert [(event.sequence, event.step) for event in sent] == [
        (1, "queued"),
        (2, "started"),
        (3, "progress"),
        (4, "failed"),
    ]
    assert json.loads(sent[2].body)["data"]["progress"] == 30


async def test_progress_that_was_tried_once_never_changes(bench: Bench) -> None:
    identity = await bench.submit()
    await bench.work.claim()
    await bench.send_all()
    await bench.work.progress(identity, 10)
    (tried,) = await bench.due()
    await bench.outbox.postpone(tried, 0, status=500, error="answered 500")
    await bench.work.progress(identity, 20)
    again, later = await bench.send_all()
    assert (again.webhook_id, again.body, again.sequence) == (tried.webhook_id, tried.body, 3)
    assert again.attempt == 2
    assert (later.sequence, json.loads(later.body)["data"]["progress"]) == (4, 20)


async def test_progress_goes_forward_only_and_100_is_kept_for_the_end(bench: Bench) -> None:
    identity = await bench.submit()
    await bench.work.claim()
    await bench.send_all()
    for percent in (40, 30, 40):
        await bench.work.progress(identity, percent)
    assert len(await bench.send_all()) == 1
    await bench.work.progress(identity, 100)
    assert json.loads(await bench.data(identity))["progress"] == 99


async def test_a_failing_event_holds_back_its_own_job_only(bench: Bench) -> None:
    first, second = await bench.submit(), await bench.submit()
    events = await bench.due()
    stuck = next(event for event in events if event.job_id == first)
    await bench.outbox.postpone(stuck, 60, status=None, error="no answer")
    other = next(event for event in events if event.job_id == second)
    await bench.outbox.postpone(other, 0, status=None, error="no answer")
    await bench.jobs.cancel(first)
    await bench.jobs.cancel(second)
    sent = await bench.send_all()
    assert [(event.job_id, event.sequence) for event in sent] == [(second, 1), (second, 2)]
    bench.clock.ms += 60_000
    assert [event.sequence for event in await bench.send_all()] == [1, 2]


async def test_a_clock_that_steps_back_makes_no_later_time_smaller(bench: Bench) -> None:
    identity = await bench.submit()
    bench.clock.ms -= 500_000
    await bench.work.claim()
    bench.clock.ms += 100
    await bench.work.complete(identity, HEARD, fit(HEARD, ""))
    times = json.loads(await bench.data(identity))["timestamps"]
    assert times == {"createdAt": 1_000_000, "startedAt": 1_000_000, "completedAt": 1_000_000}


async def test_an_event_is_sent_at_once_although_the_clock_has_stepped_back(bench: Bench) -> None:
    identity = await bench.submit()
    bench.clock.ms -= 500_000
    await bench.work.claim()
    sent = [event.step for _ in range(2) for event in await bench.send_all() if event.job_id == identity]
    assert sent[:2] == ["queued", "started"]


async def test_the_oldest_job_is_taken_first_and_only_once(bench: Bench) -> None:
    identities = [await bench.submit() for _ in range(3)]
    claimed = [await bench.work.claim() for _ in range(4)]
    assert [claim and claim.job.job_id for claim in claimed] == [*identities, None]


async def test_a_job_that_was_given_back_keeps_its_first_start_and_sends_nothing(bench: Bench) -> None:
    identity = await bench.submit()
    await bench.work.claim()
    await bench.send_all()
    before = await bench.data(identity)
    bench.clock.ms += 5_000
    await bench.work.give_all_back()
    again = await bench.work.claim()
    assert again is not None
    assert again.attempt == 1
    assert await bench.data(identity) == before
    assert await bench.send_all() == []


async def test_a_job_of_a_process_that_died_is_free_after_recovery(bench: Bench) -> None:
    identity = await bench.submit()
    await bench.work.claim()
    stray = bench.recordings.new_name()
    bench.recordings.path(stray).write_bytes(b"half an upload")
    assert await bench.recover() == 1
    again = await bench.work.claim()
    assert again is not None
    assert (again.job.job_id, again.attempt) == (identity, 2)
    assert not bench.recordings.path(stray).exists()
    assert bench.recordings.path(again.audio.name).exists()


async def test_a_job_that_ends_its_process_again_and_again_is_given_up(
    tmp_path: Path, start: Callable[..., Api]
) -> None:
    (tmp_path / "data").mkdir()
    bench = Bench(tmp_path / "data")
    identity = await bench.submit()
    for _ in range(MAX_ATTEMPTS):
        assert await bench.work.claim()
        await bench.recover()
    bench.database.close()
    assert start().until(identity, "failed")["error"]["code"] == "gave_up"


async def test_nothing_changes_a_job_that_is_over(bench: Bench) -> None:
    ended = []
    for end in ("complete", "fail", "cancel"):
        identity = await bench.submit()
        await bench.work.claim()
        if end == "complete":
            await bench.work.complete(identity, HEARD, fit(HEARD, ""))
        elif end == "fail":
            await bench.work.fail(identity, Failure("x", "y"))
        else:
            await bench.jobs.cancel(identity)
        ended.append(identity)
    for identity in ended:
        before = await bench.data(identity)
        with pytest.raises(JobOverError):
            await bench.work.progress(identity, 50)
        with pytest.raises(JobOverError):
            await bench.work.complete(identity, HEARD, fit(HEARD, ""))
        with pytest.raises(JobOverError):
            await bench.work.fail(identity, Failure("x", "y"))
        assert await bench.data(identity) == before
    assert await bench.work.claim() is None


async def completed(bench: Bench, identity: JobId) -> None:
    await bench.work.complete(identity, HEARD, fit(HEARD, "https://x"))


async def failed(bench: Bench, identity: JobId) -> None:
    await bench.work.fail(identity, Failure("x", "y"))


async def cancelled(bench: Bench, identity: JobId) -> None:
    await bench.jobs.cancel(identity)


async def deleted(bench: Bench, identity: JobId) -> None:
    await bench.jobs.delete(identity)


@pytest.mark.parametrize("end", [completed, failed, cancelled, deleted])
async def test_whoever_ends_a_job_wakes_all_who_wait_for_it(
    bench: Bench, end: Callable[[Bench, JobId], Coroutine]
) -> None:
    identity = await bench.submit()
    await bench.work.claim()
    waiting = [asyncio.create_task(bench.jobs.ended(identity)) for _ in range(3)]
    await bench.work.progress(identity, 50)
    assert not any(task.done() for task in waiting)
    await end(bench, identity)
    async with asyncio.timeout(5):
        ends = await asyncio.gather(*waiting)
    assert [snapshot.status for snapshot in ends] == [end.__name__] * 3
    assert await bench.jobs.ended(identity) == ends[0]


async def test_an_end_is_noticed_although_who_brought_it_about_was_cancelled(bench: Bench) -> None:
    identity = await bench.submit()
    begun, go = threading.Event(), threading.Event()

    def slowly(connection: sqlite3.Connection) -> None:
        begun.set()
        go.wait()
        row = rows.find(connection, identity)
        assert row is not None
        record(connection, states.cancel(row.job, bench.clock()), "cancelled", bench.clock())

    waiting = asyncio.create_task(bench.jobs.ended(identity))
    await bench.jobs.census()
    ending = asyncio.create_task(bench.store.change(identity, slowly))
    await asyncio.to_thread(begun.wait)
    ending.cancel()
    await asyncio.wait({ending})
    go.set()
    async with asyncio.timeout(5):
        snapshot = await waiting
    assert snapshot is not None
    assert snapshot.status == "cancelled"


async def test_a_result_whose_run_is_stopped_on_the_way_to_the_store_is_kept(bench: Bench) -> None:
    identity = await bench.submit()
    await bench.work.claim()
    gate = threading.Event()
    busy = asyncio.create_task(bench.database.transaction(lambda _: gate.wait(10)))
    run = asyncio.create_task(bench.complete(identity))
    await asyncio.sleep(0)  # both are asked for, and neither is done
    run.cancel()
    stopped = asyncio.create_task(bench.work.give_all_back())
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(busy, stopped)
    with suppress(asyncio.CancelledError):
        await run
    assert json.loads(await bench.data(identity))["status"] == "completed"


async def test_who_waits_for_a_job_that_there_is_not_is_told_so(bench: Bench) -> None:
    assert await bench.jobs.ended(JobId(job_id())) is None


async def test_who_waits_for_a_job_asks_the_store_only_when_that_job_changes(
    tmp_path: Path,
) -> None:
    class Counting(Database):
        count = 0

        async def transaction(self, work: Callable) -> object:
            self.count += 1
            return await super().transaction(work)

    bench = Bench(tmp_path, database=Counting)
    identity, other = await bench.submit(), await bench.submit()
    waiting = [asyncio.create_task(bench.jobs.ended(identity)) for _ in range(50)]
    await bench.jobs.census()
    bench.database.count = 0
    for percent in range(1, 21):
        await bench.work.progress(other, percent)
    assert bench.database.count == 20
    await bench.jobs.cancel(identity)
    await asyncio.gather(*waiting)
    bench.database.close()


async def test_a_failed_transaction_leaves_neither_state_nor_event(bench: Bench) -> None:
    identity = await bench.submit()
    before = await bench.data(identity)

    def half(connection) -> None:
        connection.execute("DELETE FROM events")
        connection.execute("UPDATE jobs SET data = '{}'")

    with pytest.raises(Exception, match="constraint"):
        await bench.database.transaction(half)
    assert await bench.data(identity) == before
    assert len(await bench.send_all()) == 1


async def test_a_full_disk_loses_one_transaction_and_not_the_next(bench: Bench) -> None:
    identity = await bench.submit()
    await bench.work.claim()
    (pages,) = await bench.database.transaction(lambda db: db.execute("PRAGMA page_count").fetchone())
    await bench.database.transaction(lambda db: db.execute(f"PRAGMA max_page_count = {pages}").fetchone())
    large = Transcript("x" * 200_000, "en", 1.0, (), None)
    with pytest.raises(sqlite3.OperationalError, match="full"):
        await bench.work.complete(identity, large, fit(large, ""))
    assert json.loads(await bench.data(identity))["status"] == "processing"
    await bench.database.transaction(lambda db: db.execute("PRAGMA max_page_count = 1000000").fetchone())
    await bench.work.complete(identity, large, fit(large, ""))
    assert [event.step for event in await bench.send_all()] == ["queued", "started", "completed"]


async def test_a_second_process_is_refused_the_folder_until_the_first_ends(tmp_path: Path) -> None:
    first = Database(tmp_path)
    with pytest.raises(StoreError, match="another transcriber is using"):
        Database(tmp_path)
    first.close()
    Database(tmp_path).close()


async def test_a_database_of_a_newer_release_is_refused(tmp_path: Path) -> None:
    database = Database(tmp_path)
    await database.transaction(lambda connection: connection.execute("PRAGMA user_version = 99"))
    database.close()
    with pytest.raises(StoreError, match="newer"):
        Database(tmp_path)


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "transcriber.db").write_bytes(b"not a database, but long enough to look at" * 100)
    with pytest.raises(StoreError, match="cannot be used"):
        Database(tmp_path)


async def test_a_deleted_transcript_leaves_no_trace_in_the_files(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    identity = await bench.submit()
    await bench.work.claim()
    secret = Transcript("a most peculiar sentence", "en", 1.0, (), None)
    await bench.work.complete(identity, secret, fit(secret, ""))
    await bench.send_all()
    await bench.jobs.delete(identity)
    bench.database.close()
    assert not [path for path in files(tmp_path) if b"most peculiar" in path.read_bytes()]


class Interrupted(Database):
    """After whatever is read next, `then` happens before anything else is."""

    then: Callable[[], Coroutine[object, object, object]] | None = None

    async def transaction(self, work):
        answer = await super().transaction(work)
        then, self.then = self.then, None
        if then is not None:
            await then()
        return answer


async def test_a_job_and_its_transcript_are_of_one_moment_whoever_deletes_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path, database=Interrupted)
    identity = await bench.submit()
    await bench.claim()
    await bench.complete(identity)
    bench.database.then = lambda: bench.jobs.delete(identity)
    moments = [await bench.jobs.heard(identity) for _ in range(2)]
    assert [(snapshot.status, transcript) for snapshot, transcript in moments] == [
        ("completed", HEARD),
        ("deleted", None),
    ]
    assert await bench.jobs.heard(JobId("a-job-that-nobody-knows")) is None
    bench.database.close()
