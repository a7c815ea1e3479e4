"""A captured request under a fresh id, which its producer does not sign: a duplicate where the source is guarded."""

import hashlib
import hmac
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.gateway_app import TOKEN, recording_destination, running_gateway
from tests.support.store import rows
from tests.support.waiting import eventually

SECRET = "made-up-secret"
BODY = b'{"action": "opened"}'
CUSTOM = 'verify = { kind = "hmac", header = "x-hub-signature-256", algorithm = "sha256", parse = "prefix", prefix = "sha256=" }'


def source(name, scheme, *more, secrets=(SECRET,)):
    lines = [
        "[[sources]]",
        f'name = "{name}"',
        scheme,
        f"secrets = {json.dumps(secrets)}",
        'dedupe_key = "header:x-github-delivery"',
        *more,
    ]
    return "\n".join(lines)


SOURCES = "\n".join(
    [
        f'[server]\nadmin_token = "{TOKEN}"',
        source("github", 'preset = "github"', secrets=["newer", SECRET]),
        source("unguarded", 'preset = "github"', "replay_guard = false"),
        source("custom", CUSTOM),
        source("guarded", CUSTOM, "replay_guard = true"),
        source("changing", 'preset = "github"', 'same_id = "duplicate"'),
        '[[sources]]\nname = "token"\nverify = { kind = "token", from = "bearer" }\nsecrets = ["a"]\nreplay_guard = true\ndedupe_key = "none"',
    ]
)


@pytest.fixture
def gateway(tmp_path):
    with recording_destination() as destination:
        text = f'{SOURCES}\n[[destinations]]\nname = "app"\nurl = "{destination.url}"\nallow_private_address = true\n'
        with running_gateway(tmp_path, text) as running:
            yield running


def post(gateway, name="github", *, delivery, body=BODY, secret=SECRET):
    signature = hmac.digest(secret.encode(), body, hashlib.sha256).hex()
    headers = {
        "x-hub-signature-256": f"sha256={signature}",
        "x-github-delivery": delivery,
        "x-github-event": "issues",
    }
    response = gateway.client.post(f"{gateway.url}/webhooks/{name}", content=body, headers=headers)
    assert response.status_code == 200, response.text
    return response.json()


def statuses(answers):
    return [answer["status"] for answer in answers]


def stored(gateway):
    return rows(gateway.path, "SELECT count(*) FROM events")[0][0]


def test_the_same_request_under_another_delivery_is_a_duplicate_of_the_first(gateway):
    first = post(gateway, delivery="d-1")
    assert first["status"] == "accepted"
    again = {"event_id": first["event_id"], "status": "duplicate"}
    assert [post(gateway, delivery=delivery) for delivery in ("d-1", "d-2", "d-3")] == [again] * 3
    assert stored(gateway) == 1
    assert gateway.count("gateway_webhooks_total", source="github", outcome="duplicate") == 3


def test_a_signature_written_in_capitals_is_the_same_signature(gateway):
    first = post(gateway, delivery="d-1")
    signature = hmac.digest(SECRET.encode(), BODY, hashlib.sha256).hex().upper()
    headers = {"x-hub-signature-256": f"sha256={signature}", "x-github-delivery": "d-2"}
    again = gateway.client.post(f"{gateway.url}/webhooks/github", content=BODY, headers=headers).json()
    assert again == {"event_id": first["event_id"], "status": "duplicate"}


def test_two_bodies_are_two_events(gateway):
    answers = [post(gateway, delivery=f"d-{n}", body=b'{"n": %d}' % n) for n in range(2)]
    assert statuses(answers) == ["accepted", "accepted"]
    assert answers[0]["event_id"] != answers[1]["event_id"]


def test_another_body_under_a_known_delivery_is_a_new_event_and_marked(gateway):
    post(gateway, delivery="d-1")
    reused = post(gateway, delivery="d-1", body=b"{}")
    assert (reused["status"], reused["id_reused"]) == ("accepted", True)


def test_where_a_known_delivery_is_a_duplicate_its_changed_body_is_none_under_another(gateway):
    first = post(gateway, "changing", delivery="d-1")
    again = {"event_id": first["event_id"], "status": "duplicate"}
    assert post(gateway, "changing", delivery="d-1", body=b"{}") == again
    assert post(gateway, "changing", delivery="d-2", body=b"{}") == again
    assert post(gateway, "changing", delivery="d-2", body=BODY) == again
    assert stored(gateway) == 1


def test_a_delivery_that_is_signed_anew_by_the_next_secret_is_known_and_its_copies_are(gateway):
    first = post(gateway, delivery="d-1")
    again = {"event_id": first["event_id"], "status": "duplicate"}
    assert [post(gateway, delivery=one, secret="newer") for one in ("d-1", "d-2")] == [again] * 2


@pytest.mark.parametrize(
    ("name", "status"),
    [("unguarded", "accepted"), ("custom", "accepted"), ("guarded", "duplicate"), ("github", "duplicate")],
)
def test_a_custom_source_is_guarded_only_where_it_says_so_and_a_preset_unless_it_says_not(
    gateway, name, status
):
    assert statuses([post(gateway, name, delivery=one) for one in ("d-1", "d-2")]) == ["accepted", status]


def test_what_is_known_of_one_source_is_new_to_another(gateway):
    answers = [post(gateway, name, delivery=f"d-{name}") for name in ("github", "changing", "guarded")]
    assert statuses(answers) == ["accepted"] * 3


def test_a_guard_over_a_scheme_without_a_signature_makes_no_duplicates(gateway):
    answers = [
        gateway.client.post(
            f"{gateway.url}/webhooks/token", content=b"{}", headers={"authorization": "Bearer a"}
        ).json()
        for _ in range(2)
    ]
    assert statuses(answers) == ["accepted", "accepted"]


def test_copies_on_many_connections_at_the_same_moment_are_one_event(gateway):
    def send(number):
        return post(gateway, delivery=f"d-{number % 7}-{number}")

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(send, range(200)))
    assert sorted(statuses(answers)) == ["accepted"] + ["duplicate"] * 199
    assert len({answer["event_id"] for answer in answers}) == 1
    assert stored(gateway) == 1
    event_id = answers[0]["event_id"]
    eventually(lambda: gateway.event(event_id)["state"] == "delivered")
    assert gateway.event(event_id)["deliveries"][0]["attempts"] == 1


def test_many_bodies_with_copies_at_the_same_moment_are_one_event_each(gateway):
    def send(number):
        return post(gateway, delivery=f"d-{number}", body=b'{"n": %d}' % (number % 20))

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(send, range(200)))
    assert statuses(answers).count("accepted") == 20
    for number in range(20):
        assert len({answer["event_id"] for answer in answers[number::20]}) == 1
    assert stored(gateway) == 20
