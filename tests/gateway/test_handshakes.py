"""What producers ask before they send anything, through a running gateway: answered at once, and never an event."""

import base64
import hashlib
import hmac
import json
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
import schemathesis
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.verify.handshake import HANDSHAKES, LONGEST_CHALLENGE
from tests.support.clock import ManualClock
from tests.support.contract import without_other_refusals
from tests.support.gateway_app import (
    KEY,
    MAX_BODY_BYTES,
    SOURCES,
    problem_of,
    recording_destination,
    running_gateway,
)
from tests.support.store import rows

AT = 1_700_000_000
"""When the vectors were signed."""
VECTORS = {
    vector["preset"].removeprefix("(handshake:").removesuffix(")"): vector
    for vector in json.loads(Path("tests/data/signatures.json").read_bytes())
    if vector.get("kind") == "handshake"
}
DISCORD = Ed25519PrivateKey.from_private_bytes(KEY)
X_SECRET = "made-up-consumer-secret"
TOKEN = "made-up-token-of-the-source"
GRAPH = "validationToken"
CONTRACT = schemathesis.openapi.from_dict(without_other_refusals("gateway"))


def source(name, preset, secret, *more):
    lines = ["[[sources]]", f'name = "{name}"', f'preset = "{preset}"', f'secrets = ["{secret}"]', *more]
    return "\n".join(lines)


TEXT = "\n\n".join(
    [
        SOURCES,
        source("slack", "slack", VECTORS["slack"]["secret"]),
        source("zoom", "zoom", VECTORS["zoom"]["secret"]),
        source("meta", "meta", "made-up-app-secret", 'verify_token = "verify-token-1"'),
        source("meta-by-secret", "meta", "made-up-app-secret"),
        source("x", "x-twitter", X_SECRET),
        source("discord", "discord", DISCORD.public_key().public_bytes_raw().hex()),
        source("twitch", "twitch", "made-up-secret"),
        source("asana", "asana", "made-up-secret"),
        source("dropbox", "dropbox", "made-up-secret"),
        source("nylas", "nylas", "made-up-secret"),
        source("graph", "microsoft-graph", TOKEN),
        source("okta", "okta", TOKEN),
        source("cloudevents", "cloudevents", TOKEN),
        source("ringcentral", "api-key", TOKEN, 'handshake = "ringcentral"'),
        source("without", "slack", VECTORS["slack"]["secret"], 'handshake = "none"'),
    ]
)


@pytest.fixture(scope="module")
def destination():
    with recording_destination() as recording:
        yield recording


@pytest.fixture(scope="module")
def gateway(tmp_path_factory, destination):
    text = (
        f'{TEXT}\n[[destinations]]\nname = "app"\nurl = "{destination.url}"\nallow_private_address = true\n'
    )
    clock = ManualClock(AT * 1000)
    with running_gateway(tmp_path_factory.mktemp("gateway"), text, clock=clock) as running:
        yield running


def ask(gateway, name, method="POST", *, query="", headers=(), body=b""):
    return gateway.client.request(
        method, f"{gateway.url}/webhooks/{name}{query}", headers=list(headers), content=body
    )


def mac(secret, message, algorithm=hashlib.sha256):
    return hmac.digest(secret.encode(), message, algorithm)


def signed_v0(name, body, *, secret=None, at=AT):
    """As Slack and Zoom sign."""
    header = {"slack": "x-slack-signature", "zoom": "x-zm-signature"}[name]
    time_header = {"slack": "x-slack-request-timestamp", "zoom": "x-zm-request-timestamp"}[name]
    signature = mac(secret or VECTORS[name]["secret"], f"v0:{at}:".encode() + body).hex()
    return [(header, f"v0={signature}"), (time_header, str(at))]


def signed_discord(body, *, key=DISCORD):
    signature = key.sign(str(AT).encode() + body).hex()
    return [("x-signature-ed25519", signature), ("x-signature-timestamp", str(AT))]


def signed_twitch(body, *, kind="webhook_callback_verification", secret="made-up-secret"):
    at = "2023-11-14T22:13:20.123456789Z"
    signature = mac(secret, f"id-1{at}".encode() + body).hex()
    return [
        ("twitch-eventsub-message-id", "id-1"),
        ("twitch-eventsub-message-timestamp", at),
        ("twitch-eventsub-message-signature", f"sha256={signature}"),
        ("twitch-eventsub-message-type", kind),
    ]


def as_json(value):
    return json.dumps(value).encode()


SLACK = as_json({"type": "url_verification", "challenge": "made-up <b>challenge</b>"})
ZOOM = as_json({"event": "endpoint.url_validation", "payload": {"plainToken": "plain-1"}})
TWITCH = as_json({"challenge": "made-up", "subscription": {"type": "channel.follow"}})
META = "?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=verify-token-1"
CRC = "?crc_token=" + quote("NGExZjU5Ym+/=_-", safe="")
X_ANSWER = {"response_token": "sha256=" + base64.b64encode(mac(X_SECRET, b"NGExZjU5Ym+/=_-")).decode()}

RIGHT = {
    "slack": ({"headers": signed_v0("slack", SLACK), "body": SLACK}, 200, b"made-up <b>challenge</b>"),
    "zoom": (
        {"headers": signed_v0("zoom", ZOOM), "body": ZOOM},
        200,
        {"plainToken": "plain-1", "encryptedToken": mac(VECTORS["zoom"]["secret"], b"plain-1").hex()},
    ),
    "discord": ({"headers": signed_discord(b'{"type":1}'), "body": b'{"type":1}'}, 200, {"type": 1}),
    "twitch": ({"headers": signed_twitch(TWITCH), "body": TWITCH}, 200, b"made-up"),
    "meta": ({"method": "GET", "query": META}, 200, b"1158201444"),
    "meta-by-secret": (
        {"method": "GET", "query": META.replace("verify-token-1", "made-up-app-secret")},
        200,
        b"1158201444",
    ),
    "x": ({"method": "GET", "query": CRC}, 200, X_ANSWER),
    "graph": (
        {"query": "?validationToken=" + quote("Validation: <script>x</script> é")},
        200,
        "Validation: <script>x</script> é".encode(),
    ),
    "dropbox": ({"method": "GET", "query": "?challenge=made-up"}, 200, b"made-up"),
    "nylas": ({"method": "GET", "query": "?challenge=made-up"}, 200, b"made-up"),
    "okta": (
        {"method": "GET", "headers": [("X-Okta-Verification-Challenge", "made-up")]},
        200,
        {"verification": "made-up"},
    ),
    "asana": ({"headers": [("X-Hook-Secret", "made-up")], "body": b"{}"}, 200, b""),
    "ringcentral": ({"headers": [("Validation-Token", "made-up")]}, 200, b""),
    "cloudevents": ({"method": "OPTIONS", "headers": [("WebHook-Request-Origin", "a.example")]}, 200, b""),
}
"""Source → the question, the status, the answer."""


def nothing_came_of_it(gateway, destination):
    assert gateway.admin("/v1/events").json()["items"] == []
    assert rows(gateway.path, "SELECT count(*) FROM deliveries") == [(0,)]
    assert destination.received == []


def test_every_handshake_that_there_is_is_asked_here():
    asked = {"meta" if name == "meta-by-secret" else "crc" if name == "x" else name for name in RIGHT}
    assert asked == set(HANDSHAKES)


@pytest.mark.parametrize("name", RIGHT)
def test_a_handshake_is_answered_counted_and_logged_and_is_no_event(gateway, destination, caplog, name):
    caplog.set_level("INFO", logger="gateway")
    question, status, expected = RIGHT[name]
    before = gateway.webhooks()
    response = ask(gateway, name, **question)
    assert response.status_code == status
    if response.content or status == 204:
        CONTRACT["/webhooks/{source}"][question.get("method", "POST")].validate_response(response)
    if isinstance(expected, dict):
        assert response.headers["content-type"] == "application/json"
        assert response.json() == expected
    elif expected:
        assert response.headers["content-type"] == "text/plain; charset=utf-8"
        assert response.content == expected
    else:
        assert response.content == b""
    if response.content:
        assert response.headers["x-content-type-options"] == "nosniff"
    counted = {
        key: value - before.get(key, 0)
        for key, value in gateway.webhooks().items()
        if value != before.get(key, 0)
    }
    assert counted == {(name, "handshake"): 1}
    lines = [record.fields for record in caplog.records if record.getMessage() == "handshake.answered"]
    assert lines == [{"source": name}]
    nothing_came_of_it(gateway, destination)


@pytest.mark.parametrize("name", sorted(VECTORS))
def test_the_vector_of_a_handshake_is_answered_as_its_producer_expects(gateway, name):
    vector = VECTORS[name]
    query = urlsplit(vector["url"]).query
    response = ask(
        gateway,
        name,
        vector["method"],
        query=f"?{query}" if query else "",
        headers=vector["headers"].items(),
        body=vector["body"].encode(),
    )
    expected = vector["response"]
    assert response.status_code == expected["status"]
    if "json" in expected:
        assert response.json() == expected["json"]
    else:
        assert response.text == expected["body"]
        assert response.headers["content-type"].partition(";")[0] == expected["content_type"]


def test_discord_is_told_204_where_it_pings_for_its_events(gateway, destination):
    body = b'{"version": 1, "application_id": "1", "type": 0}'
    response = ask(gateway, "discord", headers=signed_discord(body), body=body)
    assert (response.status_code, response.content) == (204, b"")
    nothing_came_of_it(gateway, destination)


@pytest.mark.parametrize(
    ("name", "headers"),
    [
        ("asana", {"x-hook-secret": "made-up"}),
        ("ringcentral", {"validation-token": "made-up"}),
        ("cloudevents", {"webhook-allowed-origin": "a.example", "allow": "POST"}),
    ],
)
def test_what_is_answered_in_headers_stands_there(gateway, name, headers):
    response = ask(gateway, name, **RIGHT[name][0])
    assert {key: response.headers[key] for key in headers} == headers


def test_a_sender_of_cloudevents_that_asks_for_a_rate_is_given_any(gateway):
    headers = [("WebHook-Request-Origin", "a.example"), ("WebHook-Request-Rate", "120")]
    assert ask(gateway, "cloudevents", "OPTIONS", headers=headers).headers["webhook-allowed-rate"] == "*"
    without = ask(gateway, "cloudevents", "OPTIONS", headers=headers[:1])
    assert "webhook-allowed-rate" not in without.headers


LONG = "x" * (LONGEST_CHALLENGE + 1)
REFUSED = {
    "slack, another secret": ("slack", {"headers": signed_v0("slack", SLACK, secret="other"), "body": SLACK}),
    "slack, unsigned": ("slack", {"body": SLACK}),
    "slack, a day old": ("slack", {"headers": signed_v0("slack", SLACK, at=AT - 86_400), "body": SLACK}),
    "slack, a changed body": ("slack", {"headers": signed_v0("slack", SLACK), "body": SLACK + b" "}),
    "zoom, another secret": ("zoom", {"headers": signed_v0("zoom", ZOOM, secret="other"), "body": ZOOM}),
    "zoom, unsigned": ("zoom", {"body": ZOOM}),
    "discord, another key": (
        "discord",
        {
            "headers": signed_discord(b'{"type":1}', key=Ed25519PrivateKey.from_private_bytes(b"x" * 32)),
            "body": b'{"type":1}',
        },
    ),
    "discord, unsigned": ("discord", {"body": b'{"type":1}'}),
    "twitch, another secret": ("twitch", {"headers": signed_twitch(TWITCH, secret="other"), "body": TWITCH}),
    "meta, another token": ("meta", {"method": "GET", "query": META + "2"}),
    "meta, the app secret": (
        "meta",
        {"method": "GET", "query": META.replace("verify-token-1", "made-up-app-secret")},
    ),
    "meta, no token": ("meta", {"method": "GET", "query": META.partition("&hub.verify")[0]}),
    "meta, an empty token": ("meta", {"method": "GET", "query": META.replace("verify-token-1", "")}),
    "meta, a token twice": ("meta", {"method": "GET", "query": META + "&hub.verify_token=verify-token-1"}),
    "meta, a challenge twice": ("meta", {"method": "GET", "query": META + "&hub.challenge=2"}),
    "meta, another mode": ("meta", {"method": "GET", "query": META.replace("subscribe", "unsubscribe")}),
    "meta, a long challenge": ("meta", {"method": "GET", "query": META.replace("1158201444", LONG)}),
    "meta, nothing": ("meta", {"method": "GET"}),
    "meta, the handshake by POST": ("meta", {"query": META}),
    "x, nothing": ("x", {"method": "GET"}),
    "x, twice": ("x", {"method": "GET", "query": "?crc_token=a&crc_token=b"}),
    "x, empty": ("x", {"method": "GET", "query": "?crc_token="}),
    "x, long": ("x", {"method": "GET", "query": "?crc_token=" + "a" * 201}),
    "x, by POST": ("x", {"query": CRC}),
    "graph, twice": ("graph", {"query": "?validationToken=a&validationToken=b"}),
    "graph, long": ("graph", {"query": f"?validationToken={LONG}"}),
    "dropbox, nothing": ("dropbox", {"method": "GET"}),
    "dropbox, twice": ("dropbox", {"method": "GET", "query": "?challenge=a&challenge=b"}),
    "dropbox, long": ("dropbox", {"method": "GET", "query": f"?challenge={LONG}"}),
    "nylas, many fields": ("nylas", {"method": "GET", "query": "?challenge=a" + "&b=1" * 100}),
    "okta, nothing": ("okta", {"method": "GET"}),
    "okta, twice": ("okta", {"method": "GET", "headers": [("X-Okta-Verification-Challenge", "a")] * 2}),
    "okta, long": ("okta", {"method": "GET", "headers": [("X-Okta-Verification-Challenge", "a" * 501)]}),
    "asana, twice": ("asana", {"headers": [("X-Hook-Secret", "a")] * 2}),
    "asana, long": ("asana", {"headers": [("X-Hook-Secret", "a" * 501)]}),
    "ringcentral, twice": ("ringcentral", {"headers": [("Validation-Token", "a")] * 2}),
    "cloudevents, nothing": ("cloudevents", {"method": "OPTIONS"}),
    "cloudevents, twice": (
        "cloudevents",
        {"method": "OPTIONS", "headers": [("WebHook-Request-Origin", "a")] * 2},
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_handshake_that_is_not_as_it_should_be_is_answered_401_and_is_no_event(gateway, destination, case):
    name, question = REFUSED[case]
    response = ask(gateway, name, **question)
    assert problem_of(response)["status"] == 401
    for reflected in (b"challenge</b>", b"1158201444", b"plain-1", b"response_token", LONG.encode()):
        assert reflected not in response.content
    nothing_came_of_it(gateway, destination)


@pytest.mark.parametrize(
    "body",
    [
        b'{"tweet_create_events":[]}', b'{"a":1}', b"{}", b"[]", b'"text"', b" ", b"a b", b"a.b", b"a&b", b"a%3Db", b"{",
        b"msg_1.1700000000.{}", b"v0:1700000000:a", b"https://hooks.example.com/in", b"a\nb", b"\xc3\xa9", b"a:b", b"a,b",
    ],
)  # fmt: skip
def test_the_crc_signs_nothing_that_could_be_a_delivery(gateway, body):
    """Its answer is made by the key of deliveries: what it signs, anybody could send."""
    response = ask(gateway, "x", "GET", query="?crc_token=" + quote(body))
    assert problem_of(response)["status"] == 401
    assert base64.b64encode(mac(X_SECRET, body)) not in response.content


METHODS = {name: question.get("method", "POST") for name, (question, _, _) in RIGHT.items()}
OTHERS = [
    (name, method)
    for name in [*METHODS, "producer", "without"]
    for method in ("GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH")
    if method != METHODS.get(name)
]


@pytest.mark.parametrize(("name", "method"), OTHERS)
def test_a_method_that_is_no_handshake_of_the_source_is_answered_405(gateway, name, method):
    question = RIGHT["meta"][0]["query"] + "&crc_token=a&challenge=a&validationToken=a"
    headers = [("WebHook-Request-Origin", "a.example"), ("X-Okta-Verification-Challenge", "a")]
    response = ask(gateway, name, method, query=question, headers=headers)
    assert response.status_code == 405
    assert response.headers["allow"] == "POST"


@pytest.mark.parametrize("name", ["slack", "producer", "without"])
def test_a_source_answers_no_handshake_but_its_own(gateway, destination, name):
    headers = [("X-Hook-Secret", "a"), ("Validation-Token", "a")]
    response = ask(gateway, name, query="?validationToken=a&challenge=b", headers=headers, body=b"{}")
    assert problem_of(response)["status"] == 401
    assert "x-hook-secret" not in response.headers
    nothing_came_of_it(gateway, destination)


@pytest.mark.parametrize("name", ["graph", "asana", "ringcentral", "meta", "x"])
def test_a_handshake_needs_no_header_that_webhooks_need(gateway, name):
    question = RIGHT[name][0]
    sent = {key.lower() for key, _ in question.get("headers", ())}
    assert not sent & {"x-hook-signature", "x-api-key", "x-hub-signature-256", "x-twitter-webhooks-signature"}
    assert ask(gateway, name, **question).status_code == 200


@pytest.mark.parametrize("name", ["graph", "asana"])
def test_a_handshake_that_comes_with_a_body_leaves_the_connection_usable(gateway, name):
    question = {**RIGHT[name][0], "body": b"x" * 20_000}
    assert [ask(gateway, name, **question).status_code for _ in range(3)] == [200] * 3


def test_a_signed_handshake_that_is_too_large_is_refused_before_it_is_read(gateway):
    body = as_json({"type": "url_verification", "challenge": "x" * MAX_BODY_BYTES})
    assert ask(gateway, "slack", headers=signed_v0("slack", body), body=body).status_code == 413


@pytest.mark.parametrize("challenge", [LONG, "two\r\nlines", "\x00", "\ud800", 5, None, ["a"], {"a": "b"}])
def test_an_authentic_question_that_cannot_be_answered_is_an_event_and_nothing_is_reflected(
    tmp_path, challenge
):
    body = as_json({"type": "url_verification", "challenge": challenge})
    with running_gateway(tmp_path, TEXT, clock=ManualClock(AT * 1000)) as gateway:
        response = ask(gateway, "slack", headers=signed_v0("slack", body), body=body)
        assert (response.status_code, response.content) == (200, b"")
        assert gateway.webhooks() == {("slack", "unrouted"): 1}


@pytest.mark.parametrize(
    ("name", "headers", "body"),
    [
        ("slack", signed_v0, as_json({"type": "event_callback", "challenge": "a", "event_id": "e"})),
        ("zoom", signed_v0, as_json({"event": "recording.completed", "payload": {"plainToken": "a"}})),
        ("discord", signed_discord, as_json({"type": 1, "event": {"type": "APPLICATION_AUTHORIZED"}})),
        ("discord", signed_discord, as_json({"type": True})),
        ("discord", signed_discord, as_json([1])),
        ("twitch", signed_twitch, TWITCH),
        ("without", signed_v0, SLACK),
    ],
)
def test_an_authentic_webhook_that_is_no_handshake_is_an_event(tmp_path, name, headers, body):
    with running_gateway(tmp_path, TEXT, clock=ManualClock(AT * 1000)) as gateway:
        if headers is signed_twitch:
            sent = signed_twitch(body, kind="notification")
        elif headers is signed_v0:
            sent = signed_v0("slack" if name == "without" else name, body)
        else:
            sent = headers(body)
        assert ask(gateway, name, headers=sent, body=body).status_code == 200
        assert gateway.webhooks() == {(name, "unrouted"): 1}


def test_a_handshake_is_answered_with_the_secret_that_counts_now(tmp_path):
    x = """
    [[sources]]
    name = "x"
    preset = "x-twitter"
    secrets = [
      { value = "tried", shadow = true },
      { value = "over", not_after = 2023-11-14T22:13:19Z },
      { value = "current" },
      "later",
    ]
    [[sources]]
    name = "zoom"
    preset = "zoom"
    secrets = ["new", "old"]
    """
    with running_gateway(tmp_path, x, clock=ManualClock(AT * 1000)) as gateway:
        token = ask(gateway, "x", "GET", query="?crc_token=a").json()["response_token"]
        assert token == "sha256=" + base64.b64encode(mac("current", b"a")).decode()
        headers = signed_v0("zoom", ZOOM, secret="old")
        encrypted = ask(gateway, "zoom", headers=headers, body=ZOOM).json()["encryptedToken"]
        assert encrypted == mac("old", b"plain-1").hex(), "by the one that the question was signed with"


def test_a_crc_is_not_answered_while_no_secret_counts(tmp_path):
    x = """
    [[sources]]
    name = "x"
    preset = "x-twitter"
    secrets = [{ value = "over", not_after = 2023-11-14T22:13:19Z }]
    """
    with running_gateway(tmp_path, x, clock=ManualClock(AT * 1000)) as gateway:
        assert ask(gateway, "x", "GET", query="?crc_token=a").status_code == 401
