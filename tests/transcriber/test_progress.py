"""Which steps forward are told."""

import asyncio

import httpx

from tests.support.live_server import live_server
from tests.support.waiting import eventually
from tests.support.webhook_receiver import WebhookReceiver
from tests.transcriber.conftest import Api
from transcriber.app import build
from transcriber.model import Options, Transcript
from transcriber.settings import parse
from transcriber.speech import Progress, Recording
from transcriber.speech.local import LocalEngine


class QuickEngine(LocalEngine):
    """Says that it is half done, lets others have a turn, and is done."""

    async def prepare(self) -> None:
        pass

    async def transcribe(self, recording: Recording, options: Options, progress: Progress) -> Transcript:  # noqa: ARG002
        progress(recording.seconds / 2)
        for _ in range(10):
            await asyncio.sleep(0)
        return Transcript("hello", "en", recording.seconds, segments=(), words=None)


def test_a_run_that_ends_within_the_pause_tells_its_end_and_no_progress(
    environment: dict[str, str], receiver: WebhookReceiver
) -> None:
    settings = parse({**environment, "TRANSCRIBER_PROGRESS_SECONDS": "3600"})
    with live_server(build(settings, engine=QuickEngine())) as url, httpx.Client(base_url=url) as http:
        Api(http, settings.data_dir).post()
        eventually(lambda: "completed" in receiver.types())
    assert receiver.types() == ["queued", "started", "completed"]
