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


@dataclass(frozen=True, slots=True)
class Takes:
    """What an engine takes as one file; None: every container, any size. Flac is always among the extensions.

    Other recordings reach the engine as FLAC, in parts where one file would be too large.
    """

    extensions: frozenset[str] | None = None
    max_bytes: int | None = None

    def as_it_is(self, audio: Audio) -> bool:
        known = self.extensions is None or audio.extension in self.extensions
        return known and (self.max_bytes is None or audio.size_bytes <= self.max_bytes)


class Engine(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def concurrency(self) -> int:
        """How many recordings it can take at the same time."""

    @property
    def takes(self) -> Takes: ...

    async def prepare(self) -> None:
        """Loads what transcribing needs. Raises SpeechError if that cannot be used."""

    def accept(self, options: Options) -> None:
        """Raises SpeechError, not retryable, for what this engine cannot do: asked before a job is taken."""

    async def transcribe(self, recording: Recording, options: Options, progress: Progress) -> Transcript:
        """What was said in one file that it takes. Raises SpeechError. When cancelled it ends within seconds."""

    async def close(self) -> None: ...
