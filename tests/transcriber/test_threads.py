"""Work beside the event loop: it leaves the loop free, and ends when nobody waits for it."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.hostile_audio import wav_saying
from tests.support.speech import RATE
from transcriber.audio import cuts, measure, windows
from transcriber.threads import in_thread

Stopped = Callable[[], bool]


async def test_the_loop_turns_while_a_thread_works() -> None:
    turned = threading.Event()
    asyncio.get_running_loop().call_soon(turned.set)
    assert await in_thread(lambda: turned.wait(10), stop=threading.Event())


async def test_what_goes_wrong_in_a_thread_is_raised_where_it_is_waited_for() -> None:
    with pytest.raises(ZeroDivisionError):
        await in_thread(lambda: 1 / 0, stop=threading.Event())


@pytest.fixture(scope="module")
def long_recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A day, which takes much longer to decode than it takes to stop. The file is a hole: nothing of it is on the disk."""
    path = tmp_path_factory.mktemp("long") / "recording"
    length = 24 * 3_600 * RATE * 2
    with path.open("wb") as file:
        file.write(wav_saying(length, b""))
        file.truncate(44 + length)
    return path


@pytest.mark.parametrize(
    "work",
    [
        pytest.param(lambda path, stopped: measure(path, max_seconds=10**6, stopped=stopped), id="measure"),
        pytest.param(lambda path, stopped: list(windows(path, stopped=stopped)), id="decode"),
        pytest.param(lambda path, stopped: list(windows(path, start=10**9, stopped=stopped)), id="skip"),
        pytest.param(
            lambda path, stopped: list(
                cuts(path, path.with_name("part"), start=0, max_bytes=None, stopped=stopped)
            ),
            id="encode",
        ),
    ],
)
async def test_work_on_sound_has_ended_when_its_cancellation_returns(
    long_recording: Path, work: Callable[[Path, Stopped], object]
) -> None:
    stop, looked, ended = threading.Event(), threading.Event(), threading.Event()

    def stopped() -> bool:
        looked.set()
        return stop.is_set()

    def run() -> None:
        try:
            work(long_recording, stopped)
        finally:
            ended.set()

    task = asyncio.create_task(in_thread(run, stop=stop))
    assert await asyncio.to_thread(looked.wait, 10)
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    assert ended.is_set()
