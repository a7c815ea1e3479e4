"""Which steps forward are told."""

import asyncio

import httpx

from tests.support.job_bench import Bench
from tests.support.live_server import live_server
from tests.support.waiting import eventually
from tests.support.webhook_receiver import WebhookReceiver
from tests.transcriber.conftest import Api
from transcriber.app import build
from transcriber.model import Options, Transcript
from transcriber.queue.progress import Gauge, reported
from transcriber.settings import parse
from transcriber.speech import Progress, Recording
from transcriber.speech.local import LocalEngine

NO_ROOM = "CREATE TRIGGER no_room BEFORE UPDATE ON jobs BEGIN SELECT RAISE(ABORT, 'full'); END"


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


async def test_a_store_that_fails_for_a_moment_loses_one_step_and_not_the_next(bench: Bench) -> None:
    identity, gauge = await bench.submit(), Gauge(100.0)
    await bench.work.claim()

    async def tells(percent: int) -> None:
        async with asyncio.timeout(10):
            while f'"progress":{percent}' not in await bench.data(identity):
                await asyncio.sleep(0.001)

    async with reported(bench.work, identity, gauge, least_seconds=0, over=lambda _: None):
        await bench.database.transaction(lambda db: db.execute(NO_ROOM))
        gauge.advance(10)
        while gauge.moved.is_set():
            await asyncio.sleep(0)
        await bench.database.transaction(lambda db: db.execute("DROP TRIGGER no_room"))
        gauge.advance(20)
        await tells(20)
