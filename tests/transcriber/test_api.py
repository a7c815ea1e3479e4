from collections.abc import Callable

import pytest

from tests.support.groq_server import Answer, GroqServer, error
from tests.support.waiting import eventually
from tests.support.webhook_receiver import WebhookReceiver
from tests.transcriber.conftest import DATA, Api, job_id


def test_a_job_is_accepted_with_its_address_and_ends_with_its_text(api: Api) -> None:
    identity = job_id()
    response = api.post(job_id=identity, user_id="ada")
    assert response.status_code == 202
    assert response.headers["location"] == f"/v1/jobs/{identity}"
    created = response.json()
    assert created["status"] == "queued"
    assert created["result"] is None
    assert created["error"] is None
    done = api.until(identity, "completed")
    assert done["userId"] == "ada"
    assert done["progress"] == 100
    assert done["result"]["text"].startswith("And so my fellow Americans")
    assert done["result"]["language"] == "en"
    assert done["result"]["durationSeconds"] == 11.0
    assert done["result"]["segments"][1] == {
        "start": 4.5,
        "end": 11.0,
        "text": "ask not what your country can do for you.",
    }
    assert done["result"]["transcriptUrl"] is None
    assert done["result"]["truncated"] is False
    times = done["timestamps"]
    assert times["createdAt"] <= times["startedAt"] <= times["completedAt"]
    assert times["createdAt"] == created["timestamps"]["createdAt"]


def test_a_job_without_an_id_gets_one_that_can_be_asked_for(api: Api) -> None:
    created = api.post().json()
    assert len(created["jobId"]) >= 20
    assert created["userId"] == "anonymous"
    assert api.until(created["jobId"], "completed")


def test_the_same_call_again_is_the_same_job(api: Api, groq: GroqServer) -> None:
    identity = job_id()
    first = api.post(job_id=identity, language="en").json()
    api.until(identity, "completed")
    again = api.post(job_id=identity, language="en")
    assert again.status_code == 202
    assert again.json() == api.job(identity)
    assert again.json()["timestamps"]["createdAt"] == first["timestamps"]["createdAt"]
    assert len(groq.asked) == 1


@pytest.mark.parametrize(
    "change", [{"language": "de"}, {"user_id": "bob"}, {"audio": (DATA / "jfk.mp3").read_bytes()}]
)
def test_a_known_id_with_other_content_is_refused_and_changes_nothing(api: Api, change: dict) -> None:
    identity = job_id()
    api.post(job_id=identity)
    before = api.until(identity, "completed")
    response = api.post(job_id=identity, **change)
    assert response.status_code == 409
    assert response.json()["code"] == "job_id_reused"
    assert api.job(identity) == before
    assert api.recordings() == []


def test_a_poller_learns_when_to_come_back_until_the_job_is_over(api: Api, groq: GroqServer) -> None:
    groq.answers.append(Answer(held=True))
    identity = job_id()
    api.post(job_id=identity)
    api.until(identity, "processing")
    assert api.http.get(f"/v1/jobs/{identity}").headers["retry-after"] == "1"
    groq.release()
    api.until(identity, "completed")
    response = api.http.get(f"/v1/jobs/{identity}")
    assert "retry-after" not in response.headers
    unchanged = api.http.get(
        f"/v1/jobs/{identity}", headers={"If-None-Match": f'"x", W/{response.headers["etag"]}'}
    )
    assert unchanged.status_code == 304
    assert unchanged.content == b""
    assert api.http.get(f"/v1/jobs/{identity}", headers={"If-None-Match": '"x"'}).status_code == 200


def test_a_transcript_can_be_read_in_four_formats(api: Api) -> None:
    identity = job_id()
    api.post(job_id=identity, **{"timestamp_granularities[]": "word"})
    api.until(identity, "completed")
    path = f"/v1/jobs/{identity}/transcript"
    whole = api.http.get(path).json()
    assert whole["words"][0] == {"start": 0.0, "end": 0.4, "word": "And"}
    assert api.http.get(path, params={"format": "text"}).text == whole["text"]
    assert "00:00:04,500 --> 00:00:11,000\nask not" in api.http.get(path, params={"format": "srt"}).text
    vtt = api.http.get(path, params={"format": "vtt"})
    assert vtt.headers["content-type"].startswith("text/vtt")
    assert vtt.text.startswith("WEBVTT\n\n00:00:00.000 --> 00:00:04.500\nAnd so")
    assert api.http.get(path, params={"format": "pdf"}).status_code == 400


def test_words_are_null_unless_asked_for(api: Api) -> None:
    identity = job_id()
    api.post(job_id=identity)
    api.until(identity, "completed")
    assert api.http.get(f"/v1/jobs/{identity}/transcript").json()["words"] is None


def test_a_transcript_is_refused_while_there_is_none(api: Api, groq: GroqServer) -> None:
    groq.answers.append(Answer(held=True))
    identity = job_id()
    api.post(job_id=identity)
    assert api.http.get(f"/v1/jobs/{identity}/transcript").status_code == 409


def test_a_job_cancelled_while_processing_stays_cancelled_and_frees_the_engine(
    api: Api, groq: GroqServer, receiver: WebhookReceiver
) -> None:
    groq.answers.append(Answer(held=True))
    identity = job_id()
    api.post(job_id=identity)
    api.until(identity, "processing")
    eventually(lambda: groq.asked)
    response = api.http.post(f"/v1/jobs/{identity}/cancel")
    assert response.status_code == 202
    cancelled = response.json()
    assert cancelled["status"] == "cancelled"
    assert cancelled["timestamps"]["completedAt"] is not None
    groq.release()
    again = api.http.post(f"/v1/jobs/{identity}/cancel")
    assert again.status_code == 200
    assert again.json() == cancelled == api.job(identity)
    other = api.post().json()["jobId"]
    api.until(other, "completed")
    eventually(lambda: receiver.types(identity) == ["queued", "started", "cancelled"])


def test_a_cancelled_job_can_be_tried_again_as_a_new_one(api: Api, groq: GroqServer) -> None:
    groq.answers.append(Answer(held=True))
    first = api.post(user_id="ada").json()["jobId"]
    eventually(lambda: groq.asked)
    api.http.post(f"/v1/jobs/{first}/cancel")
    response = api.http.post(f"/v1/jobs/{first}/retry")
    assert response.status_code == 202
    retried = response.json()
    assert retried["retryOf"] == first
    assert retried["jobId"] != first
    assert response.headers["location"] == f"/v1/jobs/{retried['jobId']}"
    done = api.until(retried["jobId"], "completed")
    assert done["userId"] == "ada"
    assert "retryOf" not in done
    assert api.job(first)["status"] == "cancelled"


def test_only_failed_and_cancelled_jobs_are_tried_again(api: Api) -> None:
    identity = job_id()
    api.post(job_id=identity)
    api.until(identity, "completed")
    assert api.http.post(f"/v1/jobs/{identity}/retry").status_code == 409


def test_a_job_whose_audio_is_gone_cannot_be_tried_again(api: Api, groq: GroqServer) -> None:
    groq.answers.append(error(401))
    identity = job_id()
    api.post(job_id=identity)
    assert api.until(identity, "failed")["error"]["code"] == "engine_unauthorized"
    for path in api.recordings():
        path.unlink()
    assert api.http.post(f"/v1/jobs/{identity}/retry").status_code == 410


def test_deletion_removes_audio_and_result_and_leaves_a_tombstone(
    api: Api, receiver: WebhookReceiver
) -> None:
    identity = job_id()
    api.post(job_id=identity, prompt="a very secret prompt")
    done = api.until(identity, "completed")
    eventually(lambda: receiver.types(identity)[-1:] == ["completed"])
    response = api.http.delete(f"/v1/jobs/{identity}")
    assert response.status_code == 200
    tombstone = response.json()
    assert tombstone == done | {"status": "deleted", "sequence": done["sequence"] + 1, "result": None}
    assert api.job(identity) == tombstone
    assert api.http.get(f"/v1/jobs/{identity}/transcript").status_code == 410
    assert api.http.post(f"/v1/jobs/{identity}/retry").status_code == 410
    assert api.http.delete(f"/v1/jobs/{identity}").json() == tombstone
    eventually(lambda: receiver.types(identity)[-1:] == ["deleted"])
    assert api.recordings() == []


def test_deleting_a_job_in_hand_cancels_it_first(
    api: Api, groq: GroqServer, receiver: WebhookReceiver
) -> None:
    groq.answers.append(Answer(held=True))
    identity = job_id()
    api.post(job_id=identity)
    api.until(identity, "processing")
    api.http.delete(f"/v1/jobs/{identity}")
    eventually(lambda: receiver.types(identity) == ["queued", "started", "cancelled", "deleted"])
    assert [webhook.data["sequence"] for webhook in receiver.taken(identity)] == [1, 2, 3, 4]
    assert api.recordings() == []


def test_a_recording_shared_with_a_retry_outlives_the_first_jobs_deletion(api: Api, groq: GroqServer) -> None:
    groq.answers.extend([error(401), Answer(held=True)])
    first = api.post().json()["jobId"]
    api.until(first, "failed")
    second = api.http.post(f"/v1/jobs/{first}/retry").json()["jobId"]
    api.http.delete(f"/v1/jobs/{first}")
    assert len(api.recordings()) == 1
    groq.release()
    api.until(second, "completed")
    eventually(lambda: api.recordings() == [])


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("identity", ["unknown-unknown-unknown", "short", "%2e%2e%2fetc", "x" * 200])
def test_an_unknown_job_is_not_found(shared_api: Api, method: str, identity: str) -> None:
    response = shared_api.http.request(method, f"/v1/jobs/{identity}")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["status"] == 404


def test_the_list_is_closed_without_a_key_and_opens_with_it(start: Callable[..., Api]) -> None:
    assert start().http.get("/v1/jobs").status_code == 403


def test_the_list_pages_newest_first_and_filters(start: Callable[..., Api]) -> None:
    api = start(TRANSCRIBER_API_KEY="key")
    assert api.http.get("/v1/jobs").status_code == 401
    assert api.http.get("/v1/jobs", headers={"Authorization": "Bearer kéy".encode()}).status_code == 401
    api.http.headers["Authorization"] = "Bearer key"
    identities = [api.post(user_id=user).json()["jobId"] for user in ("ada", "bob", "ada")]
    for identity in identities:
        api.until(identity, "completed")
    first = api.http.get("/v1/jobs", params={"limit": 2}).json()
    assert [job["jobId"] for job in first["items"]] == [identities[2], identities[1]]
    rest = api.http.get("/v1/jobs", params={"limit": 2, "cursor": first["next_cursor"]}).json()
    assert rest == {"items": [api.job(identities[0])], "next_cursor": None}
    assert len(api.http.get("/v1/jobs", params={"user_id": "ada"}).json()["items"]) == 2
    assert api.http.get("/v1/jobs", params={"status": "failed"}).json()["items"] == []
    api.http.delete(f"/v1/jobs/{identities[0]}")
    assert len(api.http.get("/v1/jobs").json()["items"]) == 2
    assert len(api.http.get("/v1/jobs", params={"status": "deleted"}).json()["items"]) == 1


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=x", "limit=101", "limit=²", "status=done", "cursor=%F0", "cursor=zzz"]
)
def test_a_list_that_cannot_be_read_is_refused(start: Callable[..., Api], query: str) -> None:
    api = start(TRANSCRIBER_API_KEY="key")
    response = api.http.get(f"/v1/jobs?{query}", headers={"Authorization": "Bearer key"})
    assert response.status_code == 400
    assert response.json()["code"] == "bad_query"


def test_behind_a_required_key_every_job_route_asks_for_it(start: Callable[..., Api]) -> None:
    api = start(TRANSCRIBER_API_KEY="key", TRANSCRIBER_REQUIRE_KEY="true")
    identity = job_id()
    assert api.post(job_id=identity).status_code == 401
    path = f"/v1/jobs/{identity}"
    for method, route in [
        ("GET", path),
        ("DELETE", path),
        ("GET", f"{path}/transcript"),
        ("POST", f"{path}/cancel"),
        ("POST", f"{path}/retry"),
    ]:
        assert api.http.request(method, route).status_code == 401
    assert api.http.get("/healthz").status_code == 200
    api.http.headers["Authorization"] = "Bearer key"
    assert api.post(job_id=identity).status_code == 202


def test_a_full_queue_refuses_new_jobs_but_knows_the_old(start: Callable[..., Api], groq: GroqServer) -> None:
    api = start(TRANSCRIBER_MAX_QUEUED_JOBS="1")
    groq.answers.extend(Answer(held=True) for _ in range(4))
    for _ in range(4):
        api.until(api.post().json()["jobId"], "processing")
    identity = job_id()
    assert api.post(job_id=identity).status_code == 202
    refused = api.post()
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) > 0
    assert api.post(job_id=identity).status_code == 202


def test_only_allowed_origins_may_call_from_a_page(start: Callable[..., Api]) -> None:
    api = start(TRANSCRIBER_CORS_ORIGINS="https://page.example")
    allowed = api.http.get("/healthz", headers={"Origin": "https://page.example"})
    assert allowed.headers["access-control-allow-origin"] == "https://page.example"
    assert (
        "access-control-allow-origin"
        not in api.http.get("/healthz", headers={"Origin": "https://evil.example"}).headers
    )
    assert "x-should-retry" in allowed.headers["access-control-expose-headers"]
    preflight = api.http.options(
        "/v1/audio/transcriptions",
        headers={
            "Origin": "https://page.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization, idempotency-key, x-stainless-lang",  # of an SDK
        },
    )
    assert preflight.status_code == 200


def test_a_wrong_method_is_told_every_right_one(shared_api: Api) -> None:
    response = shared_api.http.put(f"/v1/jobs/{job_id()}")
    assert response.status_code == 405
    assert response.headers["allow"] == "DELETE, GET, HEAD"


def test_every_refusal_is_a_problem_document(shared_api: Api) -> None:
    for response in (
        shared_api.http.get("/nowhere"),
        shared_api.http.post("/v1/jobs/"),
        shared_api.http.put("/v1/jobs"),
        shared_api.http.post("/v1/jobs", content=b"{}"),
        shared_api.http.get("/healthz/"),  # no redirect, which would lead to whatever host the request names
    ):
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json().keys() == {"type", "title", "status", "detail", "code"}
        assert response.json()["status"] == response.status_code


def test_a_folder_of_recordings_that_is_gone_is_told_and_passes(api: Api) -> None:
    folder = api.data_dir / "audio"
    folder.rename(api.data_dir / "elsewhere")
    faults = api.http.get("/readyz").json()["faults"]
    refused = [api.post(), api.http.post("/v1/audio/transcriptions", files={"file": b"sound"})]
    (api.data_dir / "elsewhere").rename(folder)
    assert "cannot be used" in faults["disk"]
    for answer in refused:
        assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
    assert refused[1].json()["error"]["code"] == "store_unavailable"
    assert api.post().status_code == 202


def test_operators_can_ask_how_it_goes(api: Api) -> None:
    assert api.http.get("/healthz").status_code == 200
    eventually(lambda: api.http.get("/readyz").status_code == 200)
    identity = api.post().json()["jobId"]
    api.until(identity, "completed")
    eventually(
        lambda: 'attempts_total{outcome="taken",webhook="default"} 3.0' in api.http.get("/metrics").text
    )
    metrics = api.http.get("/metrics").text
    assert 'transcriber_jobs{status="completed"} 1.0' in metrics
    assert 'transcriber_audio_seconds_total{engine="groq"} 11.0' in metrics
    assert 'transcriber_outbox_waiting{webhook="default"} 0.0' in metrics


def test_the_description_is_served_as_yaml_and_json(shared_api: Api) -> None:
    assert shared_api.http.get("/openapi.yaml").text.startswith("openapi: 3.1")
    assert shared_api.http.get("/openapi.json").json()["info"]["title"]
