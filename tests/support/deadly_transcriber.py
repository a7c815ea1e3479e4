"""The transcriber with an engine on which some recordings crash the process, as native code can; it gives up soon.

`python -m tests.support.deadly_transcriber`, with the variables of the service.
"""

import asyncio
import contextlib
import os
import signal

import uvicorn

from transcriber import log
from transcriber.app import build
from transcriber.model import Options, Transcript
from transcriber.settings import parse
from transcriber.speech import Progress, Recording
from transcriber.speech.groq import GroqEngine

DEADLY = "deadly"
"""The prompt of a job that crashes the process."""
MAX_ATTEMPTS = 3
COMPANY_SECONDS = 1.0


class DeadlyEngine(GroqEngine):
    """A run waits a moment for another; then a deadly one crashes, and no other ends beside one."""

    def __init__(self, *, api_key: str, base_url: str | None, max_file_bytes: int) -> None:
        super().__init__(api_key=api_key, base_url=base_url, max_file_bytes=max_file_bytes)
        self._accompanied = asyncio.Event()
        self._inside = 0

    async def transcribe(self, recording: Recording, options: Options, progress: Progress) -> Transcript:
        self._inside += 1
        if self._inside == 2:
            self._accompanied.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(COMPANY_SECONDS):
                await self._accompanied.wait()
        if options.prompt == DEADLY:
            os.kill(os.getpid(), signal.SIGKILL)
        while self._inside > 1:
            await asyncio.sleep(1)
        self._inside -= 1
        return await super().transcribe(recording, options, progress)


def main() -> None:
    log.configure()
    settings = parse(os.environ)
    engine = DeadlyEngine(
        api_key=settings.groq_api_key,
        base_url=settings.groq_base_url,
        max_file_bytes=settings.groq_max_file_bytes,
    )
    app = build(settings, engine=engine, max_attempts=MAX_ATTEMPTS)
    uvicorn.run(app, port=0, log_config=None)


if __name__ == "__main__":
    main()
