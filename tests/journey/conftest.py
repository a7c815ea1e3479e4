"""One product for the journeys that do not need their own."""

import wave
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.product import DATA, SERVICES, Journey, journey


@pytest.fixture(scope="session")
def running(tmp_path_factory) -> Iterator[Journey]:
    with journey(tmp_path_factory.mktemp("journey")) as started:
        yield started


@pytest.fixture
def product(running) -> Journey:
    """Everything runs, whatever an earlier test has killed."""
    if down := [name for name in SERVICES if not running.stack[name].running]:
        running.stack.start(*down)
    return running


@pytest.fixture(scope="session")
def long_speech(tmp_path_factory) -> Path:
    """Three samples three times over, 63 s: there is time to do something to its job.

    Not one sample over and over: Whisper takes repetition for a failure, and then hears by chance.
    """
    path = tmp_path_factory.mktemp("audio") / "long.wav"
    with wave.open(str(path), "wb") as long:
        long.setparams((1, 2, 16_000, 0, "NONE", ""))
        for name in ("jfk", "austen-0870", "austen-0880") * 3:
            with wave.open(str(DATA / f"{name}.wav")) as sample:
                long.writeframes(sample.readframes(sample.getnframes()))
    return path
