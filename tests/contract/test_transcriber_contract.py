"""The live transcriber against openapi/transcriber.yaml: whatever is sent, the answer is one that the contract has."""

from pathlib import Path

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import ignored_auth, negative_data_rejection

from tests.support.groq_server import KEY as GROQ_KEY
from tests.support.groq_server import groq_server
from tests.support.live_server import live_server
from tests.support.waiting import eventually
from tests.support.webhook_receiver import SECRET, webhook_receiver
from transcriber.app import build
from transcriber.settings import parse

API_KEY = "made-up-api-key-of-the-tests"
JOB_ID = "a-job-of-the-contract-tests"
FAST = settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[
        HealthCheck.filter_too_much,
        HealthCheck.too_slow,
        HealthCheck.function_scoped_fixture,
    ],
)
SECRETS = (SECRET, GROQ_KEY, API_KEY)


def schema():
    loaded = schemathesis.openapi.from_path("openapi/transcriber.yaml")
    loaded.config.generation.update(modes=[GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
    # 422: whether a file is audio, and what the engine can do with it, is beyond any schema.
    loaded.config.checks.positive_data_acceptance.expected_statuses = [
        "2xx",
        "3xx",
        "401",
        "403",
        "404",
        "409",
        "410",
        "422",
    ]
    return loaded


without_key = schema()
with_key = schema().include(path_regex="^/v1/")
of_a_known_job = schema().include(path_regex="job_id").exclude(method="DELETE")


async def inside(_host: str, _port: int) -> list[str]:
    """No name that is made up here is asked for, and no job waits for another attempt: its chance would be Hypothesis' own."""
    return ["127.0.0.1"]


@pytest.fixture(scope="module")
def transcriber(tmp_path_factory):
    with webhook_receiver() as receiver, groq_server() as groq:
        environ = {
            "TRANSCRIBER_DATA_DIR": str(tmp_path_factory.mktemp("transcriber")),
            "TRANSCRIBER_WEBHOOK_URL": receiver.url,
            "TRANSCRIBER_WEBHOOK_SECRET": SECRET,
            "TRANSCRIBER_API_KEY": API_KEY,
            "GROQ_API_KEY": GROQ_KEY,
            "GROQ_BASE_URL": groq.url,
        }
        with live_server(build(parse(environ), resolve=inside)) as url:
            audio = Path("tests/data/jfk.mp3").read_bytes()
            httpx.post(f"{url}/v1/jobs", files={"file": audio}, data={"job_id": JOB_ID}).raise_for_status()
            eventually(lambda: httpx.get(f"{url}/v1/jobs/{JOB_ID}").json()["status"] == "completed")
            yield url


def no_secrets(_context, response, _case):
    for secret in SECRETS:
        assert secret.encode() not in response.content


def refusals_are_problems(_context, response, case):
    if response.status_code < 400 or case.path == "/readyz":
        return
    assert response.headers["content-type"] == ["application/problem+json"]
    problem = response.json()
    assert problem["status"] == response.status_code
    assert {"type", "title", "detail"} <= set(problem)


OURS = [no_secrets, refusals_are_problems]
MISLED = [ignored_auth, negative_data_rejection]
"""These take the key or the job's id that is added here for a part of what they made wrong on purpose."""


@without_key.parametrize()
@FAST
def test_whatever_is_sent_without_the_key_has_a_documented_answer(case, transcriber):
    case.call_and_validate(base_url=transcriber, additional_checks=OURS, excluded_checks=[ignored_auth])


@with_key.parametrize()
@FAST
def test_whatever_is_sent_with_the_key_has_a_documented_answer(case, transcriber):
    headers = {"authorization": f"Bearer {API_KEY}"}
    case.call_and_validate(
        base_url=transcriber, headers=headers, additional_checks=OURS, excluded_checks=MISLED
    )


@of_a_known_job.parametrize()
@FAST
def test_whatever_is_asked_of_a_job_that_there_is_has_a_documented_answer(case, transcriber):
    case.path_parameters["job_id"] = JOB_ID
    response = case.call(base_url=transcriber)
    case.validate_response(response, additional_checks=OURS, excluded_checks=MISLED)
