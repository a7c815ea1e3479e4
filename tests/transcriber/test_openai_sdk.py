"""The OpenAI-compatible route as its users call it: by the official SDKs of OpenAI and Groq, over real connections."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from functools import partial
from typing import Any

import groq as groq_sdk
import httpx
import openai
import pytest

from tests.support.groq_server import TEXT, Answer, GroqServer, error
from tests.support.process import Service
from tests.support.waiting import eventually
from tests.support.webhook_receiver import WebhookReceiver
from tests.support.wer import word_error_rate
from tests.transcriber.conftest import DATA, Api, job_id

JFK = ("speech.mp3", (DATA / "jfk.mp3").read_bytes())
SAID = "And so my fellow Americans, ask not what your country can do for you, ask what you can do for your country."
HEARD = TEXT.strip()
PATHS = ["/v1/audio/transcriptions", "/openai/v1/audio/transcriptions"]

Call = Callable[..., Any]


def url_of(api: Api) -> str:
    return str(api.http.base_url).rstrip("/")


@pytest.fixture
def sdk() -> Iterator[Callable[..., Call]]:
    """`create` of an SDK that is pointed at a server; without the SDK's own repetitions unless asked for."""
    with ExitStack() as stack:

        def create(api: Api, *, of: str = "openai", key: str = "any", max_retries: int = 0) -> Call:
            url = url_of(api)
            client = (
                openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=max_retries)
                if of == "openai"
                else groq_sdk.Groq(base_url=url, api_key=key, max_retries=max_retries)
            )
            stack.callback(client.close)
            return partial(client.audio.transcriptions.create, file=JFK, model="whisper-1")

        yield create


@pytest.fixture
def aside() -> Iterator[Callable[..., Future]]:
    """Makes a call in another thread."""
    with ThreadPoolExecutor() as threads:
        yield threads.submit


@pytest.fixture
def call(shared_api: Api, sdk: Callable[..., Call]) -> Call:
    return sdk(shared_api)


@pytest.mark.parametrize("of", ["openai", "groq"])
def test_an_sdk_gets_the_text(shared_api: Api, sdk: Callable[..., Call], of: str) -> None:
    assert sdk(shared_api, of=of)().text == HEARD


async def test_the_asynchronous_sdk_gets_the_text(shared_api: Api) -> None:
    async with openai.AsyncOpenAI(
        base_url=f"{url_of(shared_api)}/v1", api_key="any", max_retries=0
    ) as client:
        answers = await asyncio.gather(
            *(client.audio.transcriptions.create(file=JFK, model="whisper-1") for _ in range(3))
        )
    assert [answer.text for answer in answers] == [HEARD] * 3


@pytest.mark.parametrize("of", ["openai", "groq"])
def test_the_verbose_answer_has_every_member_that_the_sdks_name(
    shared_api: Api, sdk: Callable[..., Call], of: str
) -> None:
    answer = sdk(shared_api, of=of)(response_format="verbose_json", temperature=0.2).to_dict()
    identity = answer.pop("x_groq")["id"]
    assert shared_api.job(identity)["status"] == "completed"
    segments = answer.pop("segments")
    assert answer == {"task": "transcribe", "language": "english", "duration": 11.0, "text": HEARD}
    assert segments[1] == {
        "id": 1,
        "seek": 0,
        "start": 4.5,
        "end": 11.0,
        "text": "ask not what your country can do for you.",
        "tokens": [],
        "temperature": 0.2,
        "avg_logprob": 0.0,
        "compression_ratio": 0.0,
        "no_speech_prob": 0.0,
    }
    assert segments[1].keys() == openai.types.audio.TranscriptionSegment.model_fields.keys()


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        (["word"], {"words"}),
        (["segment"], {"segments"}),
        (["word", "segment"], {"words", "segments"}),
    ],
)
def test_words_and_segments_are_those_asked_for(call: Call, asked: list[str], given: set[str]) -> None:
    answer = call(response_format="verbose_json", timestamp_granularities=asked)
    assert {name for name in ("words", "segments") if getattr(answer, name) is not None} == given
    if "word" in asked:
        assert (answer.words[1].word, answer.words[1].start, answer.words[1].end) == ("so", 0.4, 0.7)


def test_text_and_subtitles_are_strings(call: Call) -> None:
    assert call(response_format="text") == HEARD
    assert "00:00:04,500 --> 00:00:11,000\nask not" in call(response_format="srt")
    assert call(response_format="vtt").startswith("WEBVTT\n\n00:00:00.000 --> 00:00:04.500\nAnd so")


def test_a_stream_has_the_text_as_one_delta_and_its_end(call: Call) -> None:
    events = list(call(stream=True))
    assert [event.type for event in events] == ["transcript.text.delta", "transcript.text.done"]
    assert events[0].delta == events[1].text == HEARD


def test_whisper_1_is_the_engines_own_model_and_other_names_are_passed_on(
    call: Call, groq: GroqServer
) -> None:
    call()
    call(model="whisper-large-v3", temperature=0.5, language="en", prompt="Kennedy", chunking_strategy="auto")
    asked = [dict(one.fields) for one in groq.asked]
    assert asked[0]["model"] == "whisper-large-v3-turbo"
    assert asked[0]["temperature"] == "0.0"
    assert asked[1]["model"] == "whisper-large-v3"
    assert (asked[1]["temperature"], asked[1]["language"], asked[1]["prompt"]) == ("0.5", "en", "Kennedy")


@pytest.mark.parametrize("path", PATHS)
def test_an_answer_names_its_job_which_stays_readable(
    shared_api: Api, receiver: WebhookReceiver, path: str
) -> None:
    response = shared_api.http.post(path, files={"file": JFK}, data={"user_id": "ada"})
    assert response.status_code == 200
    job = shared_api.http.get(response.headers["location"]).json()
    assert (job["userId"], job["status"]) == ("ada", "completed")
    assert job["result"]["text"] == response.json()["text"]
    eventually(lambda: receiver.types(job["jobId"]) == ["queued", "started", "completed"])


@pytest.mark.parametrize("of", ["openai", "groq"])
@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"file": ("speech.mp3", b"this is no sound")}, "not_audio"),
        ({"file": ("speech.mp3", b"")}, "empty"),
        ({"temperature": 1.5}, "bad_field"),
        ({"language": "english"}, "bad_field"),
        ({"response_format": "pdf"}, "bad_field"),
        ({"response_format": "srt", "extra_body": {"stream": "true"}}, "bad_field"),
        ({"extra_body": {"stream": "perhaps"}}, "bad_field"),
        ({"extra_body": {"job_id": "short"}}, "bad_job_id"),
        ({"extra_headers": {"Idempotency-Key": "short"}}, "bad_idempotency_key"),
    ],
)
def test_what_cannot_be_used_is_an_unprocessable_entity_that_says_why(
    shared_api: Api, sdk: Callable[..., Call], of: str, fields: dict, code: str
) -> None:
    expected = (openai if of == "openai" else groq_sdk).UnprocessableEntityError
    with pytest.raises(expected) as caught:
        sdk(shared_api, of=of)(**fields)
    told = caught.value.body["error"] if of == "groq" else caught.value.body
    assert told["code"] == code
    assert told["type"] == "invalid_request_error"
    assert told["message"] in caught.value.message


def test_every_refusal_is_still_the_one_problem_document(shared_api: Api) -> None:
    for path in PATHS:
        response = shared_api.http.post(path, content=b"{}")
        assert response.status_code == 400
        assert response.headers["content-type"] == "application/problem+json"
        problem = response.json()
        assert problem.keys() == {"type", "title", "status", "detail", "code", "error"}
        assert problem["error"]["message"] == problem["detail"]


def test_behind_a_required_key_the_sdk_sends_it(start: Callable[..., Api], sdk: Callable[..., Call]) -> None:
    api = start(TRANSCRIBER_API_KEY="key", TRANSCRIBER_REQUIRE_KEY="true")
    assert sdk(api, key="key")().text == HEARD
    with pytest.raises(openai.AuthenticationError) as caught:
        sdk(api, key="other")()
    assert caught.value.code == "unauthorized"


def test_a_full_queue_is_a_rate_limit(
    start: Callable[..., Api], sdk: Callable[..., Call], groq: GroqServer
) -> None:
    api = start(TRANSCRIBER_MAX_QUEUED_JOBS="1")
    groq.answers.extend(Answer(held=True) for _ in range(5))
    for _ in range(4):
        api.until(api.post().json()["jobId"], "processing")
    api.post()
    with pytest.raises(openai.RateLimitError) as caught:
        sdk(api)()
    assert (caught.value.code, caught.value.type) == ("queue_full", "rate_limit_error")
    assert int(caught.value.response.headers["retry-after"]) > 0


def test_a_recording_that_is_too_large_says_so(start: Callable[..., Api], sdk: Callable[..., Call]) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        sdk(start(TRANSCRIBER_MAX_UPLOAD_BYTES="1000"))()
    assert (caught.value.status_code, caught.value.code) == (413, "too_large")


def test_a_store_that_does_not_answer_is_told_and_keeps_no_recording(
    api: Api, sdk: Callable[..., Call]
) -> None:
    with closing(sqlite3.connect(api.data_dir / "transcriber.db", isolation_level=None)) as tool:
        tool.execute("BEGIN IMMEDIATE")
        with pytest.raises(openai.InternalServerError) as caught:
            sdk(api)()
    assert caught.value.status_code == 503
    assert (caught.value.code, caught.value.type) == ("store_unavailable", "server_error")
    assert api.recordings() == []
    assert sdk(api)().text == HEARD


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        (error(401), 502, "engine_unauthorized"),
        (error(400), 502, "engine_refused"),
        (error(404), 422, "model_unknown"),
        (error(413), 422, "audio_too_large"),
    ],
)
def test_a_failed_job_is_an_error_that_the_sdk_does_not_repeat(
    shared_api: Api, sdk: Callable[..., Call], groq: GroqServer, *, answer: Answer, status: int, code: str
) -> None:
    groq.answers.append(answer)
    with pytest.raises(openai.APIStatusError) as caught:
        sdk(shared_api, max_retries=2)()
    assert (caught.value.status_code, caught.value.code) == (status, code)
    assert "said Groq" in caught.value.message
    assert len(groq.asked) == 1
    failed = shared_api.http.get(caught.value.response.headers["location"]).json()
    assert failed["error"]["code"] == code


@pytest.mark.parametrize("chosen", [True, False])
def test_an_engine_that_is_away_is_worth_another_call_unless_that_would_be_the_same_job(
    shared_api: Api, groq: GroqServer, chosen: bool
) -> None:
    groq.answers.extend(error(503) for _ in range(10))
    fields = {"job_id": job_id()} if chosen else {}
    response = shared_api.http.post(PATHS[0], files={"file": JFK}, data=fields)
    assert response.status_code == 503
    assert response.json()["code"] == "engine_unavailable"
    assert ("retry-after" in response.headers, response.headers.get("x-should-retry")) == (
        (False, "false") if chosen else (True, None)
    )


@pytest.mark.parametrize(
    ("method", "path", "code"), [("POST", "/cancel", "job_cancelled"), ("DELETE", "", "job_deleted")]
)
def test_a_job_that_others_end_is_a_conflict_at_once_and_is_not_repeated(
    shared_api: Api,
    sdk: Callable[..., Call],
    groq: GroqServer,
    *,
    aside: Call,
    method: str,
    path: str,
    code: str,
) -> None:
    groq.answers.append(Answer(held=True))
    identity = job_id()
    waiting = aside(sdk(shared_api, max_retries=2), extra_body={"job_id": identity})
    eventually(lambda: groq.asked)
    shared_api.http.request(method, f"/v1/jobs/{identity}{path}").raise_for_status()
    caught = waiting.exception(timeout=10)
    assert isinstance(caught, openai.ConflictError)
    assert caught.code == code
    assert len(groq.asked) == 1


def test_a_caller_that_gives_up_ends_its_job(call: Call, groq: GroqServer, receiver: WebhookReceiver) -> None:
    groq.answers.append(Answer(held=True))
    with pytest.raises(openai.APITimeoutError):
        call(timeout=0.5, extra_body={"user_id": "impatient"})
    identity = eventually(
        lambda: [one.data["jobId"] for one in receiver.taken() if one.data["userId"] == "impatient"]
    )[0]
    eventually(lambda: receiver.types(identity) == ["queued", "started", "cancelled"])


def test_a_caller_that_gives_up_a_job_it_can_name_finds_it_again(call: Call, groq: GroqServer) -> None:
    groq.answers.append(Answer(held=True))
    chosen = {"job_id": job_id()}
    with pytest.raises(openai.APITimeoutError):
        call(timeout=0.5, extra_body=chosen)
    groq.release()
    assert call(extra_body=chosen).text == HEARD
    assert call(extra_body=chosen, response_format="text") == HEARD
    assert len(groq.asked) == 1


def test_two_callers_of_one_job_both_get_its_text(call: Call, groq: GroqServer, aside: Call) -> None:
    groq.answers.append(Answer(held=True))
    chosen = {"job_id": job_id()}
    both = [aside(call, extra_body=chosen) for _ in range(2)]
    eventually(lambda: groq.asked)
    groq.release()
    assert [one.result(timeout=10).text for one in both] == [HEARD] * 2
    assert len(groq.asked) == 1


def test_a_job_of_the_jobs_route_can_be_waited_for(shared_api: Api, call: Call, groq: GroqServer) -> None:
    identity = job_id()
    shared_api.post(JFK[1], job_id=identity)
    shared_api.until(identity, "completed")
    assert call(extra_body={"job_id": identity}).text == HEARD
    assert len(groq.asked) == 1


def test_an_idempotency_key_makes_the_same_call_the_same_job(call: Call, groq: GroqServer) -> None:
    key = {"Idempotency-Key": "0e0ab4c8-1f8f-4a0c-bb7d-5a7d3c7f2f11"}
    assert call(extra_headers=key).text == call(extra_headers=key).text == HEARD
    assert len(groq.asked) == 1
    with pytest.raises(openai.ConflictError) as caught:
        call(extra_headers=key, language="en")
    assert caught.value.code == "job_id_reused"
    assert caught.value.response.headers["x-should-retry"] == "false"


def test_a_service_that_stops_tells_who_waits_and_goes_on_with_the_job(
    environment: dict[str, str], groq: GroqServer, aside: Call
) -> None:
    groq.answers.extend([Answer(held=True), Answer(held=True)])
    chosen, fields = job_id(), {"files": {"file": JFK}, "timeout": 20}
    with closing(Service(["transcriber", "serve"], {**environment, "TRANSCRIBER_PORT": "0"})) as service:
        named = aside(httpx.post, service.url + PATHS[0], data={"job_id": chosen}, **fields)
        unnamed = aside(httpx.post, service.url + PATHS[0], **fields)
        eventually(lambda: len(groq.asked) == 2)
        code, _ = service.stop()
    assert code == 0
    for response, retry in ((named.result(), None), (unnamed.result(), "false")):
        assert (response.status_code, response.json()["code"]) == (503, "stopping")
        assert int(response.headers["retry-after"]) > 0
        assert response.headers.get("x-should-retry") == retry
    groq.release()
    with closing(Service(["transcriber", "serve"], {**environment, "TRANSCRIBER_PORT": "0"})) as service:
        again = httpx.post(service.url + PATHS[0], data={"job_id": chosen}, **fields)
        assert again.json()["text"] == HEARD
        job = httpx.get(service.url + unnamed.result().headers["location"]).json()
        assert job["status"] in {"processing", "completed"}


def test_the_local_engine_hears_real_speech_through_the_sdk(
    start: Callable[..., Api], sdk: Callable[..., Call]
) -> None:
    api = start(TRANSCRIBER_ENGINE="local")
    answer = sdk(api)(
        response_format="verbose_json",
        timestamp_granularities=["word", "segment"],
        language="en",
        temperature=0,
    )
    assert word_error_rate(SAID, answer.text) <= 0.2
    assert word_error_rate(SAID, " ".join(word.word for word in answer.words)) <= 0.2
    assert answer.language == "english"
    assert answer.duration == pytest.approx(11.0, abs=0.1)
    assert 0 <= answer.segments[0].start < answer.segments[-1].end <= 11.1
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        sdk(api)(model="gpt-4o-transcribe")
    assert caught.value.code == "model_unsupported"
