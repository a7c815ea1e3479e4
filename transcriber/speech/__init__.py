"""What turns a recording into text: one protocol, one module an engine."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from transcriber.model import Audio, Options, Transcript

Progress = Callable[[float], None]
"""Told the seconds of audio that are done, never fewer than before, on the event loop."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A file that decodes, and for how many seconds."""

    path: Path
    audio: Audio
    seconds: float


class Engine(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def concurrency(self) -> int:
        """How many recordings it can take at the same time."""

    async def prepare(self) -> None:
        """Loads what transcribing needs. Raises SpeechError if that cannot be used."""

    def accept(self, audio: Audio, options: Options) -> None:
        """Raises SpeechError, not retryable, for what this engine cannot do: asked before a job is taken."""

    async def transcribe(self, recording: Recording, options: Options, progress: Progress) -> Transcript:
        """What was said. Raises SpeechError. When cancelled it ends within seconds."""

    async def close(self) -> None: ...
