"""A secret or a scheme is changed while webhooks arrive: what is used, what is only tried, and what a reload takes."""

import hashlib
import hmac
import json
import signal

import pytest

from gateway.model import VerifiedWebhook, Webhook
from gateway.verify import compile_verifier
from tests.support.clock import ManualClock
from tests.support.gateway_app import (
    SECRET,
    TOKEN,
    configuration,
    fresh_id,
    recording_destination,
    running_gateway,
    signed,
)
from tests.support.gateway_process import GatewayProcess
from tests.support.waiting import eventually

AT = 1_795_341_600
"""2026-11-22T10:00:00Z"""
OLD, NEW, THIRD = "made-up-old", "made-up-new", "made-up-third"
HMAC = 'verify = { kind = "hmac", header = "x-signature", algorithm = "sha256" }'


def text(secrets, *more, scheme=HMAC, end=""):
    head = (
        f'[server]\nadmin_token = "{TOKEN}"\n[[sources]]\nname = "producer"\n{scheme}\nsecrets = {secrets}\n'
    )
    return "\n".join([head, *more, end])


def headers_of(body, secret):
    return {"x-signature": hmac.digest(secret.encode(), body, hashlib.sha256).hex()}


def post(gateway, secret, *, more=None):
    body = json.dumps({"id": fresh_id()}).encode()
    headers = {**headers_of(body, secret), **(more or {})}
    return gateway.client.post(f"{gateway.url}/webhooks/producer", content=body, headers=headers).status_code


def used(gateway, number=4):
    return [
        gateway.count("gateway_secret_used_total", source="producer", secret=str(index))
        for index in range(number)
    ]


def tried(gateway, what):
    outcomes = ("match", "bad_signature", "missing_header", "malformed", "too_old")
    counts = {
        outcome: gateway.count(
            "gateway_shadow_verifications_total", source="producer", tried=what, outcome=outcome
        )
        for outcome in outcomes
    }
    return {outcome: count for outcome, count in counts.items() if count}


def test_each_secret_is_counted_by_its_index_when_it_is_used(tmp_path):
    with running_gateway(tmp_path, text(json.dumps([NEW, OLD]))) as gateway:
        assert [post(gateway, secret) for secret in (OLD, NEW, OLD, THIRD)] == [200, 200, 200, 401]
        assert used(gateway) == [1, 2, 0, 0]


def test_a_secret_counts_from_its_first_second_to_its_last(tmp_path):
    clock = ManualClock(AT * 1000)
    secrets = f'[{{ value = "{NEW}", not_before = 2026-11-22T10:01:00Z }}, {{ value = "{OLD}", not_after = "2026-11-22T11:02:00+01:00" }}]'
    with running_gateway(tmp_path, text(secrets), clock=clock) as gateway:
        seen = []
        for seconds in (59, 1, 60, 1):
            clock.advance(seconds)
            seen.append((post(gateway, NEW), post(gateway, OLD)))
    assert seen == [(401, 200), (200, 200), (200, 200), (200, 401)]


def test_a_shadow_secret_is_tried_and_neither_accepts_nor_refuses(tmp_path):
    secrets = f'[{{ value = "{NEW}", shadow = true }}, "{OLD}", "{THIRD}"]'
    with running_gateway(tmp_path, text(secrets)) as gateway:
        assert [post(gateway, secret) for secret in (OLD, THIRD, NEW)] == [200, 200, 401]
        assert tried(gateway, "secret 0") == {"bad_signature": 2}, "what is refused is not counted"
        assert used(gateway) == [0, 1, 1, 0]


def test_a_shadow_secret_that_matches_beside_one_that_counts_is_a_match(tmp_path):
    secrets = f'["{OLD}", {{ value = "{NEW}", shadow = true }}]'
    scheme = HMAC.replace('"sha256" }', '"sha256", parse = "list" }')
    with running_gateway(tmp_path, text(secrets, scheme=scheme)) as gateway:
        body = b'{"id": "both"}'
        both = ",".join(headers_of(body, secret)["x-signature"] for secret in (NEW, OLD))
        url = f"{gateway.url}/webhooks/producer"
        assert gateway.client.post(url, content=body, headers={"x-signature": both}).status_code == 200
        assert tried(gateway, "secret 1") == {"match": 1}
        assert used(gateway) == [1, 0, 0, 0]


def test_a_shadow_secret_whose_time_is_over_is_not_tried(tmp_path):
    secrets = f'["{OLD}", {{ value = "{NEW}", shadow = true, not_after = 2026-11-22T09:00:00Z }}]'
    with running_gateway(tmp_path, text(secrets), clock=ManualClock(AT * 1000)) as gateway:
        assert post(gateway, OLD) == 200
        assert tried(gateway, "secret 1") == {}


SHADOW = f'[sources.shadow]\npreset = "standard-webhooks"\nsecrets = ["{SECRET}"]\n'


def test_a_shadow_scheme_says_what_it_would_refuse_of_what_is_accepted(tmp_path):
    scheme = 'verify = { kind = "token", from = "header:x-api-key" }\ndedupe_key = "none"'
    with running_gateway(tmp_path, text(f'["{OLD}"]', scheme=scheme, end=SHADOW)) as gateway:
        key = {"x-api-key": OLD}
        url, body = f"{gateway.url}/webhooks/producer", b"{}"
        cases = [
            {},
            signed(body),
            {**signed(body), "webhook-signature": "v1,AAAA"},
            signed(body, at=1_700_000_000),
            {**signed(body), "webhook-timestamp": "soon"},
        ]
        answers = [gateway.client.post(url, content=body, headers={**key, **more}) for more in cases]
        assert {answer.status_code for answer in answers} == {200}
        refused = gateway.client.post(url, content=body, headers={**signed(body), "x-api-key": "wrong"})
        assert refused.status_code == 401
        expected = ("missing_header", "match", "bad_signature", "too_old", "malformed")
        assert tried(gateway, "scheme") == dict.fromkeys(expected, 1)


def test_a_reload_takes_secrets_shadows_and_the_shadow_scheme(tmp_path):
    with running_gateway(tmp_path, text(f'["{OLD}"]')) as gateway:

        def reload(secrets, end=""):
            gateway.gateway.reload(configuration(text(secrets, end=end), tmp_path))

        assert (post(gateway, OLD), post(gateway, NEW)) == (200, 401)
        reload(f'["{NEW}", "{OLD}"]')
        assert (post(gateway, OLD), post(gateway, NEW)) == (200, 200)
        assert used(gateway) == [2, 1, 0, 0]
        reload(f'["{NEW}", {{ value = "{OLD}", shadow = true }}]', SHADOW)
        assert (post(gateway, OLD), post(gateway, NEW)) == (401, 200)
        assert tried(gateway, "secret 1") == {"bad_signature": 1}
        assert tried(gateway, "scheme") == {"missing_header": 1}
        reload(f'["{NEW}"]')
        assert (post(gateway, OLD), post(gateway, NEW)) == (401, 200)
        assert tried(gateway, "scheme") == {"missing_header": 1}, "it is not tried any more"


@pytest.mark.parametrize(
    "changed",
    [
        'verify = { kind = "none" }',
        HMAC.replace("x-signature", "x-other"),
        f'public_url = "https://x.example"\n{HMAC}',
    ],
)
def test_a_reload_never_changes_how_a_source_is_verified(tmp_path, caplog, changed):
    with running_gateway(tmp_path, text(f'["{OLD}"]')) as gateway:
        secrets = "[]" if "none" in changed else f'["{NEW}"]'
        assert not gateway.gateway.reload(configuration(text(secrets, scheme=changed), tmp_path))
        assert [post(gateway, secret) for secret in (OLD, NEW, THIRD)] == [200, 401, 401]
    kept = [one.fields for one in caplog.records if one.getMessage() == "config.scheme_kept"]
    assert [one["source"] for one in kept] == ["producer"]
    assert "nor its secrets; restart" in kept[0]["detail"]


def test_a_reload_takes_the_secrets_that_handshakes_are_answered_with(tmp_path):
    def crc(secret):
        return text(f'["{secret}"]', scheme='preset = "x-twitter"')

    def meta(token):
        return text('["a"]', f'verify_token = "{token}"', scheme='preset = "meta"')

    with running_gateway(tmp_path, crc(OLD)) as gateway:
        url = f"{gateway.url}/webhooks/producer?crc_token=a"
        before = gateway.client.get(url).json()
        gateway.gateway.reload(configuration(crc(NEW), tmp_path))
        assert gateway.client.get(url).json() != before
    (tmp_path / "meta").mkdir()
    with running_gateway(tmp_path / "meta", meta(OLD)) as gateway:
        url = f"{gateway.url}/webhooks/producer?hub.mode=subscribe&hub.challenge=1&hub.verify_token="
        gateway.gateway.reload(configuration(meta(NEW), tmp_path))
        assert [gateway.client.get(url + one).status_code for one in (OLD, NEW)] == [401, 200]


@pytest.mark.parametrize("scheme", ["source", "standard-webhooks"])
def test_what_a_reload_takes_is_what_attempts_are_signed_with(tmp_path, scheme):
    def end(secret):
        own = f', secret = "{secret}"' if scheme != "source" else ""
        return f'[[destinations]]\nname = "app"\nurl = "{destination.url}"\nallow_private_address = true\nsign = {{ scheme = "{scheme}"{own} }}\n'

    old, new = (SECRET, "whsec_bmV3IGFuZCBtYWRlIHVwIGZvciB0aGlz")
    sources = (f'["{old}"]', f'["{new}", {{ value = "{old}", shadow = true }}]')
    standard = 'preset = "standard-webhooks"'
    clock = ManualClock(AT * 1000)
    with recording_destination() as destination:
        first = text(sources[0], scheme=standard, end=end(old))
        with running_gateway(tmp_path, first, clock=clock) as gateway:
            headers = signed(b"{}", at=AT)
            url = f"{gateway.url}/webhooks/producer"
            event_id = gateway.client.post(url, content=b"{}", headers=headers).json()["event_id"]
            eventually(lambda: gateway.event(event_id)["state"] == "delivered")
            gateway.gateway.reload(configuration(text(sources[1], scheme=standard, end=end(new)), tmp_path))
            gateway.admin_post(f"/v1/events/{event_id}/replay")
            eventually(lambda: len(destination.received) == 2)
    for received, right, wrong in zip(destination.received, (old, new), (new, old), strict=True):
        headers = tuple((name.lower().encode(), value.encode()) for name, value in received.headers)
        request = Webhook(headers, b"", received.body)
        for secret in (right, wrong):
            result = compile_verifier({"kind": "standard"}, [secret]).verify(request, now=AT)
            assert isinstance(result, VerifiedWebhook) == (secret == right)


def test_sighup_takes_new_secrets_and_a_shadow_and_goes_on_without_a_restart(tmp_path):
    new = "whsec_bmV3IGFuZCBtYWRlIHVwIGZvciB0aGlz"
    gateway = GatewayProcess(tmp_path / "gateway", "")
    try:
        gateway.start()

        def post(key=None):
            body = json.dumps({"id": fresh_id()}).encode()
            headers = signed(body, key=key) if key else signed(body)
            return gateway.ask("POST", "/webhooks/producer", body=body, headers=headers).status

        key = b"new and made up for this"
        assert (post(), post(key)) == (200, 401)
        before = gateway.config.read_text()
        tables = f'["{new}", {{ value = "{SECRET}", shadow = true }}]'
        gateway.config.write_text(before.replace(f'["{SECRET}"]', tables))
        assert gateway.process is not None
        gateway.process.send_signal(signal.SIGHUP)
        eventually(lambda: gateway.lines("config.reloaded"))
        assert (post(), post(key)) == (401, 200)
        labels = 'outcome="bad_signature",source="producer",tried="secret 1"'
        assert gateway.metric(f"gateway_shadow_verifications_total{{{labels}}}") == 1
        assert SECRET not in gateway.said()
        assert new not in gateway.said()
        gateway.stop()
    finally:
        gateway.close()
