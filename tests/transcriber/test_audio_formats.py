"""What recorders, phones and browsers write: told by its content, measured, decoded, and understood."""

import asyncio
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tests.support.audio_files import FORMATS, encoded
from tests.support.speech import RATE, SAID, samples
from tests.support.wer import word_error_rate
from transcriber.audio import identify, measure, windows
from transcriber.model import Audio, AudioName, Options
from transcriber.speech import Recording
from transcriber.speech.local import LocalEngine

EXTENSIONS = {
    "aac": "aac",
    "aiff": "aiff",
    "amr": "amr",
    "3gp": "mov",
    "flac": "flac",
    "m4a": "m4a",
    "mkv": "matroska",
    "mov": "mov",
    "mp3": "mp3",
    "mp4": "m4a",
    "ogg": "ogg",
    "w64": "w64",
    "wav": "wav",
    "webm": "webm",
}
MOST_WRONG = 0.1
"""The page says at most one word of the 22; another processor may round another word the other way."""


@cache
def engine() -> LocalEngine:
    made = LocalEngine()
    asyncio.run(made.prepare())
    return made


def loudness(sound: np.ndarray) -> np.ndarray:
    """Of each tenth of a second: what every codec keeps, whatever it does to the waves."""
    step = RATE // 10
    pieces = sound[: len(sound) // step * step].astype(np.float64).reshape(-1, step)
    return np.sqrt(np.square(pieces).mean(axis=1))


@pytest.mark.parametrize("name", FORMATS)
def test_every_common_format_is_known_and_decodes_to_what_was_recorded(name: str, tmp_path: Path) -> None:
    recorded = samples("austen-0880.wav")
    seconds = len(recorded) / 2 / RATE
    path = tmp_path / "neutral"
    path.write_bytes(encoded(FORMATS[name], recorded))
    assert identify(path) == EXTENSIONS[name.split(",", maxsplit=1)[0]]
    assert measure(path, max_seconds=60, stopped=lambda: False) == pytest.approx(seconds, abs=0.1)
    (window,) = windows(path)
    assert len(window.samples) / RATE == pytest.approx(seconds, abs=0.1)
    expected, found = loudness(np.frombuffer(recorded, np.int16)), loudness(window.samples)
    same = min(len(expected), len(found))
    assert np.corrcoef(expected[:same], found[:same])[0, 1] > 0.9


@pytest.mark.parametrize("name", FORMATS)
def test_speech_is_understood_in_every_format(name: str, tmp_path: Path) -> None:
    path = tmp_path / "neutral"
    path.write_bytes(encoded(FORMATS[name], samples("jfk.wav")))
    recording = Recording(path, Audio(AudioName("neutral"), "x", 1), 11.0)
    heard = asyncio.run(engine().transcribe(recording, Options(), lambda _: None))
    assert word_error_rate(SAID["jfk.wav"], heard.text) <= MOST_WRONG
