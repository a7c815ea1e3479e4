"""A retry under an id of the client's own can be repeated, as the first call can."""

import pytest

from tests.support.groq_server import Answer, GroqServer, error
from tests.support.waiting import eventually
from tests.transcriber.conftest import Api, job_id


@pytest.fixture
def failed(api: Api, groq: GroqServer) -> str:
    groq.answers.append(error(401))
    identity = api.post().json()["jobId"]
    api.until(identity, "failed")
    return identity


def retry(api: Api, identity: str, **body: object) -> tuple[int, dict]:
    response = api.http.post(f"/v1/jobs/{identity}/retry", json=body)
    return response.status_code, response.json()


def test_the_same_retry_again_is_the_same_new_job(api: Api, groq: GroqServer, failed: str) -> None:
    new = job_id()
    status, first = retry(api, failed, job_id=new)
    assert (status, first["jobId"], first["retryOf"]) == (202, new, failed)
    done = api.until(new, "completed")
    assert retry(api, failed, job_id=new) == (202, {**done, "retryOf": failed})
    api.http.delete(f"/v1/jobs/{failed}")
    assert retry(api, failed, job_id=new) == (202, {**done, "retryOf": failed})
    assert len(groq.asked) == 2


def test_an_id_of_another_job_is_refused_and_changes_nothing(api: Api, groq: GroqServer, failed: str) -> None:
    groq.answers.extend([error(401), Answer(held=True)])
    other = api.post().json()["jobId"]
    api.until(other, "failed")
    again = retry(api, other)[1]["jobId"]
    eventually(lambda: len(groq.asked) == 3)
    before = [api.job(identity) for identity in (failed, other, again)]
    for taken in (failed, other, again):
        status, problem = retry(api, failed, job_id=taken)
        assert (status, problem["code"]) == (409, "job_id_reused")
    assert [api.job(identity) for identity in (failed, other, again)] == before
    assert len(groq.asked) == 3


def test_a_retry_without_an_id_makes_another_job_each_time(api: Api, failed: str) -> None:
    made = [
        api.http.post(f"/v1/jobs/{failed}/retry").json()["jobId"],
        retry(api, failed)[1]["jobId"],
        retry(api, failed, job_id=None)[1]["jobId"],
    ]
    assert len({failed, *made}) == 4


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"no json", 400, "malformed"),
        (b"\xff", 400, "malformed"),
        (b"[" * 4_000, 400, "malformed"),
        (b"[]", 400, "malformed"),
        (b"job_id=" + b"x" * 20, 400, "malformed"),
        (b'{"job_id": "' + b"x" * 5_000 + b'"}', 422, "bad_job_id"),
        (b'{"job_id": "' + b"x" * 70_000 + b'"}', 413, "too_large"),
        (b'{"job_id": "too-short"}', 422, "bad_job_id"),
        (b'{"job_id": 12345678901234567890123}', 422, "bad_job_id"),
        (b'{"jobId": "a-job-of-the-tests-000001"}', 422, "unknown_field"),
    ],
)
def test_a_retry_that_cannot_be_read_is_refused(shared_api: Api, body: bytes, status: int, code: str) -> None:
    response = shared_api.http.post(f"/v1/jobs/{job_id()}/retry", content=body)
    assert (response.status_code, response.json()["code"]) == (status, code)
