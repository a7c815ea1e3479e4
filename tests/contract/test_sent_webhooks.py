"""What the two services send to others, against the webhooks of their contracts."""

import re
from pathlib import Path

import httpx
import jsonschema_rs
import pytest

from openapi.document import FOLDER, operations, read
from tests.support.gateway_app import SOURCES, recording_destination, running_gateway
from tests.support.groq_server import KEY, groq_server
from tests.support.live_server import live_server
from tests.support.waiting import eventually
from tests.support.webhook_receiver import SECRET, webhook_receiver
from transcriber.app import build
from transcriber.settings import parse

OURS = re.compile(r"webhook-|x-gateway-|traceparent")
UNSIGNED = '[[sources]]\nname = "open"\nverify = { kind = "none" }\n'


def webhook(name):
    """The operation, and what a schema of it needs beside it."""
    document = read(FOLDER / f"{name}.yaml")
    (operation,) = [one for one in operations(document) if one.is_webhook]
    return operation, {"components": document["components"]}


def fit(operation, components, headers):
    """Every header that is always there is, each is as documented, and none of the service's own is undocumented."""
    documented = {one["name"]: one for one in operation.parameters}
    assert {name for name, one in documented.items() if one.get("required")} <= set(headers)
    assert {name for name in headers if OURS.match(name)} <= set(documented)
    for name in documented.keys() & headers.keys():
        schema = {**documented[name]["schema"], **components}
        jsonschema_rs.validator_for(schema).validate(headers[name])


@pytest.mark.parametrize("sign", ["", f'sign = {{ scheme = "standard-webhooks", secret = "{SECRET}" }}'])
def test_a_delivery_is_as_the_gateway_documents_it(tmp_path, sign):
    operation, components = webhook("gateway")
    with recording_destination() as destination:
        to = f'[[destinations]]\nname = "app"\nurl = "{destination.url}"\nallow_private_address = true\n{sign}\n'
        with running_gateway(tmp_path, f"{SOURCES}\n{UNSIGNED}\n{to}") as gateway:
            gateway.post(b'{"type": "t"}', query="?a=b")
            gateway.client.post(f"{gateway.url}/webhooks/open", content=b"{}")
            eventually(lambda: len(destination.received) == 2)
    for received in destination.received:
        headers = {name.lower(): value for name, value in received.headers}
        fit(operation, components, headers)
        assert ("webhook-signature" in headers) == bool(sign)
    assert {len(one.values("x-gateway-body-authenticated")) for one in destination.received} == {0, 1}


def test_a_jobs_events_are_as_the_transcriber_documents_them(tmp_path):
    operation, components = webhook("transcriber")
    event = jsonschema_rs.validator_for(
        {**operation.body["content"]["application/json"]["schema"], **components}
    )
    with webhook_receiver() as receiver, groq_server() as groq:
        environ = {
            "TRANSCRIBER_DATA_DIR": str(tmp_path),
            "TRANSCRIBER_WEBHOOK_URL": receiver.url,
            "TRANSCRIBER_WEBHOOK_SECRET": SECRET,
            "GROQ_API_KEY": KEY,
            "GROQ_BASE_URL": groq.url,
        }
        with live_server(build(parse(environ))) as url:
            sent = httpx.post(f"{url}/v1/jobs", files={"file": Path("tests/data/jfk.mp3").read_bytes()})
            eventually(lambda: any(one.type.endswith(".completed") for one in receiver.received))
            httpx.delete(f"{url}{sent.headers['location']}").raise_for_status()
            eventually(lambda: any(one.type.endswith(".deleted") for one in receiver.received))
    for one in receiver.received:
        event.validate(one.event)
        headers = {
            "webhook-id": one.webhook_id,
            "webhook-timestamp": one.timestamp,
            "webhook-signature": one.signature,
            "traceparent": one.traceparent,
        }
        fit(operation, components, headers)
