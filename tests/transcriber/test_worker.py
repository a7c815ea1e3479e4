"""What the queue does when an engine is not what it should be."""

import sqlite3
from contextlib import closing
from pathlib import Path

import httpx

from tests.support.groq_server import KEY, GroqServer
from tests.support.live_server import live_server
from tests.support.waiting import eventually
from tests.transcriber.conftest import Api
from transcriber.app import build
from transcriber.model import Options, Transcript
from transcriber.settings import parse
from transcriber.speech import Progress, Recording
from transcriber.speech.groq import GroqEngine
from transcriber.speech.local import LocalEngine


class CrashingEngine(GroqEngine):
    async def transcribe(self, recording: Recording, options: Options, progress: Progress) -> Transcript:  # noqa: ARG002
        return 1 / 0  # type: ignore[return-value]


def test_an_engine_that_crashes_ends_the_job_and_not_the_queue(
    environment: dict[str, str], groq: GroqServer
) -> None:
    settings = parse(environment)
    app = build(settings, engine=CrashingEngine(api_key=KEY, base_url=groq.url, max_file_bytes=25_000_000))
    with live_server(app) as url, httpx.Client(base_url=url) as http:
        api = Api(http, settings.data_dir)
        for _ in range(2):
            failed = api.until(api.post().json()["jobId"], "failed")
            assert failed["error"] == {"code": "internal", "message": "the transcription failed unexpectedly"}


def test_an_engine_that_cannot_be_loaded_leaves_jobs_queued_and_says_why(
    environment: dict[str, str], tmp_path: Path
) -> None:
    settings = parse(environment)
    app = build(settings, engine=LocalEngine(weights=tmp_path / "nowhere"))
    with live_server(app) as url, httpx.Client(base_url=url) as http:
        api = Api(http, settings.data_dir)
        identity = api.post().json()["jobId"]
        eventually(lambda: "config.json" in http.get("/readyz").json()["faults"]["engine"])
        assert http.get("/readyz").status_code == 503
        assert api.job(identity)["status"] == "queued"


def test_a_store_that_is_locked_is_told_and_passes(api: Api) -> None:
    identity = api.post().json()["jobId"]
    api.until(identity, "completed")
    with closing(sqlite3.connect(api.data_dir / "transcriber.db", isolation_level=None)) as tool:
        tool.execute("BEGIN IMMEDIATE")
        locked = api.post()
        assert locked.status_code == 503
        assert locked.json()["code"] == "store_unavailable"
        assert int(locked.headers["retry-after"]) > 0
        tool.execute("ROLLBACK")
    again = api.post().json()["jobId"]
    assert api.until(again, "completed")
