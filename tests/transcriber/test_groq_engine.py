"""Groq's path with the real SDK, against a server that answers as Groq does."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.support.groq_server import KEY, VERBOSE, Answer, GroqServer, error
from tests.support.waiting import eventually
from tests.support.webhook_receiver import WebhookReceiver
from tests.transcriber.conftest import DATA, Api, job_id
from transcriber.errors import SpeechError
from transcriber.model import Audio, AudioName, Options
from transcriber.speech import Recording
from transcriber.speech.groq import MAX_FILE_BYTES, GroqEngine
from transcriber.speech.languages import language_code, language_name

JFK = Recording(DATA / "jfk.wav", Audio(AudioName("neutral"), "wav", 352_078), 11.0)


@pytest.fixture
async def engine(groq: GroqServer) -> AsyncIterator[GroqEngine]:
    engine = GroqEngine(api_key=KEY, base_url=groq.url, request_seconds=0.5)
    yield engine
    await engine.close()


async def heard(engine: GroqEngine, options: Options = Options()):  # noqa: B008 (a frozen value)
    return await engine.transcribe(JFK, options, lambda _: None)


async def test_the_request_is_what_groq_expects(engine: GroqEngine, groq: GroqServer) -> None:
    await heard(engine, Options("en", "whisper-large-v3", "Kennedy", ("word", "segment")))
    (asked,) = groq.asked
    assert asked.fields == [
        ("model", "whisper-large-v3"),
        ("language", "en"),
        ("prompt", "Kennedy"),
        ("response_format", "verbose_json"),
        ("temperature", "0.0"),
        ("timestamp_granularities[]", "word"),
        ("timestamp_granularities[]", "segment"),
    ]
    assert (asked.filename, asked.media_type, asked.size) == ("audio.wav", "audio/wav", 352_078)
    assert asked.authorization == f"Bearer {KEY}"


async def test_what_was_not_asked_for_is_not_sent(engine: GroqEngine, groq: GroqServer) -> None:
    await heard(engine)
    names = [name for name, _ in groq.asked[0].fields]
    assert names == ["model", "response_format", "temperature", "timestamp_granularities[]"]


async def test_the_transcript_has_one_shape(engine: GroqEngine) -> None:
    transcript = await heard(engine, Options(granularities=("word",)))
    assert transcript.language == "en"
    assert transcript.duration_seconds == 11.0
    assert transcript.segments[0].text == "And so my fellow Americans,"
    assert transcript.words is not None
    assert [word.word for word in transcript.words] == ["And", "so"]
    assert (await heard(engine)).words is None


@pytest.mark.parametrize(
    ("answer", "code", "retryable"),
    [
        (error(400), "engine_refused", False),
        (error(401), "engine_unauthorized", False),
        (error(403), "engine_unauthorized", False),
        (error(404), "model_unknown", False),
        (error(413), "audio_too_large", False),
        (error(422), "engine_refused", False),
        (error(499), "engine_refused", False),
        (error(408), "engine_unavailable", True),
        (error(409), "engine_unavailable", True),
        (error(429), "engine_unavailable", True),
        (error(498), "engine_unavailable", True),
        (error(500), "engine_unavailable", True),
        (error(503), "engine_unavailable", True),
        (Answer(502, "<html>bad gateway</html>", media_type="text/html"), "engine_unavailable", True),
        (Answer(200, "<html>hello</html>", media_type="text/html"), "engine_unreadable", True),
        (Answer(200, '{"text": "cut'), "engine_unreadable", True),
        (Answer(200, {}), "engine_unreadable", True),
        (Answer(200, {"text": None}), "engine_unreadable", True),
        (Answer(200, []), "engine_unreadable", True),
        (Answer(200, {**VERBOSE, "segments": [{"start": "soon"}]}), "engine_unreadable", True),
        (Answer(200, {**VERBOSE, "segments": 7}), "engine_unreadable", True),
        (
            Answer(200, '{"text": "x", "segments": [{"start": NaN, "end": 1, "text": "x"}]}'),
            "engine_unreadable",
            True,
        ),
        (Answer(held=True), "engine_timeout", True),
    ],
)
async def test_every_answer_but_success_is_judged(
    engine: GroqEngine, groq: GroqServer, answer: Answer, code: str, retryable: bool
) -> None:
    groq.answers.append(answer)
    with pytest.raises(SpeechError) as caught:
        await heard(engine)
    assert (caught.value.code, caught.value.retryable) == (code, retryable)
    assert KEY not in caught.value.message
    assert len(groq.asked) == 1


async def test_an_empty_address_is_groqs_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROQ_BASE_URL", "")
    engine = GroqEngine(api_key=KEY, base_url=None)
    assert str(engine._client.base_url).rstrip("/") == "https://api.groq.com"  # noqa: SLF001 (no request may go there)
    await engine.close()


async def test_a_server_that_is_away_is_worth_another_attempt() -> None:
    engine = GroqEngine(api_key=KEY, base_url="http://127.0.0.1:9")
    with pytest.raises(SpeechError) as caught:
        await heard(engine)
    assert (caught.value.code, caught.value.retryable) == ("engine_unreachable", True)
    await engine.close()


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("61", 61.0), ("0.5", 0.5), ("Wed, 21 Oct", None), ("", None), ("nan", None), ("inf", None)],
)
async def test_retry_after_is_honoured_where_it_is_seconds(
    engine: GroqEngine, groq: GroqServer, value: str, seconds: float | None
) -> None:
    groq.answers.append(error(429, retry_after=value))
    with pytest.raises(SpeechError) as caught:
        await heard(engine)
    assert caught.value.retry_after_seconds == seconds


async def test_a_cancelled_request_is_given_up_at_once(groq: GroqServer) -> None:
    engine = GroqEngine(api_key=KEY, base_url=groq.url)
    groq.answers.append(Answer(held=True))
    task = asyncio.create_task(heard(engine))
    async with asyncio.timeout(10):
        while not groq.asked:
            await asyncio.sleep(0.005)
        task.cancel()
        await asyncio.wait({task})
    assert task.cancelled()
    await engine.close()


@pytest.mark.parametrize(
    ("audio", "code"),
    [
        (Audio(AudioName("x"), "aiff", 1), "format_unsupported"),
        (Audio(AudioName("x"), "wav", MAX_FILE_BYTES + 1), "audio_too_large"),
    ],
)
def test_what_groq_does_not_take_is_said_before_a_job_is_taken(
    engine: GroqEngine, audio: Audio, code: str
) -> None:
    with pytest.raises(SpeechError) as caught:
        engine.accept(audio, Options())
    assert (caught.value.code, caught.value.retryable) == (code, False)


def test_a_job_survives_failures_that_pass(api: Api, groq: GroqServer, receiver: WebhookReceiver) -> None:
    groq.answers.extend([error(500), Answer(200, "<html>", media_type="text/html"), error(498)])
    identity = job_id()
    api.post(job_id=identity)
    api.until(identity, "completed")
    assert len(groq.asked) == 4
    eventually(lambda: receiver.types(identity) == ["queued", "started", "completed"])


def test_a_job_is_given_up_when_failures_do_not_pass(api: Api, groq: GroqServer) -> None:
    groq.answers.extend(error(503) for _ in range(30))
    identity = job_id()
    api.post(job_id=identity)
    failed = api.until(identity, "failed")
    assert failed["error"]["code"] == "engine_unavailable"
    assert len(groq.asked) == 10


def test_text_that_is_no_unicode_still_ends_the_job(api: Api, groq: GroqServer) -> None:
    groq.answers.append(Answer(200, '{"text": "half a \\ud83d pair and a \\u0000", "language": "Klingon"}'))
    identity = job_id()
    api.post(job_id=identity)
    done = api.until(identity, "completed")
    assert done["result"]["text"] == "half a ? pair and a \x00"
    assert done["result"]["language"] is None


def test_languages_are_told_by_their_code() -> None:
    assert [language_code(name) for name in ("English", "en", "Haitian Creole", "Klingon", None)] == [
        "en",
        "en",
        "ht",
        None,
        None,
    ]


def test_every_language_has_the_name_that_whisper_gives_it() -> None:
    assert [language_name(code) for code in ("es", "ht", "nl", "ro", "zh", None)] == [
        "spanish",
        "haitian creole",
        "dutch",
        "romanian",
        "chinese",
        None,
    ]
    assert language_code(language_name("nn")) == "nn"


def test_the_queue_keeps_several_recordings_in_hand(api: Api, groq: GroqServer) -> None:
    groq.answers.extend(Answer(held=True) for _ in range(4))
    identities = [api.post().json()["jobId"] for _ in range(4)]
    eventually(lambda: len(groq.asked) == 4)
    assert {api.job(identity)["status"] for identity in identities} == {"processing"}
