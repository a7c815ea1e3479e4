"""What was tried for a job: kept, bounded, and shown to whoever may see the job."""

import asyncio
import json
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from tests.support.deadly_transcriber import DEADLY, MAX_ATTEMPTS
from tests.support.groq_server import Answer, GroqServer, error
from tests.support.job_bench import Bench
from tests.support.process import Service
from tests.support.waiting import eventually
from tests.transcriber.conftest import DATA, Api, job_id, running
from transcriber.model import Attempt, Failure, JobId
from transcriber.store.attempts import MAX_ROWS

BUSY = Failure("engine_unavailable", "come back later")


async def test_each_attempt_is_kept_with_its_times_and_its_end(bench: Bench) -> None:
    identity = await bench.submit()
    await bench.claim()
    bench.clock.ms += 100
    await bench.work.postpone(identity, BUSY, 2)
    bench.clock.ms += 2_000
    await bench.claim()
    bench.clock.ms += 50
    await bench.complete(identity)
    assert await bench.attempts(identity) == [
        Attempt(
            1, "bench", 1_000_000, 1_000_100, "postponed", "engine_unavailable", "come back later", 1_002_100
        ),
        Attempt(2, "bench", 1_002_100, 1_002_150, "completed", None, None, None),
    ]


async def test_an_attempt_that_runs_has_no_end_and_a_killed_process_leaves_none(bench: Bench) -> None:
    identity = await bench.submit()
    await bench.claim()
    assert await bench.attempts(identity) == [Attempt(1, "bench", 1_000_000, None, None, None, None, None)]
    await bench.recover()
    await bench.claim()
    await bench.jobs.cancel(identity)
    ends = [(attempt.outcome, attempt.ended_at) for attempt in await bench.attempts(identity)]
    assert ends == [("interrupted", None), ("stopped", 1_000_000)]


async def test_an_attempt_that_failed_says_why_as_the_job_does(bench: Bench) -> None:
    identity = await bench.submit()
    await bench.claim()
    await bench.work.fail(identity, Failure("engine_refused", "no"))
    (attempt,) = await bench.attempts(identity)
    assert (attempt.outcome, attempt.code, attempt.message) == ("failed", "engine_refused", "no")


async def test_an_attempt_for_which_the_job_is_not_to_blame_does_not_count(bench: Bench) -> None:
    identity = await bench.submit()
    for end in ("stop", "limit", "postpone"):
        await bench.claim()
        if end == "stop":
            await bench.work.give_all_back()
        else:
            await (bench.work.wait_for_engine if end == "limit" else bench.work.postpone)(identity, BUSY, 0)
    assignment = await bench.work.claim()
    assert assignment is not None
    assert assignment.attempt == 2
    assert [attempt.number for attempt in await bench.attempts(identity)] == [1, 2, 3, 4]


async def test_of_many_attempts_the_newest_are_kept_under_their_numbers(bench: Bench) -> None:
    identity = await bench.submit()
    for _ in range(MAX_ROWS + 10):
        await bench.claim()
        await bench.work.postpone(identity, BUSY, 0)
    kept = [attempt.number for attempt in await bench.attempts(identity)]
    assert kept == list(range(11, MAX_ROWS + 11))


async def test_a_deleted_job_has_no_attempts_left(bench: Bench) -> None:
    identity = await bench.submit()
    await bench.claim()
    await bench.jobs.delete(identity)
    assert await bench.attempts(identity) == []


def test_whoever_knows_the_job_can_read_what_was_tried(api: Api, groq: GroqServer) -> None:
    groq.answers.append(error(500, "broken"))
    identity = job_id()
    api.post(job_id=identity)
    done = api.until(identity, "completed")
    first, second = api.http.get(f"/v1/jobs/{identity}/attempts").raise_for_status().json()["items"]
    assert (first["number"], first["engine"], first["outcome"]) == (1, "groq", "postponed")
    assert first["code"] == "engine_unavailable"
    assert "500" in first["message"]
    assert first["startedAt"] == done["timestamps"]["startedAt"]
    assert first["startedAt"] <= first["endedAt"] <= first["retryAt"] <= second["startedAt"]
    assert second == {
        "number": 2,
        "engine": "groq",
        "startedAt": second["startedAt"],
        "endedAt": done["timestamps"]["completedAt"],
        "outcome": "completed",
        "code": None,
        "message": None,
        "retryAt": None,
    }


def test_a_service_that_stops_says_so_and_the_next_one_goes_on(
    environment: dict[str, str], groq: GroqServer
) -> None:
    groq.answers.append(Answer(held=True))
    with running(environment) as api:
        identity = api.post().json()["jobId"]
        eventually(lambda: groq.held)
    with running(environment) as api:
        api.until(identity, "completed")
        stopped, last = api.http.get(f"/v1/jobs/{identity}/attempts").json()["items"]
    assert (stopped["outcome"], last["outcome"]) == ("stopped", "completed")
    assert stopped["startedAt"] <= stopped["endedAt"] <= last["startedAt"]


def test_attempts_are_hidden_as_their_job_is(start: Callable[..., Api]) -> None:
    api = start(TRANSCRIBER_API_KEY="key", TRANSCRIBER_REQUIRE_KEY="true")
    assert api.http.get(f"/v1/jobs/{job_id()}/attempts").status_code == 401
    api.http.headers["Authorization"] = "Bearer key"
    unknown = api.http.get(f"/v1/jobs/{job_id()}/attempts")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_job")


def test_once_the_job_that_was_tried_alone_is_done_the_others_follow(
    environment: dict[str, str], tmp_path: Path, groq: GroqServer
) -> None:
    groq.answers.append(Answer(held=True))
    (tmp_path / "data").mkdir()
    suspects = asyncio.run(_suspects(tmp_path / "data"))
    with running(environment) as api:
        eventually(lambda: groq.held)
        other = api.post().json()["jobId"]
        assert api.job(other)["status"] == "queued"
        assert len(groq.asked) == 1
        groq.release()
        for identity in (*suspects, other):
            api.until(identity, "completed")


async def _suspects(folder: Path) -> list[JobId]:
    """Two jobs that were in hand when the process died, twice."""
    bench, sound = Bench(folder), (DATA / "jfk.wav").read_bytes()
    identities = [await bench.submit(sound=sound) for _ in range(2)]
    for _ in range(2):
        assert [await bench.claim() for _ in range(2)] == identities
        await bench.recover()
    bench.database.close()
    return identities


def test_a_job_that_kills_its_process_again_and_again_is_given_up_and_takes_no_other_with_it(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """As a crash in native code would: no handler runs, nothing is given back."""
    folder = tmp_path / "data"
    folder.mkdir()
    deadly, harmless = _submitted_before_the_start(folder)
    deaths = 0
    while _unfinished(folder):
        with closing(Service(["tests.support.deadly_transcriber"], environment)) as service:
            eventually(lambda process=service.process: process.poll() is not None or not _unfinished(folder))
            deaths += service.process.poll() == -signal.SIGKILL
    assert deaths == MAX_ATTEMPTS
    bench = Bench(folder)
    try:
        outcomes = asyncio.run(_outcomes(bench, [deadly, harmless]))
    finally:
        bench.database.close()
    assert outcomes[deadly] == ("gave_up", ["interrupted"] * MAX_ATTEMPTS + ["failed"])
    assert outcomes[harmless] == (None, ["interrupted", "interrupted", "completed"])


def _submitted_before_the_start(folder: Path) -> list[JobId]:
    """One that is deadly, and one that goes at the same time."""
    bench, sound = Bench(folder), (DATA / "jfk.wav").read_bytes()
    try:
        return [asyncio.run(bench.submit(prompt=prompt, sound=sound)) for prompt in (DEADLY, "")]
    finally:
        bench.database.close()


def _unfinished(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "transcriber.db")) as reader:
        (count,) = reader.execute(
            "SELECT count(*) FROM jobs WHERE status IN ('queued', 'processing')"
        ).fetchone()
        return count


async def _outcomes(bench: Bench, identities: list[JobId]) -> dict:
    """Of each job the code of its error and the outcomes of its attempts."""
    found = {}
    for identity in identities:
        job = json.loads(await bench.data(identity))
        outcomes = [attempt.outcome for attempt in await bench.attempts(identity)]
        found[identity] = (job["error"] and job["error"]["code"], outcomes)
    return found
