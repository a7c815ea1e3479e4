"""Rate limits: nobody asks before the time, then one tries, then everyone may."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from tests.support.clock import ManualClock
from tests.support.simulation.loop import VirtualLoop
from transcriber.backoff import Backoff
from transcriber.errors import SpeechError
from transcriber.queue.pace import LONGEST_PAUSE_SECONDS, Pace


class World:
    """A pace in time that only the test moves. A run asks, and ends as the test says."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.loop = VirtualLoop(self.clock)
        self.pace = Pace(backoff=Backoff(first_seconds=1, longest_seconds=256), chance=lambda: 0.5)
        self.inside: dict[int, tuple[Callable[[], None], Any]] = {}
        self.free: list[int] = []

    def run(self, number: int) -> None:
        async def run() -> None:
            ended = self.loop.create_future()
            async with self.pace.turn() as works:
                self.inside[number] = (works, ended)
                try:
                    await ended
                finally:
                    del self.inside[number]

        self.begin(run())

    def ask_free(self, number: int) -> None:
        async def ask() -> None:
            await self.pace.free()
            self.free.append(number)

        self.begin(ask())

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = self.loop.create_task(work)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        self.loop.settle()

    def works(self, number: int) -> None:
        self.inside[number][0]()
        self.loop.settle()

    def end(self, number: int, error: Exception | None = None) -> None:
        _, ended = self.inside[number]
        if error is None:
            ended.set_result(None)
        else:
            ended.set_exception(error)
        self.loop.settle()

    def limit(self, number: int, seconds: float | None) -> None:
        limited = SpeechError("x", "y", retryable=True, retry_after_seconds=seconds, pauses_engine=True)
        self.end(number, limited)

    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.loop.settle()

    async def left(self) -> float:
        return self.pace.seconds_left()

    def seconds_left(self) -> float:
        return self.loop.run_until_complete(self.left())


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    for task in asyncio.all_tasks(world.loop):
        task.cancel()
    world.loop.settle()
    world.loop.close()


def test_without_a_limit_everyone_may_ask_at_once(world: World) -> None:
    for number in range(4):
        world.run(number)
    world.ask_free(0)
    assert set(world.inside) == {0, 1, 2, 3}
    assert world.free == [0]


@pytest.mark.parametrize("seconds", [2.5, 60.0, 3_600.0])
def test_nobody_asks_before_the_time_is_over_and_then_one_does(world: World, seconds: float) -> None:
    world.run(0)
    world.limit(0, seconds)
    for number in (1, 2, 3):
        world.run(number)
    world.wait(seconds - 0.001)
    assert not world.inside
    world.wait(0.001)
    assert set(world.inside) == {1}


def test_once_the_one_that_tries_has_worked_everyone_may_ask_while_it_still_runs(world: World) -> None:
    world.run(0)
    world.limit(0, 5)
    for number in (1, 2, 3):
        world.run(number)
    world.wait(5)
    world.works(1)
    assert set(world.inside) == {1, 2, 3}


def test_one_that_is_limited_again_begins_another_pause_and_one_that_fails_lets_the_next_try(
    world: World,
) -> None:
    world.run(0)
    world.limit(0, 5)
    for number in (1, 2, 3):
        world.run(number)
    world.wait(5)
    world.limit(1, 7)
    world.wait(6.9)
    assert not world.inside
    world.wait(0.1)
    assert set(world.inside) == {2}
    world.end(2, ValueError("the recording is no good"))
    assert set(world.inside) == {3}


def test_a_run_of_before_the_pause_neither_ends_it_nor_counts_as_a_try(world: World) -> None:
    for number in (0, 1):
        world.run(number)
    world.limit(0, 5)
    world.works(1)
    for number in (2, 3):
        world.run(number)
    assert set(world.inside) == {1}
    world.wait(5)
    world.works(1)
    world.end(1)
    assert set(world.inside) == {2}


def test_a_try_of_before_another_pause_opens_nothing_after_it(world: World) -> None:
    world.run(0)
    world.limit(0, 5)
    for number in (1, 2):
        world.run(number)
    world.wait(5)
    world.works(1)
    world.limit(2, 5)
    for number in (3, 4):
        world.run(number)
    world.wait(5)
    assert set(world.inside) == {1, 3}
    world.works(1)
    world.end(1)
    assert set(world.inside) == {3}


def test_a_try_that_another_limit_overtook_opens_nothing(world: World) -> None:
    for number in (0, 1):
        world.run(number)
    world.limit(0, 5)
    world.run(2)
    world.wait(5)
    world.limit(1, 5)
    world.wait(5)
    for number in (3, 4):
        world.run(number)
    assert set(world.inside) == {2, 3}
    world.works(2)
    assert set(world.inside) == {2, 3}


def test_new_work_is_taken_neither_in_a_pause_nor_beside_the_one_that_tries(world: World) -> None:
    world.run(0)
    world.limit(0, 5)
    world.ask_free(1)
    assert world.free == []
    world.wait(5)
    assert world.free == [1]
    world.run(1)
    world.ask_free(2)
    assert world.free == [1]
    world.works(1)
    assert world.free == [1, 2]


def test_what_waits_in_hand_comes_before_new_work(world: World) -> None:
    for number in (0, 1):
        world.run(number)
    world.limit(0, 5)
    world.run(2)
    world.run(3)
    world.ask_free(4)
    world.wait(5)
    assert (set(world.inside), world.free) == ({1, 2}, [])
    world.end(2, ValueError())
    assert (set(world.inside), world.free) == ({1, 3}, [])


def test_a_limit_without_a_time_is_waited_for_longer_each_time_until_the_engine_works(world: World) -> None:
    waited = []
    for number, asked in enumerate([None, None, 0.0, None]):
        world.run(number)
        world.limit(number, asked)
        waited.append(world.seconds_left())
        world.wait(waited[-1])
    assert waited == pytest.approx([1, 2, 4, 8])
    world.run(9)
    world.works(9)
    world.limit(9, None)
    assert world.seconds_left() == pytest.approx(1)


def test_limits_met_together_count_once_and_the_longest_holds(world: World) -> None:
    for number in (0, 1, 2):
        world.run(number)
    world.limit(0, 5)
    world.limit(1, 30)
    world.limit(2, None)
    assert world.seconds_left() == 30
    world.wait(30)
    world.run(3)
    world.limit(3, None)
    assert world.seconds_left() == pytest.approx(2)


def test_no_limit_holds_longer_than_an_hour(world: World) -> None:
    world.run(0)
    world.limit(0, 1e9)
    assert world.seconds_left() == LONGEST_PAUSE_SECONDS


def test_a_run_that_is_cancelled_while_it_waits_or_tries_holds_up_nobody(world: World) -> None:
    world.run(0)
    world.limit(0, 5)

    async def wait() -> None:
        async with world.pace.turn():
            pass

    waiting = world.loop.create_task(wait())
    world.loop.settle()
    waiting.cancel()
    world.loop.settle()
    world.wait(5)
    world.run(1)
    world.run(2)
    assert set(world.inside) == {1}
    world.inside[1][1].cancel()
    world.loop.settle()
    assert set(world.inside) == {2}


class LeapingLoop(asyncio.SelectorEventLoop):
    """Its time leaps by what `leaps` has, at one look after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.leaps: list[float] = []
        self._ahead = 0.0

    def time(self) -> float:
        self._ahead += self.leaps.pop(0) if self.leaps else 0.0
        return super().time() + self._ahead


def test_a_pause_that_ends_between_two_looks_at_the_clock_keeps_nobody_waiting() -> None:
    pace = Pace(backoff=Backoff(first_seconds=1, longest_seconds=256), chance=lambda: 0.5)
    with asyncio.Runner(loop_factory=LeapingLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, LeapingLoop)

        async def scenario() -> None:
            pace.pause(5)
            async with asyncio.timeout(8):
                loop.leaps = [4.9, 0.2]
                await pace.free()

        runner.run(scenario())
