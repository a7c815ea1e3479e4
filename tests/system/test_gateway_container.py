"""The gateway in its image, with its secrets in files: what it took outlives its end, however it ends."""

import json
import signal

import httpx
import pytest

from tests.support.contained import Contained, contained
from tests.support.gateway_app import SECRET, TOKEN, signed
from tests.support.noting_destination import NotingDestinations, Reply, noting_destinations
from tests.support.waiting import eventually

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

SECRETS = {"webhook_secret": SECRET, "convex_key": "made-up-key", "admin_token": TOKEN}
NAMES = {
    "TRANSCRIBER_WEBHOOK_SECRET_FILE": "webhook_secret",
    "CONVEX_WEBHOOK_KEY_FILE": "convex_key",
    "GATEWAY_ADMIN_TOKEN_FILE": "admin_token",
}
DOWN = Reply(status=503)


@pytest.fixture
def convex():
    with noting_destinations() as destinations:
        yield destinations


@pytest.fixture
def gateway(images, convex, tmp_path):
    (tmp_path / "secrets").mkdir()
    for name, text in SECRETS.items():
        (tmp_path / "secrets" / name).write_text(f"{text}\n")
    settings = {variable: f"/run/secrets/{name}" for variable, name in NAMES.items()}
    settings["CONVEX_SITE_URL"] = f"http://127.0.0.1:{convex.port}"
    with contained(images("gateway"), "gateway", tmp_path, settings) as container:
        container.start()
        yield container


def post(gateway: Contained, n: int):
    """The update number `n` of a job; the same webhook for the same number."""
    body = json.dumps({"type": "transcription.job.progress", "data": {"jobId": "job_1", "n": n}}).encode()
    answer = httpx.post(
        f"{gateway.url}/webhooks/transcriber", content=body, headers=signed(body, message_id=f"msg_{n}")
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


def state(gateway: Contained, event_id: str) -> str:
    answer = httpx.get(f"{gateway.url}/v1/events/{event_id}", headers={"authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["state"])


def tried(convex: NotingDestinations, n: int) -> list[bool]:
    """Whether each attempt at an update was taken."""
    return [attempt.taken for attempt in convex.attempts if attempt.n == n]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGKILL, -signal.SIGKILL)])
def test_what_was_taken_before_the_end_is_known_and_delivered_after_the_next_start(
    gateway, convex, number, code
):
    first = post(gateway, 1)
    eventually(lambda: state(gateway, first["event_id"]) == "delivered")
    convex.behave = lambda _: DOWN
    second = post(gateway, 2)
    eventually(lambda: tried(convex, 2))
    assert gateway.end(number) == code, gateway.said()

    convex.behave = lambda _: Reply()
    gateway.start()
    for n, before in ((1, first), (2, second)):
        assert post(gateway, n) == {"event_id": before["event_id"], "status": "duplicate"}
    eventually(lambda: state(gateway, second["event_id"]) == "delivered")
    assert tried(convex, 1) == [True]
    assert tried(convex, 2).count(True) == 1


def test_an_attempt_under_way_is_ended_within_the_grace_time_and_made_again(gateway, convex):
    convex.behave = lambda _: Reply(after_seconds=60)
    event = post(gateway, 1)
    eventually(lambda: tried(convex, 1))
    assert gateway.end(signal.SIGTERM) == 0, gateway.said()

    convex.behave = lambda _: Reply()
    gateway.start()
    eventually(lambda: state(gateway, event["event_id"]) == "delivered")


def test_no_secret_is_said(gateway):
    post(gateway, 1)
    assert gateway.end(signal.SIGTERM) == 0
    assert [name for name, text in SECRETS.items() if text in gateway.said()] == []
