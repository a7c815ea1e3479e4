"""Whose turn it is: nobody's many jobs keep anybody else's few waiting."""

import asyncio
import itertools
import sqlite3
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.job_bench import Bench
from transcriber import states
from transcriber.model import Failure, JobId, Status, job_data
from transcriber.store import rows
from transcriber.store.rows import SUSPECT_CRASHES

BUSY = Failure("engine_unavailable", "try again")


async def test_a_single_job_comes_next_however_many_another_user_has_queued(bench: Bench) -> None:
    many = [await bench.submit("ada") for _ in range(50)]
    assert [await bench.claim() for _ in range(4)] == many[:4]
    single = await bench.submit("bob")
    await bench.complete(many[0])
    assert await bench.claim() == single


async def test_who_has_nothing_in_hand_comes_before_who_was_served_longer_ago(bench: Bench) -> None:
    of = {user: [await bench.submit(user) for _ in range(2)] for user in ("ada", "bob")}
    assert [await bench.claim() for _ in range(2)] == [of["ada"][0], of["bob"][0]]
    await bench.complete(of["bob"][0])
    assert await bench.claim() == of["bob"][1]


async def test_a_postponed_job_is_not_taken_before_its_time(bench: Bench) -> None:
    identity = await bench.submit()
    await bench.claim()
    await bench.work.postpone(identity, BUSY, 2)
    bench.clock.ms += 1_999
    assert await bench.claim() is None
    bench.clock.ms += 1
    assert await bench.claim() == identity


async def test_a_clock_that_was_set_back_postpones_no_job_for_as_long(bench: Bench) -> None:
    identity = await bench.submit()
    await bench.claim()
    await bench.work.postpone(identity, BUSY, 3_600)
    bench.clock.ms -= 24 * 3_600_000
    assert await bench.work.next_due_at() == bench.clock.ms
    assert await bench.claim() == identity


async def test_users_with_as_many_jobs_in_hand_take_turns(bench: Bench) -> None:
    of = {user: [await bench.submit(user) for _ in range(3)] for user in ("ada", "bob", "eve")}
    taken = []
    for _ in range(9):
        taken.append(await bench.claim())
        await bench.complete(taken[-1])
    assert taken == [of[user][number] for number in range(3) for user in ("ada", "bob", "eve")]


async def test_a_postponed_job_waits_behind_those_accepted_before_it_was_postponed(bench: Bench) -> None:
    first, second = await bench.submit(), await bench.submit()
    assert await bench.claim() == first
    await bench.work.postpone(first, BUSY, 0)
    third = await bench.submit()
    assert [await bench.claim() for _ in range(3)] == [second, first, third]


async def test_a_job_of_a_killed_process_keeps_its_place(bench: Bench) -> None:
    first, second = await bench.submit(), await bench.submit()
    assert await bench.claim() == first
    await bench.recover()
    assert [await bench.claim() for _ in range(2)] == [first, second]


async def test_jobs_that_were_in_hand_at_two_crashes_are_tried_one_at_a_time_before_all_others(
    bench: Bench,
) -> None:
    suspects = [await bench.submit() for _ in range(2)]
    for _ in range(2):
        assert [await bench.claim() for _ in range(2)] == suspects
        await bench.recover()
    other = await bench.submit("bob")
    for suspect in suspects:
        assert await bench.claim() == suspect
        assert await bench.claim() is None
        assert await bench.work.next_due_at() is None
        await bench.complete(suspect)
    assert await bench.claim() == other


async def test_a_suspect_whose_process_lived_is_none_any_more(bench: Bench) -> None:
    suspect = await bench.submit()
    for _ in range(2):
        assert await bench.claim() == suspect
        await bench.recover()
    other = await bench.submit()
    assert await bench.claim() == suspect
    await bench.work.postpone(suspect, BUSY, 0)
    assert [await bench.claim() for _ in range(2)] == [other, suspect]


async def test_a_cancelled_job_is_in_nobodys_hand(bench: Bench) -> None:
    first, second = await bench.submit("ada"), await bench.submit("bob")
    assert await bench.claim() == first
    await bench.jobs.cancel(first)
    again = await bench.submit("ada")
    assert await bench.claim() == second
    assert await bench.claim() == again


@dataclass
class Known:
    """What the model knows of a job."""

    identity: JobId
    user: str
    position: int
    behind: int = 0
    due: int = 0
    turn: int = 0
    in_hand: bool = False
    over: bool = False
    crashes: int = 0


class Model:
    """The order of turns as the documentation has it, over a plain list."""

    def __init__(self) -> None:
        self.jobs: list[Known] = []
        self.turns = 0

    def next(self, now: int) -> Known | None:
        if any(job.in_hand and job.crashes >= SUSPECT_CRASHES for job in self.jobs):
            return None
        due = [job for job in self.jobs if not job.over and not job.in_hand and job.due <= now]
        return min(due, key=self._rank, default=None)

    def _rank(self, job: Known) -> tuple[int, ...]:
        of_user = [other for other in self.jobs if other.user == job.user]
        return (
            job.crashes < SUSPECT_CRASHES,
            sum(other.in_hand for other in of_user),
            max(other.turn for other in of_user),
            max(job.behind, job.position),
            job.behind,
            job.position,
        )


STEP = st.one_of(
    st.tuples(st.just("submit"), st.sampled_from("aabc")),
    st.tuples(st.sampled_from(["claim", "claim", "complete", "cancel", "stop", "kill"]), st.integers(0, 9)),
    st.tuples(st.sampled_from(["postpone", "limit"]), st.integers(0, 3)),
    st.tuples(st.just("wait"), st.integers(1, 3)),
)


@given(st.lists(STEP, min_size=10, max_size=30))
@settings(max_examples=40, deadline=None)
def test_whatever_happens_the_next_job_is_the_models(steps: list[tuple[str, object]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        try:
            asyncio.run(_follow(bench, Model(), steps))
        finally:
            bench.database.close()


async def _follow(bench: Bench, model: Model, steps: list) -> None:
    for step, number in steps:
        held = [job for job in model.jobs if job.in_hand]
        match step:
            case "submit":
                identity = await bench.submit(number)
                model.jobs.append(Known(identity, number, position=len(model.jobs) + 1))
            case "claim":
                expected = model.next(bench.clock.ms)
                assert await bench.claim() == (expected and expected.identity)
                if expected:
                    model.turns += 1
                    expected.in_hand, expected.turn = True, model.turns
            case "complete" | "cancel" if held:
                job = held[number % len(held)]
                await (bench.complete if step == "complete" else bench.jobs.cancel)(job.identity)
                job.in_hand, job.over = False, True
            case "postpone" | "limit" if held:
                postpone = bench.work.postpone if step == "postpone" else bench.work.wait_for_engine
                await postpone(held[0].identity, BUSY, number)
                held[0].in_hand, held[0].behind, held[0].crashes = False, len(model.jobs), 0
                held[0].due = bench.clock.ms + 1000 * number
            case "stop" | "kill":
                await (bench.work.give_all_back if step == "stop" else bench.recover)()
                for job in held:
                    job.in_hand = False
                    job.crashes += step == "kill"
            case "wait":
                bench.clock.ms += 1000 * number


async def test_neither_the_next_job_nor_the_counts_take_longer_the_more_jobs_are_kept(bench: Bench) -> None:
    """Counted in steps of SQLite's machine, which no other load changes."""
    await bench.database.transaction(lambda connection: _fill(connection, 300, "queued"))
    before = await bench.database.transaction(_steps)
    await bench.database.transaction(lambda connection: _fill(connection, 3_000, "completed"))
    assert await bench.database.transaction(_steps) <= 1.1 * before


@pytest.mark.parametrize(("user_id", "status"), [("user-7", None), (None, "queued"), ("user-7", "queued")])
async def test_a_page_takes_no_longer_the_more_jobs_of_others_are_kept(
    bench: Bench, user_id: str | None, status: Status | None
) -> None:
    def steps(connection: sqlite3.Connection) -> int:
        counted = itertools.count()
        connection.set_progress_handler(lambda: next(counted) < 0, 1)
        page = rows.page(connection, user_id=user_id, status=status, before=None, limit=50)
        connection.set_progress_handler(None, 1)
        assert len(page.items) == 8
        return next(counted)

    await bench.database.transaction(lambda connection: _fill(connection, 8, "queued", user="user-7"))
    before = await bench.database.transaction(steps)
    await bench.database.transaction(lambda connection: _fill(connection, 3_000, "completed", user="user-8"))
    assert await bench.database.transaction(steps) <= 1.1 * before


def _fill(connection: sqlite3.Connection, count: int, status: Status, *, user: str | None = None) -> None:
    for number in range(count):
        identity = JobId(f"{status}-job-of-the-tests-{number:06}")
        job = states.create(identity, user or f"user-{number % 20}", 1)
        connection.execute(
            "INSERT INTO jobs (job_id, data, changed_at, digest, options, audio, extension, size_bytes)"
            " VALUES (?, ?, 1, '', '{}', 'x', 'wav', 5)",
            (job.job_id, job_data(replace(job, status=status))),
        )


def _steps(connection: sqlite3.Connection) -> int:
    counted = itertools.count()
    connection.set_progress_handler(lambda: next(counted) < 0, 10)
    assert rows.next_waiting(connection, 1_000, to_fetch=False) is not None
    assert rows.census(connection).by_status["queued"] == 300
    assert rows.count_waiting(connection) == 300
    connection.set_progress_handler(None, 10)
    return next(counted)
