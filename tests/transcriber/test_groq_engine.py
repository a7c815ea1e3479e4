"""Groq's path with the real SDK, against a server that answers as Groq does."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.support.groq_server import KEY, VERBOSE, Answer, GroqServer, error
from tests.support.raw_server import Request, raw_server, say
from tests.support.waiting import eventually
from tests.support.webhook_receiver import WebhookReceiver
from tests.transcriber.conftest import DATA, Api, job_id
from transcriber.errors import SpeechError
from transcriber.model import Audio, AudioName, Options
from transcriber.speech import Recording
from transcriber.speech.groq import GroqEngine
from transcriber.speech.languages import language_code, language_name
from transcriber.speech.patience import asked_seconds

MAX = 25_000_000
JFK = Recording(DATA / "jfk.wav", Audio(AudioName("neutral"), "wav", 352_078), 11.0)


@pytest.fixture
async def engine(groq: GroqServer) -> AsyncIterator[GroqEngine]:
    engine = GroqEngine(api_key=KEY, base_url=groq.url, max_file_bytes=MAX, request_seconds=0.5)
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


# What becomes of the job: its error's code, whether another attempt is made, and whether the whole engine waits.
ANSWERS = [
    (error(400), "engine_refused", "final"),
    (error(401), "engine_unauthorized", "final"),
    (error(403), "engine_unauthorized", "final"),
    (error(404), "model_unknown", "final"),
    (error(408), "engine_unavailable", "again"),
    (error(409), "engine_unavailable", "again"),
    (error(413), "audio_too_large", "final"),
    (error(422), "engine_refused", "final"),
    (error(429), "engine_unavailable", "pause"),
    (error(498), "engine_unavailable", "again"),
    (error(499), "engine_refused", "final"),
    (error(500), "engine_unavailable", "again"),
    (error(503), "engine_unavailable", "again"),
    (Answer(502, "<html>bad gateway</html>", media_type="text/html"), "engine_unavailable", "again"),
    (Answer(500, {"error": ["of another shape"]}), "engine_unavailable", "again"),
    (Answer(200, "<html>hello</html>", media_type="text/html"), "engine_unreadable", "again"),
    (Answer(200, '{"text": "cut'), "engine_unreadable", "again"),
    (Answer(200, ""), "engine_unreadable", "again"),
    (Answer(200, "[" * 100_000), "engine_unreadable", "again"),
    (Answer(200, f'{{"text": {"1" * 5_000}}}'), "engine_unreadable", "again"),
    (Answer(200, {}), "engine_unreadable", "again"),
    (Answer(200, {"text": None}), "engine_unreadable", "again"),
    (Answer(200, []), "engine_unreadable", "again"),
    (Answer(200, '"only text"'), "engine_unreadable", "again"),
    (Answer(200, {**VERBOSE, "segments": [{"start": "soon"}]}), "engine_unreadable", "again"),
    (Answer(200, {**VERBOSE, "segments": 7}), "engine_unreadable", "again"),
    (Answer(200, {**VERBOSE, "segments": {"start": 0}}), "engine_unreadable", "again"),
    *(
        (
            Answer(200, f'{{"text": "x", "segments": [{{"start": {time}, "end": 1, "text": "x"}}]}}'),
            "engine_unreadable",
            "again",
        )
        for time in ("NaN", "Infinity", "-1", "1e300", "1" * 400, "null", "[]")
    ),
    (Answer(held=True), "engine_timeout", "again"),
]


@pytest.mark.parametrize(("answer", "code", "outcome"), ANSWERS)
async def test_every_answer_but_success_is_judged_after_one_request(
    engine: GroqEngine, groq: GroqServer, answer: Answer, code: str, outcome: str
) -> None:
    groq.answers.append(answer)
    with pytest.raises(SpeechError) as caught:
        await heard(engine)
    assert caught.value.code == code
    assert caught.value.retryable is (outcome != "final")
    assert caught.value.pauses_engine is (outcome == "pause")
    assert KEY not in caught.value.message
    assert len(groq.asked) == 1


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (f"the key {KEY} is not valid", "the key [key] is not valid"),
        ("the key gsk_ab**********yz. is not valid", "the key [key] is not valid"),
        ("x" * 298 + KEY, "x" * 298 + "[k"),
        ("half a \ud83d pair, \x1b[31m and \u202e", "half a   pair,  [31m and  "),
    ],
)
async def test_of_what_groq_says_neither_a_key_nor_an_unprintable_sign_is_told(
    engine: GroqEngine, groq: GroqServer, said: str, told: str
) -> None:
    groq.answers.append(error(401, said))
    with pytest.raises(SpeechError) as caught:
        await heard(engine)
    assert caught.value.message == f"Groq answered 401: {told}"


HEAD = "HTTP/1.1 200 OK\nContent-Type: application/json\n"


async def reset(_: Request, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def trickle(_: Request, writer: asyncio.StreamWriter) -> None:
    """Something every now and then, so that no read ever takes long."""
    writer.write(HEAD.replace("\n", "\r\n").encode() + b"Content-Length: 1000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)


async def flood(_: Request, writer: asyncio.StreamWriter) -> None:
    """Never ends."""
    writer.write(HEAD.replace("\n", "\r\n").encode() + b"Content-Length: 99999999999\r\n\r\n")
    while True:
        writer.write(b" " * 65_536)
        await writer.drain()


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        pytest.param(reset, "engine_unreachable", id="reset"),
        pytest.param(say(HEAD + "Content-Length: 50\n\n{"), "engine_timeout", id="half an answer"),
        pytest.param(say("no HTTP\n\n"), "engine_unreachable", id="no HTTP"),
        pytest.param(trickle, "engine_timeout", id="slow"),
        pytest.param(flood, "engine_unreadable", id="endless"),
        pytest.param(
            say(HEAD + "Content-Encoding: gzip\nContent-Length: 20\n\n"), "engine_unreadable", id="compressed"
        ),
    ],
)
async def test_a_connection_that_breaks_never_ends_or_says_too_much_is_worth_another_attempt(
    answer, code: str
) -> None:
    async with raw_server(answer) as server:
        engine = GroqEngine(
            api_key=KEY,
            base_url=server.url,
            max_file_bytes=MAX,
            request_seconds=0.5,
            max_answer_bytes=1_000_000,
        )
        with pytest.raises(SpeechError) as caught:
            await heard(engine)
        await engine.close()
        assert (caught.value.code, caught.value.retryable) == (code, True)
        assert len(server.requests) == 1


async def test_an_empty_address_is_groqs_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROQ_BASE_URL", "")
    engine = GroqEngine(api_key=KEY, base_url=None, max_file_bytes=MAX)
    assert str(engine._client.base_url).rstrip("/") == "https://api.groq.com"  # noqa: SLF001 (no request may go there)
    await engine.close()


async def test_a_server_that_is_away_is_worth_another_attempt() -> None:
    engine = GroqEngine(api_key=KEY, base_url="http://127.0.0.1:9", max_file_bytes=MAX)
    with pytest.raises(SpeechError) as caught:
        await heard(engine)
    assert (caught.value.code, caught.value.retryable) == ("engine_unreachable", True)
    await engine.close()


DATE = "Sat, 28 Nov 2026 07:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "61"}, 61.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after-ms": "1500", "retry-after": "61"}, 1.5),
        ({"retry-after": "Sat, 28 Nov 2026 07:02:00 GMT", "date": DATE}, 120.0),
        ({"retry-after": "Sat, 28 Nov 2026 06:00:00 GMT", "date": DATE}, 0.0),
        ({"retry-after": "Sat, 28 Nov 2026 07:02:00 GMT"}, None),
        ({"retry-after": f"Sat, 28 Nov {10**20} 07:02:00 GMT", "date": DATE}, None),
        ({"retry-after": "Wed, 21 Oct", "date": DATE}, None),
        *(({"retry-after": value}, None) for value in ("", "nan", "inf", "-5", "1e9", "9" * 400)),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "2m59.56s"}, 179.56),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "500ms"}, 0.5),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1h0m1s"}, 3_601.0),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "soon"}, None),
        ({"x-ratelimit-remaining-requests": "7", "x-ratelimit-reset-requests": "2m"}, None),
        (
            {
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "3s",
                "x-ratelimit-remaining-audio-seconds": "0",
                "x-ratelimit-reset-audio-seconds": "7m",
            },
            420.0,
        ),
    ],
)
def test_a_server_is_left_alone_as_long_as_it_asks(headers: dict[str, str], seconds: float | None) -> None:
    found = asked_seconds(headers)
    assert found == (None if seconds is None else pytest.approx(seconds))


async def test_a_refusal_carries_how_long_to_wait(engine: GroqEngine, groq: GroqServer) -> None:
    groq.answers.append(error(429, retry_after="61"))
    with pytest.raises(SpeechError) as caught:
        await heard(engine)
    assert caught.value.retry_after_seconds == 61.0


async def test_a_cancelled_request_is_given_up_at_once(groq: GroqServer) -> None:
    engine = GroqEngine(api_key=KEY, base_url=groq.url, max_file_bytes=MAX)
    groq.answers.append(Answer(held=True))
    task = asyncio.create_task(heard(engine))
    async with asyncio.timeout(10):
        while not groq.asked:
            await asyncio.sleep(0.005)
        task.cancel()
        await asyncio.wait({task})
    assert task.cancelled()
    await engine.close()


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


def test_neither_job_nor_attempts_nor_logs_have_the_key_that_groq_repeats(
    api: Api, groq: GroqServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "transcriber")
    groq.answers.append(error(401, f"{KEY} is no key"))
    identity = api.post().json()["jobId"]
    assert api.until(identity, "failed")["error"]["message"] == "Groq answered 401: [key] is no key"
    assert KEY not in api.http.get(f"/v1/jobs/{identity}/attempts").text
    told = eventually(lambda: [record for record in caplog.records if record.msg == "job.failed"])
    assert KEY not in str([vars(record) for record in told])


def test_a_refusal_that_is_no_unicode_still_ends_the_job(api: Api, groq: GroqServer) -> None:
    groq.answers.append(error(400, "half a \ud83d pair"))
    assert api.until(api.post().json()["jobId"], "failed")["error"]["code"] == "engine_refused"


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
