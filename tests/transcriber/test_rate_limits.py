"""An engine that says 429: the whole queue waits as long as it asks, and no job pays for it."""

import asyncio
import time
from dataclasses import replace
from pathlib import Path

import httpx

from tests.support.groq_server import Answer, GroqServer, error
from tests.support.job_bench import Bench
from tests.support.live_server import live_server
from tests.support.waiting import eventually
from tests.transcriber.conftest import QUICK, Api, running
from transcriber.app import build
from transcriber.model import Failure, JobId
from transcriber.queue.run import LONGEST_LIMITED_MS, MAX_ATTEMPTS
from transcriber.settings import parse


def metric(api: Api, name: str) -> float:
    lines = api.http.get("/metrics").text.splitlines()
    return next(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))


def test_twenty_jobs_ask_nothing_before_the_time_then_one_tries_then_all_go(
    api: Api, groq: GroqServer
) -> None:
    limit = error(429, retry_after="1")
    groq.answers.extend([replace(limit, held=True), *[Answer(held=True)] * 4])
    identities = [api.post().json()["jobId"]]
    eventually(lambda: groq.held)
    identities += [api.post().json()["jobId"] for _ in range(19)]
    eventually(lambda: len(groq.held) == 4)
    groq.release_next()
    eventually(lambda: metric(api, "transcriber_engine_paused") == 1)
    assert api.http.get("/readyz").status_code == 200
    for _ in range(3):
        groq.release_next()  # those in hand go on
    eventually(lambda: groq.held)
    assert metric(api, "transcriber_engine_paused") == 0
    groq.release()
    for identity in identities:
        api.until(identity, "completed")
    assert len(groq.asked) == 21
    assert groq.asked[4].at - groq.answered[0].monotonic >= 1.0
    assert groq.asked[5].at > groq.answered[4].monotonic
    tried = [api.http.get(f"/v1/jobs/{identity}/attempts").json()["items"] for identity in identities]
    (limited, _), *others = sorted(tried, key=len, reverse=True)
    assert (limited["outcome"], limited["code"]) == ("postponed", "engine_unavailable")
    assert 900 <= limited["retryAt"] - limited["endedAt"] <= 1_000
    assert {len(attempts) for attempts in others} == {1}


def test_a_job_outlives_more_limits_than_it_has_attempts(api: Api, groq: GroqServer) -> None:
    groq.answers.extend(error(429) for _ in range(MAX_ATTEMPTS + 2))
    identity = api.post().json()["jobId"]
    api.until(identity, "completed")
    assert len(groq.asked) == MAX_ATTEMPTS + 3


def test_a_job_that_limits_have_kept_out_for_a_day_is_given_up(
    environment: dict[str, str], groq: GroqServer
) -> None:
    ahead_ms = 0

    def now() -> int:
        return time.time_ns() // 1_000_000 + ahead_ms

    settings = parse(environment | {"TRANSCRIBER_WEBHOOK_URL": ""})  # no event of the day after
    groq.answers.extend([error(429), replace(error(429), held=True)])
    with (
        live_server(build(settings, now=now, run_backoff=QUICK)) as url,
        httpx.Client(base_url=url) as http,
    ):
        api = Api(http, settings.data_dir)
        identity = api.post().json()["jobId"]
        eventually(lambda: groq.held)
        ahead_ms = LONGEST_LIMITED_MS
        groq.release()
        assert api.until(identity, "failed")["error"]["code"] == "engine_unavailable"
        assert api.until(api.post().json()["jobId"], "completed")


def test_a_pause_outlives_the_process(environment: dict[str, str], tmp_path: Path, groq: GroqServer) -> None:
    (tmp_path / "data").mkdir()
    bench = Bench(tmp_path / "data", engine="groq")
    bench.clock.ms = time.time_ns() // 1_000_000
    limited, other = asyncio.run(_limit(bench))
    bench.database.close()
    with running(environment) as api:
        eventually(lambda: metric(api, "transcriber_engine_paused") == 1)
        new = api.post().json()["jobId"]
        assert [api.job(identity)["status"] for identity in (other, new)] == ["queued", "queued"]
        assert api.job(limited)["status"] == "processing"
    assert groq.asked == []


async def _limit(bench: Bench) -> tuple[JobId, JobId]:
    """A job that was limited for ten minutes, and one that was never tried."""
    limited = await bench.submit()
    await bench.claim()
    await bench.work.wait_for_engine(limited, Failure("engine_unavailable", "429"), 600)
    return limited, await bench.submit()
