"""Whether a changed body would have been noticed: shown by the admin API, and told to the destination where not."""

import base64
import hashlib
import hmac
import json

import pytest

from tests.support.gateway_app import SECRET, TOKEN, recording_destination, running_gateway, signed
from tests.support.waiting import eventually

KEY = "made-up-secret"
BODY = b'{"type": "thing.made"}'


def mac(message):
    return hmac.digest(KEY.encode(), message, hashlib.sha256).hex()


CASES = {
    "standard": ('preset = "standard-webhooks"', SECRET, lambda: signed(BODY), True),
    "hmac": ('preset = "github"', KEY, lambda: {"x-hub-signature-256": f"sha256={mac(BODY)}"}, True),
    "digest of the body": (
        'verify = { kind = "hmac", algorithm = "sha256", header = "x-s", template = "{body_sha256}" }',
        KEY,
        lambda: {"x-s": mac(hashlib.sha256(BODY).hexdigest().encode())},
        True,
    ),
    "only an id": (
        'verify = { kind = "hmac", algorithm = "sha256", header = "x-s", template = "{id}", vars = { id = "header:x-id" } }',
        KEY,
        lambda: {"x-s": mac(b"1"), "x-id": "1"},
        False,
    ),
    "header": ('preset = "api-key"', KEY, lambda: {"x-api-key": KEY}, False),
    "bearer": ('preset = "bearer"', KEY, lambda: {"authorization": f"Bearer {KEY}"}, False),
    "basic": (
        'preset = "basic"',
        f"a:{KEY}",
        lambda: {"authorization": "Basic " + base64.b64encode(f"a:{KEY}".encode()).decode()},
        False,
    ),
    "none": ('verify = { kind = "none" }', None, dict, False),
}


@pytest.fixture(scope="module")
def destination():
    with recording_destination() as recording:
        yield recording


@pytest.fixture(scope="module")
def gateway(tmp_path_factory, destination):
    text = f'[server]\nadmin_token = "{TOKEN}"\n'
    for number, (scheme, secret, _, _) in enumerate(CASES.values()):
        secrets = f"secrets = {json.dumps([secret])}\n" if secret else ""
        text += (
            f'[[sources]]\nname = "s{number}"\n{scheme}\n{secrets}dedupe_key = "none"\nreplay_guard = false\n'
        )
    text += f'[[destinations]]\nname = "app"\nurl = "{destination.url}"\nallow_private_address = true\n'
    with running_gateway(tmp_path_factory.mktemp("gateway"), text) as running:
        yield running


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("claimed", ["true", "false", None])
def test_it_is_shown_of_the_event_and_a_destination_is_told_where_it_is_not_so(
    gateway, destination, case, claimed
):
    """Whatever the sender claims in a header of that name."""
    _, _, headers, authenticated = CASES[case]
    url = f"{gateway.url}/webhooks/s{list(CASES).index(case)}"
    forged = {} if claimed is None else {"x-gateway-body-authenticated": claimed}
    response = gateway.client.post(url, content=BODY, headers={**headers(), **forged})
    assert response.status_code == 200, response.text
    event_id = response.json()["event_id"]
    assert gateway.event(event_id)["body_authenticated"] is authenticated
    (listed, *_) = gateway.admin("/v1/events", limit=1).json()["items"]
    assert (listed["id"], listed["body_authenticated"]) == (event_id, authenticated)
    (received,) = eventually(
        lambda: [one for one in destination.received if one.values("x-gateway-event-id") == [event_id]]
    )
    assert received.values("x-gateway-body-authenticated") == ([] if authenticated else ["false"])


def test_it_is_still_known_of_a_replay(gateway, destination):
    url = f"{gateway.url}/webhooks/s{list(CASES).index('header')}"
    event_id = gateway.client.post(url, content=BODY, headers={"x-api-key": KEY}).json()["event_id"]

    def received():
        return [one for one in destination.received if one.values("x-gateway-event-id") == [event_id]]

    eventually(lambda: gateway.event(event_id)["state"] == "delivered")
    gateway.admin_post(f"/v1/events/{event_id}/replay")
    eventually(lambda: len(received()) == 2)
    assert [one.values("x-gateway-body-authenticated") for one in received()] == [["false"]] * 2
