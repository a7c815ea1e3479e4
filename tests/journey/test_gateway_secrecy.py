"""A gateway whose every secret is used, guessed at and echoed: none is in its log, its files or its answers; no body is in its log."""

import base64
import json
import signal
import socket

import pytest

from tests.support.gateway_app import KEY, SECRET, TOKEN, fresh_id, recording_destination, signed
from tests.support.gateway_process import GatewayProcess
from tests.support.waiting import eventually

SECRETS = {
    name: f"made-up-{name}-Zq7"
    for name in ("header-token", "query-token", "bearer", "api-key", "shadow", "guess", "admin-guess", "typo")
}
SIGNING = "whsec_" + base64.b64encode(b"what the gateway signs anew with").decode()
CONFIGURATION = f"""
[[sources]]
name = "by-header"
verify = {{ kind = "token", from = "header:x-token" }}
secrets = ["{SECRETS["header-token"]}"]
[[sources]]
name = "by-query"
verify = {{ kind = "token", from = "query:token" }}
secrets = ["{SECRETS["query-token"]}", {{ value = "{SECRETS["shadow"]}", shadow = true }}]
[[destinations]]
name = "app"
url = "{{url}}/app"
bearer_token = "{SECRETS["bearer"]}"
headers = {{{{ x-api-key = "{SECRETS["api-key"]}" }}}}
sign = {{{{ scheme = "standard-webhooks", secret = "{SIGNING}" }}}}
allow_private_address = true
dead_on = [409]
[[destinations]]
name = "mirror"
url = "{{url}}/mirror"
sources = ["by-header", "by-query"]
sign = {{{{ scheme = "source" }}}}
allow_private_address = true
dead_on = [409]
"""
BODY = json.dumps({"type": "thing.made", "text": "a private sentence", "key": "k"}).encode()
SEEN = {
    "server.listening",
    "webhook.accepted",
    "webhook.rejected",
    "request.refused",
    "path.unknown",
    "admin.refused",
    "delivery.attempted",
    "delivery.dead",
    "destination.paused",
    "destination.resumed",
    "event.replayed",
    "event.erased",
    "replay.started",
    "replay.done",
    "config.refused",
    "config.reloaded",
}
"""Of the log's events: all that secrets or bodies come near."""


@pytest.fixture
def destination():
    with recording_destination() as recording:
        recording.echoes, recording.status = True, 500
        yield recording


@pytest.fixture
def gateway(tmp_path, destination):
    text = CONFIGURATION.replace("{{", "{").replace("}}", "}").replace("{url}", destination.url)
    one = GatewayProcess(tmp_path / "gateway", text, log_level="debug")
    try:
        one.start()
        yield one
    finally:
        one.close()


def test_no_secret_is_in_the_log_the_files_or_any_answer_and_no_body_in_the_log(gateway, destination):
    events = [accepted(gateway, path, headers) for path, headers in rightly()]
    for path, headers in wrongly():
        assert gateway.ask("POST", path, body=BODY, headers=headers).status in (401, 404)
    malformed(gateway)
    eventually(lambda: tried(gateway, 5))
    destination.status = 409
    eventually(lambda: len(gateway.lines("delivery.dead")) >= 5)
    answers = [operated(gateway, events)]
    reloaded(gateway)
    answers += [gateway.ask("GET", path).body for path in looked_at(events)]
    told = {line["event"] for line in map(json.loads, gateway.said().splitlines())}
    assert told >= SEEN, SEEN - told

    places = {"log": gateway.said().encode(), "answers": json.dumps(answers).encode()}
    places |= {path.name: path.read_bytes() for path in gateway.folder.glob("gateway.db*")}
    gateway.stop()
    places["store"] = gateway.store.read_bytes()
    hidden = [*SECRETS.values(), SECRET, SIGNING, TOKEN, KEY.decode()]
    assert [
        (place, one) for place, content in places.items() for one in hidden if one.encode() in content
    ] == []
    assert b"private sentence" not in places["log"]
    assert base64.b64encode(BODY)[8:40] not in places["log"]


def rightly():
    yield "/webhooks/producer", signed(BODY, message_id=fresh_id())
    yield "/webhooks/by-header", {"x-token": SECRETS["header-token"]}
    yield f"/webhooks/by-query?token={SECRETS['query-token']}", {}


def wrongly():
    guess = SECRETS["guess"]
    yield "/webhooks/producer", {**signed(BODY), "webhook-signature": f"v1,{guess}"}
    yield "/webhooks/by-header", {"x-token": guess}
    yield f"/webhooks/by-query?token={guess}", {}
    yield f"/webhook/{guess}/{guess}?token={guess}", {"x-token": guess}
    yield f"/webhooks/{guess}", {"authorization": f"Bearer {guess}"}
    yield "/v1/replays", {"authorization": f"Bearer {SECRETS['admin-guess']}"}


def accepted(gateway, path, headers):
    nobodys = {"authorization": "none"}  # in place of the admin's
    answer = gateway.ask("POST", path, body=BODY, headers={**nobodys, **headers})
    assert answer.status == 200, answer
    return answer.body["event_id"]


def malformed(gateway):
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as connection:
        connection.sendall(
            f"POST /webhooks/by-header HTTP/1.1\r\nx-token {SECRETS['guess']}\r\n\r\n".encode()
        )
        assert b" 400 " in connection.recv(4096)


def tried(gateway, number):
    """Whether so many deliveries were answered with all that they were sent."""
    return (
        len({(one["event_id"], one["destination"]) for one in gateway.lines("delivery.attempted")}) >= number
    )


def operated(gateway, events):
    """What the admin API says to everything that an operator does in a bad hour."""
    first, second, third = events
    said = [
        gateway.ask("POST", "/v1/destinations/app/pause"),
        gateway.ask("POST", f"/v1/events/{first}/replay"),
        gateway.ask("POST", f"/v1/events/{first}/discard"),
        gateway.ask("POST", "/v1/destinations/app/resume"),
        gateway.ask("POST", "/v1/replays", {"state": "dead", "source": "by-query"}),
        gateway.ask("POST", "/v1/replays", {"nonsense": True}),
    ]
    eventually(lambda: gateway.lines("replay.done"))
    said += [gateway.ask("GET", f"/v1/events/{third}"), gateway.ask("DELETE", f"/v1/events/{second}")]
    assert {answer.status for answer in said} == {200, 202, 204, 400}
    return [answer.body for answer in said]


def reloaded(gateway):
    """By a configuration whose secret has a fault, and by the right one."""
    right = gateway.config.read_text()
    gateway.config.write_text(right.replace(SECRET, f"whsec_{SECRETS['typo']}!"))
    gateway.process.send_signal(signal.SIGHUP)
    eventually(lambda: gateway.lines("config.refused"))
    gateway.config.write_text(right)
    gateway.process.send_signal(signal.SIGHUP)
    eventually(lambda: gateway.lines("config.reloaded"))


def looked_at(events):
    yield from (f"/v1/events/{event}" for event in events)
    yield from (
        "/v1/events",
        "/v1/sources",
        "/v1/destinations",
        "/v1/replays",
        "/metrics",
        "/readyz",
        "/openapi.json",
    )
