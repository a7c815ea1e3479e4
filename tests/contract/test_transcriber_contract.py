"""The live transcriber against openapi/transcriber.yaml: whatever is sent, the answer is one that the contract has."""

import copy
import zlib
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.errors import Flaky
from schemathesis import GenerationMode
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import ignored_auth, negative_data_rejection, use_after_free

from tests.support.contract import OURS, secrets_are_never_told, without_other_refusals
from tests.support.groq_server import KEY as GROQ_KEY
from tests.support.groq_server import error, groq_server
from tests.support.live_server import live_server
from tests.support.waiting import eventually
from tests.support.webhook_receiver import SECRET, webhook_receiver
from transcriber.app import build
from transcriber.settings import parse

DOCUMENT = without_other_refusals("transcriber")
API_KEY = "made-up-api-key-of-the-tests"
JOB_ID = "a-job-of-the-contract-tests"
DATA = Path("tests/data")
HEARD, LATER = ((DATA / name).read_bytes() for name in ("jfk.mp3", "austen-0870.wav"))
CUT = (DATA / "jfk.wav").read_bytes()[:100_000]
RECORDINGS = (HEARD, CUT, LATER)
"""Their jobs are completed, failed, and processing for an hour: Groq is away for the third."""
FAST = settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[
        HealthCheck.filter_too_much,
        HealthCheck.too_slow,
        HealthCheck.function_scoped_fixture,
    ],
)
A_VISIT = settings(FAST, max_examples=12, stateful_step_count=10, phases=[Phase.generate], database=None)
LEAST_VISITS, MOST_VISITS = 4, 40
NEVER_HERE = {"discardWebhook"}
"""Only for a webhook that is no longer configured: the one that there is here stays."""
SECRETS = (SECRET, GROQ_KEY, API_KEY)


def judged_as_here(loaded):
    """422: whether a file is audio, and what the engine can do with it, is beyond any schema."""
    loaded.config.checks.positive_data_acceptance.expected_statuses = [
        *("2xx", "3xx", "401", "403", "404", "409", "410", "422")
    ]
    return loaded


def schema():
    loaded = judged_as_here(schemathesis.openapi.from_dict(copy.deepcopy(DOCUMENT)))
    loaded.config.generation.update(modes=[GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
    return loaded


without_key = schema()
with_key = schema().include(path_regex="^/v1/")
of_a_known_job = schema().include(path_regex="job_id").exclude(method="DELETE")


async def inside(_host: str, _port: int) -> list[str]:
    """No name that is made up here is asked for, and no job waits for another attempt: its chance would be Hypothesis' own."""
    return ["127.0.0.1"]


@contextmanager
def serving(folder):
    with webhook_receiver() as receiver, groq_server() as groq:
        groq.by_size[len(LATER)] = error(503, retry_after="3600")
        environ = {
            "TRANSCRIBER_DATA_DIR": str(folder),
            "TRANSCRIBER_WEBHOOK_URL": receiver.url,
            "TRANSCRIBER_WEBHOOK_SECRET": SECRET,
            "TRANSCRIBER_API_KEY": API_KEY,
            "GROQ_API_KEY": GROQ_KEY,
            "GROQ_BASE_URL": groq.url,
        }
        with live_server(build(parse(environ), resolve=inside)) as url:
            yield url


@pytest.fixture(scope="module")
def transcriber(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("transcriber")) as url:
        httpx.post(f"{url}/v1/jobs", files={"file": HEARD}, data={"job_id": JOB_ID}).raise_for_status()
        eventually(lambda: httpx.get(f"{url}/v1/jobs/{JOB_ID}").json()["status"] == "completed")
        yield url


CHECKS = [secrets_are_never_told(*SECRETS), *OURS]
MISLED = [ignored_auth, negative_data_rejection]
"""These take the key or the job's id that is added here for a part of what they made wrong on purpose."""


@without_key.parametrize()
@FAST
def test_whatever_is_sent_without_the_key_has_a_documented_answer(case, transcriber, phases):
    phases.note(case)
    case.call_and_validate(base_url=transcriber, additional_checks=CHECKS, excluded_checks=[ignored_auth])


@with_key.parametrize()
@FAST
def test_whatever_is_sent_with_the_key_has_a_documented_answer(case, transcriber, phases):
    phases.note(case)
    headers = {"authorization": f"Bearer {API_KEY}"}
    case.call_and_validate(
        base_url=transcriber, headers=headers, additional_checks=CHECKS, excluded_checks=MISLED
    )


@of_a_known_job.parametrize()
@FAST
def test_whatever_is_asked_of_a_job_that_there_is_has_a_documented_answer(case, transcriber, phases):
    phases.note(case)
    case.path_parameters["job_id"] = JOB_ID
    response = case.call(base_url=transcriber)
    case.validate_response(response, additional_checks=CHECKS, excluded_checks=MISLED)


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [("GET", "/v1/job", "not_found"), ("PUT", "/v1/jobs", "method_not_allowed")],
)
def test_what_any_route_may_answer_is_answered_in_the_words_of_the_contract(transcriber, method, path, code):
    other = DOCUMENT["components"]["responses"]["Refused"]
    examples = other["content"]["application/problem+json"]["examples"]
    answer = httpx.request(method, f"{transcriber}{path}")
    assert answer.json() == examples[code]["value"]
    assert ("allow" in answer.headers) == (answer.status_code == 405)


def linked():
    """What follows links, without `user_id`: Schemathesis takes it for the id of something that has to be created
    first, by an operation that there is not, and would never begin with a recording. Of a transcription also without
    what it is most often refused for, so that few calls lead to one that succeeds.
    """
    document = copy.deepcopy(DOCUMENT)
    schemas = document["components"]["schemas"]
    del schemas["NewJob"]["properties"]["user_id"]
    schemas["NewTranscription"]["oneOf"] = [{"required": ["file"]}]
    for name in ("user_id", "url", "job_id", "temperature"):
        del schemas["NewTranscription"]["properties"][name]
    parameters = document["paths"]["/v1/jobs"]["get"]["parameters"]
    parameters.remove(next(parameter for parameter in parameters if parameter["name"] == "user_id"))
    loaded = judged_as_here(schemathesis.openapi.from_dict(document)).include(path_regex="^/v1/")
    loaded.config.generation.update(modes=[GenerationMode.POSITIVE])
    return loaded


class Visit(linked().as_state_machine()):
    """Goes from answer to answer by their links, with the key, and sends recordings that are some."""

    http: httpx.Client
    succeeded: set[str]
    failures: list[FailureGroup]

    def before_call(self, case):
        if isinstance(case.body, dict) and "file" in case.body:
            # the other routes that take a recording answer when its job is over
            recordings = RECORDINGS if case.path == "/v1/jobs" else [HEARD]
            case.body["file"] = recordings[zlib.crc32(repr(case.body).encode()) % len(recordings)]
            if "stream" in case.body:
                case.body.pop("response_format", None)  # not every one can be streamed

    def get_call_kwargs(self, case):  # noqa: ARG002 (Schemathesis's signature)
        return {"base_url": str(self.http.base_url), "headers": {"authorization": f"Bearer {API_KEY}"}}

    def after_call(self, response, case):
        super().after_call(response, case)
        if response.status_code < 300:
            self.succeeded.add(case.operation.definition.raw["operationId"])
        if response.status_code == 202 and case.path == "/v1/jobs":
            unfinished = {"queued"} if case.body.get("file") is LATER else {"queued", "processing"}
            job = response.headers["location"][0]
            eventually(lambda: self.http.get(job).json()["status"] not in unfinished)

    def validate_response(self, response, case, **_):
        """A deleted job is there as a tombstone: hence no `use_after_free`."""
        try:
            case.validate_response(
                response, additional_checks=CHECKS, excluded_checks=[*MISLED, use_after_free]
            )
        except FailureGroup as failures:
            self.failures.append(failures)
            raise


@pytest.mark.timeout(400)
def test_whatever_follows_the_links_of_an_answer_has_a_documented_answer_and_each_leads_to_success(tmp_path):
    operations = {
        operation.ok().definition.raw["operationId"] for operation in Visit.schema.get_all_operations()
    } - NEVER_HERE
    Visit.succeeded, Visit.failures = set(), []
    with serving(tmp_path) as url, httpx.Client(base_url=url) as Visit.http:
        for number in range(MOST_VISITS):
            if number >= LEAST_VISITS and operations <= Visit.succeeded:
                break
            with suppress(Flaky):  # a store remembers: the same steps do not lead to the same answers
                seed(number)(Visit).run(settings=A_VISIT)  # else the same steps each time where CI is set
    assert Visit.failures == []
    assert operations - Visit.succeeded == set()
