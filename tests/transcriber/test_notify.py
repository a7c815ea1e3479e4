import json
from collections.abc import Callable

import pytest

from tests.support.groq_server import Answer, GroqServer, error
from tests.support.waiting import eventually
from tests.support.webhook_receiver import WebhookReceiver
from tests.transcriber.conftest import Api, job_id


def test_every_step_arrives_signed_in_order_and_equals_what_get_answers(
    api: Api, receiver: WebhookReceiver
) -> None:
    identity = job_id()
    api.post(job_id=identity)
    api.until(identity, "completed")
    eventually(lambda: receiver.types(identity)[-1:] == ["completed"])
    received = receiver.taken(identity)
    assert receiver.types(identity) == ["queued", "started", "completed"]
    assert [webhook.data["sequence"] for webhook in received] == [1, 2, 3]
    assert len({webhook.webhook_id for webhook in received}) == 3
    got = api.http.get(f"/v1/jobs/{identity}").text
    assert received[-1].body.endswith(f'"data":{got}}}')
    assert received[-1].event["timestamp"].endswith("Z")


def test_an_event_is_sent_until_it_is_taken_the_same_but_for_its_signature(
    api: Api, receiver: WebhookReceiver
) -> None:
    receiver.answers.extend([(500, {}), (404, {}), (410, {}), (429, {"Retry-After": "1"})])
    identity = job_id()
    api.post(job_id=identity)
    eventually(lambda: receiver.types(identity) == ["queued", "started", "completed"])
    first, *_, last, after = receiver.received[:6]
    assert [webhook.status for webhook in receiver.received[:5]] == [500, 404, 410, 429, 200]
    assert (last.webhook_id, last.body) == (first.webhook_id, first.body)
    assert last.timestamp > first.timestamp
    assert after.data["sequence"] == 2


def test_a_receiver_that_asks_for_quiet_until_no_year_gets_its_events_with_the_usual_patience(
    api: Api, receiver: WebhookReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.answers.append((503, {"Retry-After": f"Mon, 01 Jan {10**20} 00:00:00 GMT"}))
    identity = job_id()
    api.post(job_id=identity)
    eventually(lambda: receiver.types(identity) == ["queued", "started", "completed"])
    assert "service.crashed" not in caplog.text


def test_a_redirect_is_not_followed(api: Api, receiver: WebhookReceiver) -> None:
    receiver.answers.append((307, {"Location": receiver.url}))
    identity = job_id()
    api.post(job_id=identity)
    eventually(lambda: receiver.types(identity)[-1:] == ["completed"])
    statuses = [webhook.status for webhook in receiver.received]
    assert statuses == [307, 200, 200, 200]


def test_a_job_that_is_refused_holds_up_no_other(api: Api, receiver: WebhookReceiver) -> None:
    stuck, free = job_id(), job_id()
    receiver.refused_jobs.add(stuck)
    api.post(job_id=stuck)
    api.until(stuck, "completed")
    api.post(job_id=free)
    eventually(lambda: receiver.types(free) == ["queued", "started", "completed"])
    assert receiver.taken(stuck) == []
    receiver.refused_jobs.clear()
    eventually(lambda: receiver.types(stuck) == ["queued", "started", "completed"])


def test_the_queue_does_not_wait_for_a_receiver_that_is_away(
    start: Callable[..., Api], receiver: WebhookReceiver
) -> None:
    api = start(TRANSCRIBER_WEBHOOK_URL="http://127.0.0.1:9/away")
    identity = job_id()
    api.post(job_id=identity)
    assert api.until(identity, "completed")
    eventually(
        lambda: 'attempts_total{outcome="unreachable",webhook="default"}' in api.http.get("/metrics").text
    )
    assert receiver.received == []


def test_without_a_webhook_address_jobs_end_and_events_are_kept(
    start: Callable[..., Api], receiver: WebhookReceiver
) -> None:
    api = start(TRANSCRIBER_WEBHOOK_URL="", TRANSCRIBER_WEBHOOK_SECRET="")
    identity = job_id()
    api.post(job_id=identity)
    api.until(identity, "completed")
    assert 'transcriber_outbox_waiting{webhook=""} 3.0' in api.http.get("/metrics").text
    assert receiver.received == []


def test_an_event_leaves_soon_after_it_is_written(
    api: Api, receiver: WebhookReceiver, groq: GroqServer
) -> None:
    groq.answers.append(Answer(held=True))
    identity = job_id()
    api.post(job_id=identity)
    eventually(lambda: receiver.types(identity) == ["queued", "started"])
    api.http.post(f"/v1/jobs/{identity}/cancel")
    cancelled = eventually(lambda: receiver.taken(identity)[2:])[0]
    moment = cancelled.event["data"]["timestamps"]["completedAt"]
    # a generous limit: this machine does other things as well; the usual time is a few milliseconds
    assert json.loads(cancelled.body)["type"].endswith("cancelled")
    assert int(cancelled.timestamp) - moment / 1000 < 1.0


def test_a_failed_job_is_told_with_its_error(api: Api, receiver: WebhookReceiver, groq: GroqServer) -> None:
    groq.answers.append(error(400, "the file is strange"))
    identity = job_id()
    api.post(job_id=identity)
    failed = api.until(identity, "failed")
    assert failed["error"] == {"code": "engine_refused", "message": "Groq answered 400: the file is strange"}
    eventually(lambda: receiver.types(identity)[-1:] == ["failed"])
    assert receiver.taken(identity)[-1].data == failed
