"""Jobs whose recordings are given by their addresses, from the request to the text."""

import asyncio
import logging
import resource
import sqlite3
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from importlib import resources
from pathlib import Path

import httpx
import pytest

from tests.support.audio_host import SOUND, AudioHost, Reply, audio_host
from tests.support.groq_server import GroqServer, error
from tests.support.job_bench import HEARD, Bench, files
from tests.support.process import Service
from tests.support.waiting import eventually
from tests.support.webhook_receiver import WebhookReceiver
from tests.transcriber.conftest import Api, job_id, running
from transcriber import states
from transcriber.errors import JobOverError, SpeechError
from transcriber.intake.fetch import Bounds, Fetcher
from transcriber.intake.resolve import resolve_by_system
from transcriber.model import Audio, AudioName, AudioUrl, Failure, JobId, Options, Submission, job_data
from transcriber.queue.fetching import Fetching
from transcriber.queue.run import MAX_ATTEMPTS
from transcriber.results import fit

SIGNED = "a-signature-never-to-be-shown"
PATH = f"/talk.mp3?signature={SIGNED}"
OPEN = {"TRANSCRIBER_ALLOW_PRIVATE_AUDIO_URLS": "true"}


@pytest.fixture
def host() -> Iterator[AudioHost]:
    with audio_host() as host:
        yield host


@pytest.fixture
def api(start: Callable[..., Api]) -> Api:
    return start(**OPEN)


def post(api: Api, url: str, **fields: str) -> httpx.Response:
    form = {name: (None, value) for name, value in {"audio_url": url, **fields}.items()}
    return api.http.post("/v1/jobs", files=form)


def test_a_recording_at_an_address_becomes_text_and_its_address_is_never_shown(
    api: Api, host: AudioHost, groq: GroqServer, receiver: WebhookReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    identity = job_id()
    response = post(api, host.url + PATH, job_id=identity, user_id="ada", prompt="names")
    assert response.status_code == 202
    assert response.json()["status"] == "queued"
    done = api.until(identity, "completed", "failed")
    assert done["result"]["text"].startswith("And so my fellow Americans")
    assert (groq.asked[0].filename, groq.asked[0].size) == ("audio.mp3", len(SOUND))
    assert host.asked == [PATH]
    eventually(lambda: receiver.types(identity) == ["queued", "started", "completed"])
    assert api.recordings() == []
    shown = [str(done), api.http.get("/metrics").text, *(webhook.body for webhook in receiver.received)]
    ours = [str(record.__dict__) for record in caplog.records if record.name == "transcriber"]
    assert any(identity in line for line in ours)
    assert not [text for text in shown + ours if SIGNED in text or "talk.mp3" in text]
    assert 'transcriber_runs_total{engine="fetch",outcome="fetched"} 1.0' in api.http.get("/metrics").text


def test_the_same_address_again_is_the_same_job_and_another_is_refused(api: Api, host: AudioHost) -> None:
    identity = job_id()
    post(api, host.url + PATH, job_id=identity)
    done = api.until(identity, "completed")
    assert post(api, host.url + PATH, job_id=identity).json() == done
    other = post(api, host.url + "/other.mp3", job_id=identity)
    assert (other.status_code, other.json()["code"]) == (409, "job_id_reused")
    assert api.post(SOUND, job_id=identity).status_code == 409
    assert host.asked == [PATH]


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://127.0.0.1:1/x.mp3", "audio_url_private"),
        ("http://localhost/x.mp3", "audio_url_private"),
        ("http://169.254.169.254/latest/meta-data", "audio_url_private"),
        ("file:///etc/passwd", "bad_audio_url"),
        ("https://user:hunter2@speech.example/x.mp3", "bad_audio_url"),
        ("https://speech.example/" + "x" * 2_048, "bad_audio_url"),
        ("", "no_file"),
    ],
)
def test_an_address_that_cannot_be_fetched_is_refused_before_a_job_exists(
    shared_api: Api, url: str, code: str
) -> None:
    identity = job_id()
    response = post(shared_api, url, job_id=identity)
    assert (response.status_code, response.json()["code"]) == (422, code)
    assert "hunter2" not in response.text
    assert shared_api.http.get(f"/v1/jobs/{identity}").status_code == 404
    assert shared_api.recordings() == []


def test_a_form_with_an_address_and_an_empty_file_is_as_browsers_send_it(api: Api, host: AudioHost) -> None:
    response = api.post(b"", name="", audio_url=host.url + PATH)
    assert response.status_code == 202
    assert api.until(response.json()["jobId"], "completed")


def test_a_name_that_leads_inside_ends_the_job_and_nobody_is_asked(
    environment: dict[str, str], host: AudioHost
) -> None:
    async def resolve(_host: str, _port: int) -> list[str]:
        return ["127.0.0.1"]

    port = host.url.rpartition(":")[2]
    with running(environment, resolve=resolve) as api:
        identity = post(api, f"http://inside.example:{port}{PATH}").json()["jobId"]
        failed = api.until(identity, "failed", "completed")
    assert failed["error"]["code"] == "audio_url_private"
    assert "inside.example" in failed["error"]["message"]
    assert host.asked == []


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (Reply(404), "audio_url_refused"),
        (Reply(302, b"", {"Location": "ftp://x"}), "audio_url_bad_redirect"),
        (Reply(body=b"<!doctype html><title>Sign in</title>" * 50), "not_audio"),
        (Reply(body=b""), "empty"),
        (Reply(headers={"Content-Encoding": "gzip"}), "audio_url_encoded"),
        (Reply(body=bytes(200_000)), "audio_too_large"),
    ],
)
def test_what_only_fetching_finds_ends_the_job_and_a_retry_fetches_again(
    start: Callable[..., Api], host: AudioHost, reply: Reply, code: str
) -> None:
    api = start(**OPEN, TRANSCRIBER_MAX_UPLOAD_BYTES="150000")
    host.replies.append(reply)
    identity = post(api, host.url + PATH).json()["jobId"]
    failed = api.until(identity, "failed", "completed")
    assert failed["error"]["code"] == code
    assert SIGNED not in failed["error"]["message"]
    assert len(host.asked) == 1
    assert api.recordings() == []
    again = api.http.post(f"/v1/jobs/{identity}/retry").json()["jobId"]
    assert api.until(again, "completed")
    assert host.asked == [PATH, PATH]


def test_a_host_that_fails_for_a_while_is_asked_again(api: Api, host: AudioHost) -> None:
    host.replies.extend([Reply(503), Reply(429), Reply(500)])
    identity = post(api, host.url + PATH).json()["jobId"]
    assert api.until(identity, "completed", "failed")["status"] == "completed"
    assert host.asked == [PATH] * 4


def test_a_host_that_fails_for_ever_ends_the_job(api: Api, host: AudioHost) -> None:
    host.replies.extend(Reply(503) for _ in range(20))
    identity = post(api, host.url + PATH).json()["jobId"]
    failed = api.until(identity, "failed", "completed")
    assert failed["error"]["code"] == "audio_url_refused"
    assert len(host.asked) == MAX_ATTEMPTS


def test_a_host_that_fails_takes_no_attempt_from_the_engine(
    api: Api, host: AudioHost, groq: GroqServer
) -> None:
    host.replies.extend(Reply(503) for _ in range(MAX_ATTEMPTS - 1))
    groq.answers.extend(error(500) for _ in range(MAX_ATTEMPTS - 1))
    identity = post(api, host.url + PATH).json()["jobId"]
    assert api.until(identity, "completed", "failed")["error"] is None
    assert (len(host.asked), len(groq.asked)) == (MAX_ATTEMPTS, MAX_ATTEMPTS)


def test_a_recording_is_fetched_once_however_often_the_engine_fails(
    api: Api, host: AudioHost, groq: GroqServer
) -> None:
    groq.answers.extend([error(503), error(401)])
    first = post(api, host.url + PATH).json()["jobId"]
    assert api.until(first, "failed")["error"]["code"] == "engine_unauthorized"
    second = api.http.post(f"/v1/jobs/{first}/retry").json()["jobId"]
    assert api.until(second, "completed")
    assert host.asked == [PATH]


@pytest.mark.parametrize("way", ["cancel", "delete"])
def test_a_job_that_ends_while_its_recording_comes_lets_the_host_go(
    api: Api, host: AudioHost, groq: GroqServer, receiver: WebhookReceiver, way: str
) -> None:
    host.replies.append(Reply(held=True))
    identity = post(api, host.url + PATH).json()["jobId"]
    eventually(lambda: host.asked and receiver.types(identity) == ["queued", "started"])
    if way == "cancel":
        assert api.http.post(f"/v1/jobs/{identity}/cancel").status_code == 202
    else:
        assert api.http.delete(f"/v1/jobs/{identity}").status_code == 200
    eventually(lambda: host.left == 1, seconds=5)
    eventually(lambda: api.recordings() == [], seconds=5)
    assert groq.asked == []


def test_hosts_that_are_slow_do_not_hold_up_what_is_there(api: Api, host: AudioHost) -> None:
    host.replies.extend(Reply(held=True) for _ in range(Fetcher.concurrency + 1))
    slow = [post(api, host.url + PATH).json()["jobId"] for _ in range(Fetcher.concurrency + 1)]
    eventually(lambda: len(host.asked) == Fetcher.concurrency)
    assert api.until(api.post(SOUND).json()["jobId"], "completed")
    assert api.job(slow[-1])["status"] == "queued"
    host.release()
    for identity in slow:
        assert api.until(identity, "completed")


def test_a_killed_process_leaves_half_a_recording_that_the_next_one_removes_and_fetches_again(
    environment: dict[str, str], host: AudioHost
) -> None:
    environment |= {**OPEN, "TRANSCRIBER_PORT": "0"}
    host.replies.append(Reply(held=True))
    with closing(Service(["transcriber", "serve"], environment)) as service, httpx.Client() as http:
        api = Api(http, Path(environment["TRANSCRIBER_DATA_DIR"]))
        form = {"audio_url": (None, host.url + PATH)}
        identity = http.post(f"{service.url}/v1/jobs", files=form).json()["jobId"]
        eventually(lambda: host.asked and api.recordings())
        service.process.kill()
    (half,) = api.recordings()
    with running(environment) as api:
        assert api.until(identity, "completed")
        assert not half.exists()
    assert host.asked == [PATH, PATH]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.database.close()


async def submit(bench: Bench, url: str = "https://speech.example" + PATH) -> JobId:
    identity = JobId(job_id())
    await bench.jobs.submit(Submission(identity, "ada", Options(), AudioUrl(url), digest=identity))
    return identity


def store(bench: Bench) -> Audio:
    name = bench.recordings.new_name()
    bench.recordings.path(name).write_bytes(b"sound")
    return Audio(name, "mp3", 5)


async def test_a_job_goes_to_who_fetches_and_then_to_who_transcribes(bench: Bench) -> None:
    identity = await submit(bench)
    assert await bench.work.claim() is None
    fetching = await bench.fetching.claim()
    assert fetching is not None
    assert fetching.audio == AudioUrl("https://speech.example" + PATH)
    assert SIGNED not in repr(fetching)
    audio = store(bench)
    bench.work.queued.clear()
    await bench.fetching.attach(identity, audio)
    assert bench.work.queued.is_set()
    assert await bench.fetching.claim() is None
    transcribing = await bench.work.claim()
    assert transcribing is not None
    assert (transcribing.audio, transcribing.attempt) == (audio, 1)
    await bench.work.complete(identity, HEARD, fit(HEARD, ""))
    assert [event.step for event in await bench.send_all()] == ["queued", "started", "completed"]


async def test_when_the_next_attempt_is_due_is_told_apart(bench: Bench) -> None:
    identity = await submit(bench)
    assert await bench.work.next_due_at() is None
    await bench.fetching.claim()
    await bench.fetching.postpone(identity, Failure("x", "y"), 5)
    assert await bench.fetching.next_due_at() == bench.clock.ms + 5_000
    assert await bench.work.next_due_at() is None


async def test_a_recording_for_a_job_that_is_over_is_removed(bench: Bench) -> None:
    identity = await submit(bench)
    await bench.fetching.claim()
    await bench.jobs.cancel(identity)
    audio = store(bench)
    with pytest.raises(JobOverError):
        await bench.fetching.attach(identity, audio)
    assert not bench.recordings.path(audio.name).exists()


async def test_a_run_that_is_stopped_while_its_recording_is_stored_loses_nothing(bench: Bench) -> None:
    kept, over = await submit(bench), await submit(bench)
    for _ in range(2):
        await bench.fetching.claim()
    await bench.jobs.cancel(over)
    audio, unwanted = store(bench), store(bench)
    gate = threading.Event()
    busy = asyncio.create_task(bench.database.transaction(lambda _: gate.wait()))
    await asyncio.sleep(0)
    runs = [asyncio.create_task(bench.fetching.attach(*what)) for what in ((kept, audio), (over, unwanted))]
    await asyncio.sleep(0)
    for run in runs:
        run.cancel()
    gate.set()
    for run in (busy, *runs):
        with suppress(asyncio.CancelledError):
            await run
    claimed = await bench.work.claim()
    assert claimed is not None
    assert claimed.audio == audio
    assert {path.name for path in bench.recordings.folder.iterdir()} == {audio.name}


async def test_a_process_that_ends_between_fetching_and_storing_leaves_a_file_that_is_swept(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path)
    identity = await submit(bench)
    await bench.fetching.claim()
    audio = store(bench)
    bench.recordings.keep(audio.name)
    bench.database.close()
    bench = Bench(tmp_path)
    assert await bench.recover() == 1
    assert not bench.recordings.path(audio.name).exists()
    again = await bench.fetching.claim()
    assert again is not None
    assert (again.job.job_id, again.attempt) == (identity, 2)
    await bench.fetching.attach(identity, kept := store(bench))
    await bench.recover()
    assert bench.recordings.path(kept.name).exists()
    bench.database.close()


async def test_jobs_whose_recordings_were_fetched_still_count_as_waiting(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.jobs._max_queued = 1  # noqa: SLF001 (the bench has room for many)
    identity = await submit(bench)
    await bench.fetching.claim()
    await bench.fetching.attach(identity, store(bench))
    with pytest.raises(Exception, match="1 jobs are waiting"):
        await submit(bench)
    bench.database.close()


@pytest.mark.parametrize("end", ["delete", "fetch"])
async def test_an_address_that_is_not_needed_any_more_leaves_no_trace_in_the_files(
    tmp_path: Path, end: str
) -> None:
    bench = Bench(tmp_path)
    identity = await submit(bench)
    await bench.fetching.claim()
    if end == "delete":
        await bench.work.fail(identity, Failure("x", "y"))
        await bench.jobs.delete(identity)
    else:
        await bench.fetching.attach(identity, store(bench))
    bench.database.close()
    assert not [path for path in files(tmp_path) if SIGNED.encode() in path.read_bytes()]


async def test_a_disk_that_is_full_ends_the_attempt_and_leaves_nothing(bench: Bench, host: AudioHost) -> None:
    fetcher = Fetcher(
        bounds=Bounds(max_bytes=10**9, seconds=20, allow_private=True),
        resolve=resolve_by_system,
        tls=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
        free_bytes=lambda: 10**12,
        now=bench.clock,
    )
    fetching = Fetching(work=bench.fetching, fetcher=fetcher, recordings=bench.recordings)
    await submit(bench)
    assignment = await bench.fetching.claim()
    assert assignment is not None
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(SOUND) // 2, hard))
    try:
        with pytest.raises(SpeechError, match="no room") as caught:
            await fetching.take(replace(assignment, audio=AudioUrl(host.url + PATH)), lambda _: None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (caught.value.code, caught.value.retryable) == ("disk_full", True)
    assert list(bench.recordings.folder.iterdir()) == []


async def test_a_database_of_before_addresses_goes_on_with_its_jobs(tmp_path: Path) -> None:
    script = (resources.files("transcriber.store") / "migrations" / "0001_jobs_and_outbox.sql").read_text()
    identity = JobId(job_id())
    with closing(sqlite3.connect(tmp_path / "transcriber.db")) as old:
        old.executescript(script)
        old.execute(
            "INSERT INTO jobs (job_id, data, changed_at, digest, options, audio, extension, size_bytes)"
            " VALUES (?, ?, 1, 'x', '{}', 'sound', 'wav', 5)",
            (identity, job_data(replace(states.create(identity, "ada", 1), sequence=1))),
        )
        old.execute("PRAGMA user_version = 1")
        old.commit()
    bench = Bench(tmp_path)
    assert await bench.fetching.claim() is None
    claimed = await bench.work.claim()
    assert claimed is not None
    assert (claimed.job.job_id, claimed.audio) == (identity, Audio(AudioName("sound"), "wav", 5))
    assert await submit(bench)
    bench.database.close()


async def test_a_fetch_that_was_in_hand_at_crashes_keeps_nobody_from_the_engine(bench: Bench) -> None:
    address = await submit(bench)
    for _ in range(2):
        assert await bench.fetching.claim()
        await bench.recover()
    other = await bench.submit()
    fetched = await bench.fetching.claim()
    assert fetched is not None
    assert fetched.job.job_id == address
    assert await bench.claim() == other
