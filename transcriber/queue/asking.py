"""The engine as jobs ask it: only when its pace allows, and not for longer than the recording is worth."""

import asyncio
import time

from transcriber.errors import SpeechError
from transcriber.metrics import Metrics
from transcriber.model import Options, Transcript
from transcriber.queue.pace import Pace
from transcriber.speech import Engine, Progress, Recording

# The slowest machine that is worth running on: ten times slower than speech, and never less than this.
LEAST_SECONDS = 600.0
SECONDS_PER_AUDIO_SECOND = 10.0


class Asking:
    def __init__(self, *, engine: Engine, pace: Pace, metrics: Metrics) -> None:
        self._engine = engine
        self._pace = pace
        self._metrics = metrics
        self.takes = engine.takes

    async def transcribe(self, recording: Recording, options: Options, progress: Progress) -> Transcript:
        """What was said in a recording that the engine takes as it is. Raises SpeechError."""
        async with self._pace.turn() as works:

            def advance(done_seconds: float) -> None:
                works()
                progress(done_seconds)

            transcript = await self._in_time(recording, options, advance)
            works()
            return transcript

    async def _in_time(self, recording: Recording, options: Options, progress: Progress) -> Transcript:
        limit = max(LEAST_SECONDS, recording.seconds * SECONDS_PER_AUDIO_SECOND)
        began = time.monotonic()
        try:
            async with asyncio.timeout(limit):
                transcript = await self._engine.transcribe(recording, options, progress)
        except TimeoutError as error:
            raise SpeechError("engine_timeout", f"not done after {limit:.0f} s", retryable=True) from error
        self._metrics.heard(
            engine=self._engine.name,
            audio_seconds=recording.seconds,
            duration_seconds=time.monotonic() - began,
        )
        return transcript
