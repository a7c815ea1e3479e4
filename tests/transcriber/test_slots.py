"""How many jobs a worker runs at a time: as many as its step can, whatever became of those before."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from tests.support.job_bench import Bench
from transcriber.backoff import Backoff
from transcriber.errors import SpeechError
from transcriber.metrics import Metrics, RunOutcome
from transcriber.model import Assignment, JobId
from transcriber.queue.pace import Pace
from transcriber.queue.run import Patience, Runs
from transcriber.queue.worker import Worker

AT_ONCE = Backoff(first_seconds=0, longest_seconds=0)


class HeldStep:
    """Each run waits until it is let go, and then asks for another attempt."""

    name = "bench"
    concurrency = 2

    def __init__(self) -> None:
        self.held: list[asyncio.Event] = []

    async def prepare(self) -> None:
        pass

    async def take(self, assignment: Assignment, over: Callable[[JobId], None]) -> RunOutcome:  # noqa: ARG002
        held = asyncio.Event()
        self.held.append(held)
        await held.wait()
        raise SpeechError("engine_unavailable", "try again", retryable=True)


@asynccontextmanager
async def working(bench: Bench, step: HeldStep) -> AsyncIterator[None]:
    pace, metrics = Pace(backoff=AT_ONCE, chance=lambda: 0.5), Metrics()
    runs = Runs(
        work=bench.work,
        step=step,
        metrics=metrics,
        pace=pace,
        patience=Patience(AT_ONCE),
        chance=lambda: 0.5,
        now=bench.clock,
    )
    worker = Worker(work=bench.work, runs=runs, step=step, pace=pace, metrics=metrics, now=bench.clock)
    task = asyncio.create_task(worker.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not reached():
            await asyncio.sleep(0.001)


async def everyone_moves() -> None:
    """Whoever can go on without the store has done so."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_job_that_is_taken_again_before_its_run_has_quite_ended_costs_no_slot(bench: Bench) -> None:
    step, go, gone = HeldStep(), threading.Event(), threading.Event()
    await bench.submit()
    async with working(bench, step):
        await until(lambda: len(step.held) == 1)
        before = asyncio.create_task(bench.database.transaction(lambda _: go.wait(10)))
        await everyone_moves()
        step.held[0].set()
        await everyone_moves()  # its end is on the way to the store
        bench.work.wake()
        await everyone_moves()  # and behind it, whoever takes the next job
        after = asyncio.create_task(bench.database.transaction(lambda _: gone.set()))
        await everyone_moves()
        go.set()
        assert gone.wait(10)  # the event loop hears of all of them at once
        await asyncio.gather(before, after)
        await until(lambda: len(step.held) == 2)
        step.held[1].set()
        await bench.submit("bob")
        await until(lambda: len(step.held) == 4)


class UnspeakableStep(HeldStep):
    """Its first run fails in words that nothing can store."""

    async def take(self, assignment: Assignment, over: Callable[[JobId], None]) -> RunOutcome:
        if not self.held:
            self.held.append(asyncio.Event())
            raise SpeechError("engine_refused", "half a pair: \ud800")
        return await super().take(assignment, over)


async def test_a_job_whose_end_cannot_be_noted_is_tried_again_and_not_kept_in_hand_for_ever(
    bench: Bench,
) -> None:
    await bench.submit()
    step = UnspeakableStep()
    async with working(bench, step):
        await until(lambda: len(step.held) == 2)
