"""The official Python client against the development backend, a process of its own."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import httpx
import pytest
from convex import ConvexClient, ConvexError

CONVEX = Path(__file__).parents[2] / "convex"
KEY = "key-of-the-gateway"

# A subscription blocks its whole interpreter while it waits, so it has one of its own.
FOLLOW = """
import json, sys
from convex import ConvexClient
for job in ConvexClient(sys.argv[1]).subscribe("transcriptionJobs:get", {"jobId": sys.argv[2]}):
    print(json.dumps(job), flush=True)
"""


@dataclass(frozen=True, slots=True)
class Backend:
    url: str
    site_url: str

    def post(self, job: dict[str, Any]) -> httpx.Response:
        headers = {"Authorization": f"Bearer {KEY}"}
        return httpx.post(f"{self.site_url}/webhooks/transcription-jobs", json=job, headers=headers)


@contextmanager
def running(*command: str, cwd: Path | None = None, env: dict[str, str] | None = None) -> Iterator[IO[str]]:
    """The standard output of a process that is killed at the end."""
    with subprocess.Popen(command, cwd=cwd, env=env, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout
        finally:
            process.kill()


@contextmanager
def serving(**settings: str) -> Iterator[Backend]:
    """A backend that is killed at the end."""
    env = {"PATH": os.environ["PATH"], "PORT": "0", "SITE_PROXY_PORT": "0", "TRANSCRIPTION_WEBHOOK_KEY": KEY}
    with running("node", "devserver/main.mjs", cwd=CONVEX, env=env | settings) as stdout:
        addresses = json.loads(stdout.readline())
        yield Backend(url=addresses["url"], site_url=addresses["siteUrl"])


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    with serving() as backend:
        yield backend


def job_of(job_id: str, **changes: Any) -> dict[str, Any]:
    result = {
        "text": "Ask not what your country can do for you.",
        "language": "en",
        "durationSeconds": 11.0,
        "segments": [{"start": 0.0, "end": 11.0, "text": "Ask not what your country can do for you."}],
        "transcriptUrl": None,
        "truncated": False,
    }
    times = {"createdAt": 1_700_000_000_000, "startedAt": 1_700_000_000_100, "completedAt": 1_700_000_002_000}
    return {
        "jobId": job_id,
        "userId": "anonymous",
        "status": "completed",
        "progress": 100,
        "sequence": 4,
        "result": result,
        "error": None,
        "timestamps": times,
        **changes,
    }


def test_a_posted_job_is_read_back_field_by_field(backend: Backend) -> None:
    job = job_of("python-reads-this-one-back")
    assert backend.post(job).json() == {"outcome": "applied"}
    read = ConvexClient(backend.url).query("transcriptionJobs:get", {"jobId": job["jobId"]})
    assert read.pop("updatedAt") > 0
    assert read == job


def test_a_mutation_is_seen_by_the_next_query(backend: Backend) -> None:
    client = ConvexClient(backend.url)
    arguments: dict[str, Any] = {"jobId": "python-registers-this-one"}
    assert client.query("transcriptionJobs:get", arguments) is None
    client.mutation("transcriptionJobs:register", arguments)
    assert client.query("transcriptionJobs:get", arguments)["status"] == "queued"


def test_a_refusal_carries_its_code(backend: Backend) -> None:
    with pytest.raises(ConvexError) as refused:
        ConvexClient(backend.url).mutation("transcriptionJobs:register", {"jobId": "not an id"})
    assert refused.value.data["code"] == "invalid_job_id"


def test_an_internal_function_is_refused(backend: Backend) -> None:
    with pytest.raises(Exception, match="Could not find public function"):
        ConvexClient(backend.url).mutation("transcriptionJobs:removeExpired")


def test_a_subscription_is_told_of_a_posted_job_within_a_second(backend: Backend) -> None:
    job = job_of("python-follows-this-one")
    with running(sys.executable, "-c", FOLLOW, backend.url, job["jobId"]) as seen:
        assert json.loads(seen.readline()) is None
        posted = time.monotonic()
        backend.post(job)
        assert json.loads(seen.readline())["status"] == "completed"
        assert time.monotonic() - posted < 1


def test_a_subscription_outlives_the_kill_of_its_backend_and_shows_what_it_missed(tmp_path: Path) -> None:
    job = job_of("python-follows-this-one-on")
    data_file = str(tmp_path / "tables.jsonl")
    with ExitStack() as first:
        killed = first.enter_context(serving(CONVEX_DATA_FILE=data_file))
        killed.post(job)
        with running(sys.executable, "-c", FOLLOW, killed.url, job["jobId"]) as seen:
            assert json.loads(seen.readline())["sequence"] == job["sequence"]
            first.close()
            port = str(httpx.URL(killed.url).port)
            with serving(CONVEX_DATA_FILE=data_file, PORT=port) as restarted:
                restarted.post(job | {"sequence": job["sequence"] + 1})
                shown = job["sequence"]
                while shown == job["sequence"]:  # what was kept may be shown before what is new
                    shown = json.loads(seen.readline())["sequence"]
                assert shown == job["sequence"] + 1


def test_a_mutation_whose_answers_are_lost_or_that_meets_conflicts_is_done_in_the_end() -> None:
    with serving() as faulty:
        httpx.put(f"{faulty.url}/devserver/faults", json={"writeConflict": 0.3, "dropAnswer": 0.3, "seed": 2})
        client = ConvexClient(faulty.url)
        for number in range(4):
            client.mutation("transcriptionJobs:register", {"jobId": f"python-registers-{number}"})
        given = httpx.get(f"{faulty.url}/devserver/faults").json()["given"]
        assert given["writeConflict"] + given["dropAnswer"] > 0
        for number in range(4):
            arguments: dict[str, Any] = {"jobId": f"python-registers-{number}"}
            assert client.query("transcriptionJobs:get", arguments)["status"] == "queued"
