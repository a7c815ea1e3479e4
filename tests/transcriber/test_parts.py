"""Recordings that the engine does not take as they are: encoded anew, in parts, and put together again."""

import asyncio
import io
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from importlib import resources
from pathlib import Path
from typing import cast

import av
import httpx
import numpy as np
import pytest

from tests.support.audio_files import FORMATS, encoded
from tests.support.groq_server import VERBOSE, Answer, GroqServer, error
from tests.support.process import Service
from tests.support.speech import RATE, samples, seconds_of_silence, wav
from tests.support.waiting import eventually
from tests.support.webhook_receiver import WebhookReceiver
from tests.transcriber.conftest import Api, job_id
from transcriber import states
from transcriber.audio import cuts
from transcriber.backoff import Backoff
from transcriber.errors import JobOverError, SpeechError, StoppedError
from transcriber.metrics import Metrics
from transcriber.model import (
    Assignment,
    Audio,
    JobId,
    Options,
    Part,
    Segment,
    Submission,
    Transcript,
    Word,
    job_data,
)
from transcriber.queue.asking import Asking
from transcriber.queue.pace import Pace
from transcriber.queue.parts import Parts, joined
from transcriber.speech import Engine, Recording, Takes
from transcriber.speech.groq import GroqEngine
from transcriber.store.changes import Store
from transcriber.store.database import Database
from transcriber.store.jobs import Jobs
from transcriber.store.recordings import Recordings
from transcriber.store.work import Work

SMALL = "1000000"  # bytes, of which a window of half a minute surely fits
SPOKEN = samples("jfk.wav") + seconds_of_silence(1)
LONG = SPOKEN * 10  # 120 s


def decoded(sound: bytes) -> bytes:
    with av.open(io.BytesIO(sound)) as file:
        return b"".join(frame.to_ndarray().tobytes() for frame in file.decode(audio=0))


def said(text: str, *, language: str = "English", start: float = 1.0, end: float = 2.0) -> Answer:
    segments = [{"start": start, "end": end, "text": text}]
    words = [{"start": start, "end": end, "word": text}]
    return Answer(body={**VERBOSE, "text": text, "language": language, "segments": segments, "words": words})


def part(
    start: float, end: float, text: str, *, language: str | None = "en", said_until: float = 2.0
) -> Part:
    heard = Transcript(
        text, language, end - start, (Segment(1.0, said_until, text),), (Word(1.0, said_until, text),)
    )
    return Part(int(start * RATE), int(end * RATE), heard)


@pytest.fixture
def api(start) -> Api:
    return start(TRANSCRIBER_GROQ_MAX_FILE_BYTES=SMALL)


@pytest.mark.parametrize("max_bytes", [None, 5_000_000, 1_000_000, 100_000])
@pytest.mark.parametrize("kind", ["speech", "noise"])
def test_parts_are_the_whole_recording_sample_by_sample_and_none_is_too_large(
    kind: str, max_bytes: int | None, tmp_path: Path
) -> None:
    noise = np.random.default_rng(1).integers(-32_768, 32_767, 140 * RATE, dtype=np.int16).tobytes()
    sound = LONG + SPOKEN if kind == "speech" else noise
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(wav(sound))
    found = b""
    for cut in cuts(source, target, start=0, max_bytes=max_bytes, stopped=lambda: False):
        assert cut.start * 2 == len(found)
        assert max_bytes is None or target.stat().st_size <= max_bytes
        found += decoded(target.read_bytes())
        assert cut.end * 2 == len(found)
    assert found == sound


def test_later_parts_are_the_same_when_the_first_ones_are_left_out(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(wav(LONG))
    whole = list(cuts(source, target, start=0, max_bytes=1_000_000, stopped=lambda: False))
    assert len(whole) > 3
    again = list(cuts(source, target, start=whole[1].end, max_bytes=1_000_000, stopped=lambda: False))
    assert again == whole[2:]


def test_encoding_stops_when_nobody_waits_for_it(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(wav(LONG))
    asked = iter([False] * 1_000)
    with pytest.raises(StoppedError):
        list(cuts(source, target, start=0, max_bytes=None, stopped=lambda: next(asked, True)))


def test_a_disk_that_is_full_is_worth_another_attempt(tmp_path: Path) -> None:
    source, full = tmp_path / "source", tmp_path / "full"
    source.write_bytes(wav(LONG))
    full.symlink_to("/dev/full")
    with pytest.raises(SpeechError) as caught:
        list(cuts(source, full, start=0, max_bytes=None, stopped=lambda: False))
    assert (caught.value.code, caught.value.retryable) == ("disk_full", True)


def test_parts_are_joined_with_the_times_of_the_whole() -> None:
    whole = joined([part(0, 60.5, "one"), part(60.5, 90, "two", said_until=31.7)], 90.0)
    assert whole.text == "one two"
    assert whole.duration_seconds == 90.0
    assert [(segment.start, segment.end) for segment in whole.segments] == [(1.0, 2.0), (61.5, 90.0)]
    assert whole.words is not None
    assert [(word.word, word.start, word.end) for word in whole.words] == [("one", 1, 2), ("two", 61.5, 90)]


def test_the_language_is_that_of_most_of_the_recording() -> None:
    parts = [
        part(0, 50, "a", language="en"),
        part(50, 70, "b", language="de"),
        part(70, 90, "c", language="de"),
    ]
    assert joined(parts, 90.0).language == "en"
    unknown = part(90, 200, "d", language=None)
    assert joined([*parts, unknown, part(200, 220, "e", language="de")], 220.0).language == "de"
    assert joined([unknown], 200.0).language is None


@pytest.mark.parametrize("name", ["aiff", "amr", "mkv, video with sound", "w64", "3gp"])
def test_a_container_that_groq_does_not_know_reaches_it_as_flac(
    api: Api, groq: GroqServer, name: str
) -> None:
    identity = api.post(encoded(FORMATS[name], SPOKEN)).json()["jobId"]
    done = api.until(identity, "completed", "failed")
    assert done["status"] == "completed", done["error"]
    (asked,) = groq.asked
    assert (asked.filename, asked.media_type) == ("audio.flac", "audio/flac")
    assert len(decoded(asked.sound)) / 2 / RATE == pytest.approx(12.0, abs=0.1)
    assert api.recordings() == []


def test_a_large_recording_is_heard_in_parts_and_answered_as_one(
    api: Api, groq: GroqServer, receiver: WebhookReceiver
) -> None:
    groq.answers.extend([said("one"), said("two"), said("three", language="French"), said("four")])
    identity = api.post(wav(LONG), **{"timestamp_granularities[]": "word"}).json()["jobId"]
    result = api.until(identity, "completed", "failed")["result"]
    assert result["text"].startswith("one two three four")
    assert (result["language"], result["durationSeconds"]) == ("en", 120.0)
    assert b"".join(decoded(asked.sound) for asked in groq.asked) == LONG
    lengths = [len(decoded(asked.sound)) / 2 / RATE for asked in groq.asked]
    starts = [round(sum(lengths[:index]) + 1.0, 3) for index in range(4)]
    assert [segment["start"] for segment in result["segments"][:4]] == starts
    heard = api.http.get(f"/v1/jobs/{identity}/transcript").json()
    assert [word["start"] for word in heard["words"][:4]] == starts
    assert api.recordings() == []
    eventually(lambda: receiver.types(identity)[-1:] == ["completed"])
    progress = [webhook.data["progress"] for webhook in receiver.taken(identity)]
    assert progress == sorted(progress)


def stored(api: Api) -> int:
    with closing(sqlite3.connect(api.data_dir / "transcriber.db")) as tool:
        (count,) = tool.execute("SELECT count(*) FROM parts").fetchone()
    return int(count)


def test_progress_is_that_of_the_parts_that_are_done(api: Api, groq: GroqServer) -> None:
    groq.answers.extend([said("one"), said("two"), Answer(held=True)])
    identity = api.post(wav(LONG)).json()["jobId"]
    eventually(lambda: groq.held)
    heard_seconds = sum(len(decoded(asked.sound)) for asked in groq.asked[:2]) / 2 / RATE
    eventually(lambda: api.job(identity)["progress"] == int(100 * heard_seconds / 120))
    assert stored(api) == 2


def test_an_attempt_that_fails_loses_no_part_that_was_heard(api: Api, groq: GroqServer) -> None:
    groq.answers.extend([said("one"), said("two"), error(500), error(429), said("three")])
    identity = api.post(wav(LONG)).json()["jobId"]
    result = api.until(identity, "completed", "failed")["result"]
    assert result["text"].startswith("one two three")
    third = groq.asked[2].sound
    assert [asked.sound == third for asked in groq.asked[:6]] == [False, False, True, True, True, False]
    assert stored(api) == 0


def test_a_process_that_was_killed_is_followed_by_one_that_goes_on_with_the_next_part(
    environment: dict[str, str], groq: GroqServer
) -> None:
    environment |= {"TRANSCRIBER_GROQ_MAX_FILE_BYTES": SMALL, "TRANSCRIBER_PORT": "0"}
    groq.answers.extend([said("one"), said("two"), Answer(held=True), said("three")])
    with ExitStack() as stack:
        first = Service(["transcriber", "serve"], environment)
        stack.callback(first.close)
        http = stack.enter_context(httpx.Client(base_url=first.url))
        api = Api(http, Path(environment["TRANSCRIBER_DATA_DIR"]))
        identity = api.post(wav(LONG)).json()["jobId"]
        eventually(lambda: groq.held)
        first.kill()
        assert len(api.recordings()) == 2
        second = Service(["transcriber", "serve"], environment)
        stack.callback(second.close)
        http = stack.enter_context(httpx.Client(base_url=second.url))
        result = Api(http, api.data_dir).until(identity, "completed")["result"]
    assert result["text"].startswith("one two three")
    assert groq.asked[3].sound == groq.asked[2].sound
    assert api.recordings() == []


def test_a_retry_takes_over_what_was_heard(api: Api, groq: GroqServer) -> None:
    groq.answers.extend([said("one"), error(400)])
    failed = api.post(wav(LONG)).json()["jobId"]
    api.until(failed, "failed")
    asked = len(groq.asked)
    groq.answers.append(Answer(held=True))
    again = api.http.post(f"/v1/jobs/{failed}/retry").json()["jobId"]
    eventually(lambda: api.job(again)["progress"] > 0)
    groq.release()
    result = api.until(again, "completed", "failed")["result"]
    assert result["text"].startswith("one ")
    assert groq.asked[asked].sound == groq.asked[1].sound
    assert api.http.delete(f"/v1/jobs/{failed}").status_code == 200
    assert stored(api) == 0


def test_a_job_that_is_cancelled_leaves_no_part_file(api: Api, groq: GroqServer) -> None:
    groq.answers.extend([said("one"), Answer(held=True)])
    identity = api.post(wav(LONG), job_id=job_id()).json()["jobId"]
    eventually(lambda: groq.held)
    assert len(api.recordings()) == 2
    api.http.post(f"/v1/jobs/{identity}/cancel")
    eventually(lambda: len(api.recordings()) == 1)
    assert api.http.delete(f"/v1/jobs/{identity}").status_code == 200
    assert api.recordings() == []
    assert stored(api) == 0


def test_a_recording_in_a_container_that_groq_takes_goes_out_as_it_came(api: Api, groq: GroqServer) -> None:
    sound = encoded(FORMATS["ogg, Opus"], SPOKEN)
    api.until(api.post(sound).json()["jobId"], "completed")
    assert groq.asked[0].sound == sound


class FullDisk(Recordings):
    def free_bytes(self) -> int:
        return 10_000_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    (tmp_path / "audio").mkdir()
    database = Database(tmp_path)
    yield Store(database, FullDisk(tmp_path / "audio"), lambda: 1_000)
    database.close()


def _work(store: Store) -> Work:
    return Work(store, engine="groq", to_fetch=False)


async def in_hand(store: Store, sound: bytes = SPOKEN) -> Assignment:
    name = store.recordings.new_name()
    store.recordings.path(name).write_bytes(wav(sound))
    stored = Audio(name, "aiff", 1)
    await Jobs(store, max_queued=9).submit(Submission(JobId(job_id()), "ada", Options(), stored, "digest"))
    assignment = await _work(store).claim()
    assert assignment is not None
    return assignment


async def test_nothing_is_encoded_where_the_database_would_have_no_room_left(store: Store) -> None:
    engine = GroqEngine(api_key="x", max_file_bytes=25_000_000)
    assignment = await in_hand(store)
    recording = Recording(store.recordings.path(assignment.audio.name), assignment.audio, 12.0)
    parts = Parts(engine=engine, recordings=store.recordings, work=_work(store))
    with pytest.raises(SpeechError) as caught:
        await parts.transcribe(assignment.job.job_id, recording, Options(), lambda _: None)
    assert (caught.value.code, caught.value.retryable) == ("disk_full", True)
    await engine.close()


async def test_no_part_is_kept_of_a_job_that_is_over(store: Store) -> None:
    job = (await in_hand(store)).job
    await Jobs(store, max_queued=9).cancel(job.job_id)
    with pytest.raises(JobOverError):
        await _work(store).keep_part(job.job_id, part(0, 1, "late"))
    assert await _work(store).parts(job.job_id) == []


async def test_parts_are_kept_of_jobs_that_are_older_than_their_table(tmp_path: Path) -> None:
    (first, *_) = sorted(
        (resources.files("transcriber.store") / "migrations").iterdir(), key=lambda file: file.name
    )
    with closing(sqlite3.connect(tmp_path / "transcriber.db")) as old:
        old.executescript(f"{first.read_text()} PRAGMA user_version = 1;")
        job = states.start(states.create(JobId(job_id()), "ada", 1), 2)
        old.execute(
            "INSERT INTO jobs (job_id, data, changed_at, digest, options, audio, extension, size_bytes)"
            " VALUES (?, ?, 2, 'x', '{}', 'x', 'wav', 1)",
            (job.job_id, job_data(job)),
        )
        old.commit()
    database = Database(tmp_path)
    try:
        work = _work(Store(database, Recordings(tmp_path), lambda: 1_000))
        await work.keep_part(job.job_id, part(60, 90, "two"))
        await work.keep_part(job.job_id, part(0, 60, "one"))
        assert [kept.transcript.text for kept in await work.parts(job.job_id)] == ["one", "two"]
    finally:
        database.close()


class Silent:
    """An engine that takes small parts only, and never answers."""

    name = "silent"
    takes = Takes(frozenset({"flac"}), 100_000)

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def transcribe(self, *_: object) -> Transcript:
        self.asked.set()
        await asyncio.Event().wait()
        raise AssertionError


async def test_what_was_heard_before_a_pause_does_not_show_that_the_engine_works_again(
    tmp_path: Path,
) -> None:
    (tmp_path / "audio").mkdir()
    store = Store(Database(tmp_path), Recordings(tmp_path / "audio"), lambda: 1_000)
    job = await in_hand(store, LONG)
    work, engine = _work(store), Silent()
    await work.keep_part(job.job.job_id, part(0, 1, "one"))
    pace = Pace(backoff=Backoff(0, 0), chance=lambda: 0.5)
    pace.pause(None)
    asking = Asking(engine=cast(Engine, engine), pace=pace, metrics=Metrics())
    parts = Parts(engine=asking, recordings=store.recordings, work=work)
    recording = Recording(store.recordings.path(job.audio.name), job.audio, 60.0)
    run = asyncio.create_task(parts.transcribe(job.job.job_id, recording, Options(), lambda _: None))
    asked = asyncio.create_task(engine.asked.wait())
    await asyncio.wait({run, asked}, return_when=asyncio.FIRST_COMPLETED)
    assert not run.done(), run.exception()
    assert not await freed(pace)
    run.cancel()
    await asyncio.wait({run})
    assert await freed(pace)
    store.database.close()


async def freed(pace: Pace) -> bool:
    free = asyncio.create_task(pace.free())
    for _ in range(10):
        await asyncio.sleep(0)
    done = free.done()
    free.cancel()
    return done
