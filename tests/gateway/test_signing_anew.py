"""What a destination receives is signed at every attempt, so that a retry after a day and a replay after a week verify."""

import base64
import hashlib
import hmac
import json
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

import pytest
import standardwebhooks

from gateway.config import Destination, Signing, Source, load
from gateway.errors import ConfigError
from gateway.model import Claim, DeliveryId, Rejected, SourceName, VerifiedWebhook, Webhook
from gateway.outgoing import Composer
from gateway.selector import NOWHERE
from gateway.verify import PRESETS, Secret, compile_verifier
from tests.support.clock import ManualClock
from tests.support.gateway_app import (
    KEY,
    SECRET,
    TOKEN,
    configuration,
    recording_destination,
    running_gateway,
    signed,
)
from tests.support.store import NOW, A, event
from tests.support.waiting import eventually

AT = 1_795_341_600
DAY = 86_400
PUBLIC_URL = "https://gateway.example/webhooks/producer"
TEXT = "made-up-secret-of-the-source"
OTHER = "whsec_" + base64.b64encode(b"another made-up key of some bytes").decode()
FORGED = b"the producer's own, of a minute ago"


@dataclass(frozen=True)
class Producer:
    """One that is known by name, and how it signs, made without the gateway's own code."""

    preset: str
    secret: str
    sign: object
    """Of body and Unix seconds: headers and body as it sends them."""
    body: bytes = b'{"type": "thing.made", "data": {"a": 1}}'
    query: str = ""


def mac(message, *, secret=TEXT):
    return hmac.digest(secret.encode(), message, hashlib.sha256)


def stripe(body, at):
    return {"stripe-signature": f"t={at},v1={mac(f'{at}.'.encode() + body).hex()}"}, body


def slack(body, at):
    signature = mac(f"v0:{at}:".encode() + body).hex()
    return {"x-slack-signature": f"v0={signature}", "x-slack-request-timestamp": str(at)}, body


def github(body, _):
    return {"x-hub-signature-256": f"sha256={mac(body).hex()}", "x-github-delivery": "d-1"}, body


def shopify(body, _):
    return {"x-shopify-hmac-sha256": base64.b64encode(mac(body)).decode(), "x-shopify-event-id": "e-1"}, body


def square(body, _):
    signature = base64.b64encode(mac(PUBLIC_URL.encode() + body)).decode()
    return {"x-square-hmacsha256-signature": signature}, body


def linear(body, at):
    body = json.dumps({**json.loads(body), "webhookTimestamp": at * 1000}).encode()
    return {"linear-signature": mac(body).hex(), "linear-delivery": "l-1"}, body


def mailgun(body, at):
    signature = {"timestamp": str(at), "token": "t-1", "signature": mac(f"{at}t-1".encode()).hex()}
    return {}, json.dumps({**json.loads(body), "signature": signature, "event-data": {"id": "1"}}).encode()


def standard(body, at):
    return signed(body, message_id="msg_of_the_producer", at=at), body


def svix(body, at):
    headers = signed(body, message_id="msg_of_the_producer", at=at)
    return {name.replace("webhook-", "svix-"): value for name, value in headers.items()}, body


def with_headers(**headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda body, _: (named, body)


USER = f"somebody:{TEXT}"
BASIC = "Basic " + base64.b64encode(USER.encode()).decode()
PRODUCERS = [
    Producer("standard-webhooks", SECRET, standard),
    Producer("svix", SECRET, svix),
    Producer("stripe", TEXT, stripe),
    Producer("slack", TEXT, slack),
    Producer("github", TEXT, github),
    Producer("shopify", TEXT, shopify),
    Producer("square", TEXT, square),
    Producer("linear", TEXT, linear),
    Producer("mailgun", TEXT, mailgun),
    Producer("api-key", TEXT, with_headers(x_api_key=TEXT)),
    Producer("bearer", TEXT, with_headers(authorization=f"Bearer {TEXT}")),
    Producer("basic", USER, with_headers(authorization=BASIC)),
    Producer("url-token", TEXT, with_headers(), query="?" + urlencode({"access_token": TEXT, "a": "1"})),
]


def named(producer):
    return producer.preset


@contextmanager
def between(
    folder, producer, *, settings="", clock=None, sign='{ scheme = "source" }', secrets=None, path="/in?a=1"
):
    """A gateway between that producer and a destination that has the gateway sign."""
    public_url = f'public_url = "{PUBLIC_URL}"' if producer.preset == "square" else ""
    with recording_destination() as destination:
        text = f"""
        [server]
        admin_token = "{TOKEN}"
        [[sources]]
        name = "producer"
        preset = "{producer.preset}"
        secrets = {secrets or json.dumps([producer.secret])}
        {public_url}
        [[destinations]]
        name = "app"
        url = "{destination.url}{path}"
        allow_private_address = true
        sign = {sign}
        {settings}
        """
        with running_gateway(folder, text, clock=clock or ManualClock(AT * 1000)) as gateway:
            yield gateway, destination


def send(gateway, producer, *, at=AT):
    """As the producer does; the event's id."""
    headers, body = producer.sign(producer.body, at)
    response = gateway.client.post(
        f"{gateway.url}/webhooks/producer{producer.query}", content=body, headers=headers
    )
    assert response.status_code == 200, response.text
    (item,) = gateway.admin("/v1/events").json()["items"]
    return item["id"]


def judged(producer, destination, received, *, now, secrets=None):
    """By what code behind the gateway would do with the producer's secret, at the URL that it is called at."""
    verifier = compile_verifier(
        PRESETS[producer.preset].verify,
        secrets or [producer.secret],
        public_url=f"{destination.url}/in" if producer.preset == "square" else "",
    )
    headers = tuple((name.lower().encode(), value.encode()) for name, value in received.headers)
    request = Webhook(headers, urlsplit(received.path).query.encode(), received.body)
    return verifier.verify(request, now=now)


def later(gateway, clock, seconds):
    """The gateway looks at what is due at once, not at its next turn."""
    clock.advance(seconds)
    assert gateway.admin_post("/v1/destinations/app/resume").status_code == 200


def arrived(destination, number):
    eventually(lambda: len(destination.received) >= number)
    assert len(destination.received) == number
    return destination.received[-1]


@pytest.mark.parametrize("producer", PRODUCERS, ids=named)
def test_a_first_attempt_a_retry_a_day_later_and_a_replay_a_week_later_all_verify(tmp_path, producer):
    clock = ManualClock(AT * 1000)
    with between(tmp_path, producer, clock=clock) as (gateway, destination):
        destination.status = 503
        event_id = send(gateway, producer)
        first = arrived(destination, 1)
        eventually(lambda: gateway.event(event_id)["deliveries"][0]["last_status"])
        assert isinstance(judged(producer, destination, first, now=AT), VerifiedWebhook)

        destination.status = 200
        later(gateway, clock, DAY)
        retried = arrived(destination, 2)
        assert isinstance(judged(producer, destination, retried, now=AT + DAY), VerifiedWebhook)
        assert retried.values("x-gateway-attempt") == ["2"]
        eventually(lambda: gateway.event(event_id)["state"] == "delivered")

        clock.advance(7 * DAY)
        assert gateway.admin_post(f"/v1/events/{event_id}/replay").status_code in (200, 202)
        replayed = arrived(destination, 3)
        assert isinstance(judged(producer, destination, replayed, now=AT + 8 * DAY), VerifiedWebhook)


@pytest.mark.parametrize(
    "producer",
    [one for one in PRODUCERS if one.sign in (stripe, slack, linear, mailgun, standard, svix)],
    ids=named,
)
def test_what_was_signed_an_hour_ago_is_too_old_for_the_same_judge(tmp_path, producer):
    with between(tmp_path, producer) as (gateway, destination):
        send(gateway, producer)
        result = judged(producer, destination, arrived(destination, 1), now=AT + 3600)
        assert isinstance(result, Rejected)
        assert result.reason == "too_old"


@pytest.mark.parametrize("producer", PRODUCERS, ids=named)
def test_another_secret_does_not_verify_what_arrives(tmp_path, producer):
    wrong = {SECRET: OTHER, USER: "somebody:else"}.get(producer.secret, "another")
    with between(tmp_path, producer) as (gateway, destination):
        send(gateway, producer)
        result = judged(producer, destination, arrived(destination, 1), now=AT, secrets=[wrong])
        assert isinstance(result, Rejected)


@pytest.mark.parametrize(("producer", "name"), [(PRODUCERS[0], "webhook-id"), (PRODUCERS[1], "svix-id")])
def test_the_producers_own_id_is_kept_by_what_is_signed_as_it_signs(tmp_path, producer, name):
    with between(tmp_path, producer) as (gateway, destination):
        event_id = send(gateway, producer)
        received = arrived(destination, 1)
        assert received.values(name) == ["msg_of_the_producer"]
        assert received.values("x-gateway-event-id") == [event_id]


@pytest.mark.parametrize("producer", PRODUCERS, ids=named)
def test_no_header_of_a_signature_stands_twice(tmp_path, producer):
    with between(tmp_path, producer) as (gateway, destination):
        send(gateway, producer)
        names = [name.lower() for name, _ in arrived(destination, 1).headers]
        assert len(names) == len(set(names))


@pytest.mark.parametrize("producer", [one for one in PRODUCERS if one.sign in (linear, mailgun)], ids=named)
def test_a_body_that_is_signed_within_keeps_all_its_other_values(tmp_path, producer):
    body = '{"n": 12345678901234567890, "f": 1.5, "s": "é 😀 \\u0000", "l": [null, true, {}], "type": "t"}'.encode()
    producer = Producer(producer.preset, producer.secret, producer.sign, body=body)
    clock = ManualClock(AT * 1000)
    with between(tmp_path, producer, clock=clock) as (gateway, destination):
        clock.advance(100)
        send(gateway, producer, at=AT + 100)
        received = json.loads(arrived(destination, 1).body)
        assert {key: received[key] for key in json.loads(body)} == json.loads(body)


@pytest.mark.parametrize("producer", PRODUCERS[:7], ids=named)
def test_what_a_payload_yields_is_what_is_signed(tmp_path, producer):
    with between(tmp_path, producer, settings='payload = "json:data"') as (gateway, destination):
        send(gateway, producer)
        received = arrived(destination, 1)
        assert received.body == b'{"a":1}'
        assert isinstance(judged(producer, destination, received, now=AT), VerifiedWebhook)


def test_a_payload_that_keeps_the_time_is_signed_within(tmp_path):
    linear_ = next(one for one in PRODUCERS if one.sign is linear)
    settings = 'payload = "json:{webhookTimestamp: webhookTimestamp, only: data}"'
    with between(tmp_path, linear_, settings=settings) as (gateway, destination):
        send(gateway, linear_)
        received = arrived(destination, 1)
        assert json.loads(received.body) == {"webhookTimestamp": AT * 1000, "only": {"a": 1}}
        assert isinstance(judged(linear_, destination, received, now=AT), VerifiedWebhook)


def test_a_payload_without_the_place_of_the_signature_is_unsigned_and_tried_again(tmp_path):
    linear_ = next(one for one in PRODUCERS if one.sign is linear)
    with between(tmp_path, linear_, settings='payload = "json:data"') as (gateway, destination):
        event_id = send(gateway, linear_)
        (delivery,) = eventually(
            lambda: [one for one in gateway.event(event_id)["deliveries"] if one["last_error"]]
        )
        assert "webhookTimestamp" in delivery["last_error"]
        assert delivery["state"] == "pending"
        assert destination.received == []


def test_the_url_that_is_signed_is_the_destinations(tmp_path):
    square_ = next(one for one in PRODUCERS if one.sign is square)
    with between(tmp_path, square_, path="/in") as (gateway, destination):
        send(gateway, square_)
        (signature,) = arrived(destination, 1).values("x-square-hmacsha256-signature")
        message = f"{destination.url}/in".encode() + square_.body
        assert signature == base64.b64encode(mac(message)).decode()


def test_a_token_of_the_query_stands_beside_the_fields_of_the_destinations_url(tmp_path):
    query = next(one for one in PRODUCERS if one.preset == "url-token")
    with between(tmp_path, query) as (gateway, destination):
        send(gateway, query)
        assert arrived(destination, 1).path == f"/in?a=1&access_token={TEXT}"


PLAIN = Producer("github", TEXT, github)
OWN = '{{ scheme = "standard-webhooks", secrets = {} }}'


@pytest.mark.parametrize("secrets", [[SECRET], [SECRET, OTHER]])
def test_each_secret_of_standard_webhooks_signs_and_the_public_library_verifies_it(tmp_path, secrets):
    producer = PLAIN
    with recording_destination() as destination:
        text = f"""
        [[sources]]
        name = "producer"
        preset = "github"
        secrets = ["{TEXT}"]
        [[destinations]]
        name = "app"
        url = "{destination.url}"
        allow_private_address = true
        sign = {OWN.format(json.dumps(secrets))}
        """
        with running_gateway(
            tmp_path, text
        ) as gateway:  # by the true time: the library asks the clock itself
            headers, body = producer.sign(producer.body, AT)
            response = gateway.client.post(
                f"{gateway.url}/webhooks/producer",
                content=body,
                headers={**headers, "webhook-signature": "v1,forged"},
            )
            received = arrived(destination, 1)
            names = [name.lower() for name, _ in received.headers]
            assert len(names) == len(set(names))
            sent = {name.lower(): value for name, value in received.headers}
            assert sent["webhook-id"] == response.json()["event_id"]
            for secret in secrets:
                assert standardwebhooks.Webhook(secret).verify(received.body, sent) == json.loads(body)
            with pytest.raises(standardwebhooks.WebhookVerificationError):
                standardwebhooks.Webhook("whsec_" + base64.b64encode(b"none of them").decode()).verify(
                    received.body, sent
                )


def test_standard_webhooks_signs_a_retry_anew_under_the_same_id(tmp_path):
    clock = ManualClock(AT * 1000)
    secret_of_its_own = OWN.format(json.dumps([OTHER]))
    with between(tmp_path, PLAIN, clock=clock, sign=secret_of_its_own) as (gateway, destination):
        destination.status = 500
        event_id = send(gateway, PLAIN)
        first = arrived(destination, 1)
        eventually(lambda: gateway.event(event_id)["deliveries"][0]["last_status"])
        later(gateway, clock, DAY)
        again = arrived(destination, 2)
    assert [one.values("webhook-id") for one in (first, again)] == [[event_id]] * 2
    assert [one.values("webhook-timestamp") for one in (first, again)] == [[str(AT)], [str(AT + DAY)]]
    verifier = compile_verifier({"kind": "standard"}, [OTHER])
    for received, now in ((first, AT), (again, AT + DAY)):
        headers = tuple((name.lower().encode(), value.encode()) for name, value in received.headers)
        assert isinstance(verifier.verify(Webhook(headers, b"", received.body), now=now), VerifiedWebhook)


def over(producer, *, at):
    """The producer's secret, with an end that is past by then."""
    return f'[{{ value = "{producer.secret}", not_after = {at} }}]'


def test_while_no_secret_of_the_source_counts_attempts_are_unsigned_and_neither_held_nor_dead(tmp_path):
    producer, clock = PRODUCERS[2], ManualClock(AT * 1000)
    secrets = over(producer, at="2026-11-22T10:10:00Z")  # ten minutes later
    with between(tmp_path, producer, clock=clock, secrets=secrets) as (gateway, destination):
        destination.status = 404
        event_ids = []
        for number in range(6):
            one = Producer(producer.preset, producer.secret, stripe, body=b'{"id": "%d"}' % number)
            headers, body = one.sign(one.body, AT)
            response = gateway.client.post(f"{gateway.url}/webhooks/producer", content=body, headers=headers)
            event_ids.append(response.json()["event_id"])
        arrived(destination, 6)
        eventually(lambda: all(gateway.event(one)["deliveries"][0]["last_status"] for one in event_ids))
        destination.status = 200
        later(gateway, clock, 3600)

        def unsigned():
            return gateway.count("gateway_delivery_attempts_total", destination="app", outcome="unsigned")

        eventually(lambda: unsigned() >= 6)
        assert len(destination.received) == 6, "nothing leaves unsigned"
        for event_id in event_ids:
            (delivery,) = gateway.event(event_id)["deliveries"]
            assert delivery["state"] == "pending"
            assert "none of the source's secrets counts now" in delivery["last_error"]
        assert gateway.count("gateway_destination_held", destination="app") == 0

        renewed = configuration(gateway_text(tmp_path, producer), tmp_path)
        gateway.gateway.reload(renewed)
        later(gateway, clock, 3600)
        eventually(lambda: all(gateway.event(one)["state"] == "delivered" for one in event_ids))
        assert len(destination.received) == 12


def gateway_text(folder, producer):
    """The configuration that stands there, with a secret that has no end."""
    text = (folder / "gateway.toml").read_text()
    line = next(one for one in text.splitlines() if one.strip().startswith("secrets = "))
    return text.replace(line, f'secrets = ["{producer.secret}"]')


ED25519 = "-----BEGIN PUBLIC KEY-----\\nMCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=\\n-----END PUBLIC KEY-----\\n"
UNSIGNABLE = {
    "asymmetric": 'preset = "discord"\nsecrets = ["' + "ab" * 32 + '"]',
    "jwt": 'preset = "jwt-hs256-bodyhash"\nsecrets = ["made-up-secret-of-thirty-two-bytes-"]',
    "rfc9421": 'preset = "rfc9421-hmac"\nsecrets = ["' + base64.b64encode(KEY * 2).decode() + '"]',
    "public key only": f'preset = "standard-webhooks"\nsecrets = ["whpk_{base64.b64encode(KEY).decode()}"]',
    "a shadow beside a public key": (
        f'preset = "standard-webhooks"\nsecrets = ["whpk_{base64.b64encode(KEY).decode()}", '
        f'{{ value = "{SECRET}", shadow = true }}]'
    ),
    "a signature in the query": (
        'verify = { kind = "hmac", algorithm = "sha256", signature_from = "query:s" }\nsecrets = ["a"]'
    ),
    "a field of the query that is signed": (
        'verify = { kind = "hmac", algorithm = "sha256", header = "x-s", template = "{n}{body}", '
        'vars = { n = "query:n" } }\nsecrets = ["a"]'
    ),
    "a time in the query": (
        'verify = { kind = "hmac", algorithm = "sha256", header = "x-s", template = "{timestamp}{body}", '
        'timestamp = { from = "query:t" } }\nsecrets = ["a"]'
    ),
}


@pytest.mark.parametrize("case", UNSIGNABLE)
def test_a_source_that_nothing_can_be_signed_for_is_a_fault_that_names_it(tmp_path, case):
    path = tmp_path / "gateway.toml"
    sources = f"""
    [[sources]]
    name = "fine"
    preset = "github"
    secrets = ["a"]
    [[sources]]
    name = "silent"
    {UNSIGNABLE[case]}
    """
    end = '[[destinations]]\nname = "app"\nurl = "https://app.example"\nsign = { scheme = "source" }\n'
    path.write_text(sources + end)
    with pytest.raises(ConfigError) as refused:
        load(path, environ={})
    (fault,) = refused.value.faults
    assert "destinations (app).sign" in fault
    assert "source silent" in fault
    path.write_text(sources + end + 'sources = ["fine"]\n')
    assert len(load(path, environ={}).sources) == 2


@pytest.mark.parametrize(
    ("scheme", "settings", "lost"),
    [
        ('preset = "bearer"', 'bearer_token = "made-up"', "authorization"),
        ('preset = "basic"', 'headers = { Authorization = "Key made-up" }', "authorization"),
        ('preset = "api-key"', 'headers = { X-API-Key = "made-up" }', "x-api-key"),
        ('preset = "github"', 'headers = { X-Hub-Signature-256 = "a" }', "x-hub-signature-256"),
        ('preset = "github"', 'bearer_token = "made-up"', None),
        ('preset = "url-token"', 'bearer_token = "made-up"', None),
    ],
)
def test_a_header_that_both_the_destination_and_the_signature_set_is_a_fault(
    tmp_path, scheme, settings, lost
):
    path = tmp_path / "gateway.toml"
    source = f'[[sources]]\nname = "producer"\n{scheme}\nsecrets = ["somebody:made-up"]\n'
    destination = f'[[destinations]]\nname = "app"\nurl = "https://app.example"\n{settings}\n'
    path.write_text(source + destination)
    assert load(path, environ={})
    path.write_text(f'{source}{destination}sign = {{ scheme = "source" }}\n')
    if lost is None:
        assert load(path, environ={})
        return
    with pytest.raises(ConfigError) as refused:
        load(path, environ={})
    (fault,) = refused.value.faults
    assert lost in fault
    assert "source producer" in fault


def text_that_carries(secret):
    """Whatever a preset looks for within the body."""
    return json.dumps(
        {
            "type": "t",
            "signature": {"timestamp": "1", "token": "t-1", "signature": "s"},
            "webhookTimestamp": 1,
            "value": [{"clientState": secret}],
            "token": secret,
        }
    ).encode()


SECRETS = (SECRET, USER, base64.b64encode(KEY).decode(), "ab" * 32)


def signable(preset):
    """The preset's verifier with a secret that fits, if something can be signed by it."""
    for secret in SECRETS:
        try:
            verifier = compile_verifier(PRESETS[preset].verify, [secret], public_url="https://app.example/in")
        except ValueError:
            continue
        return None if verifier.unsignable else (verifier, secret)
    return None


SIGNABLE = {preset: found for preset in PRESETS if (found := signable(preset)) is not None}


def composed(verifier, secret, headers, body):
    source = SourceName("producer")
    sources = {source: Source(source, verifier, NOWHERE, None, secrets=(Secret(secret),))}
    destination = Destination(name=A, url="https://app.example/in", sign=Signing())
    webhook = Webhook(tuple(headers), b"", body)
    claim = Claim(DeliveryId(1), 1, A, event(1, source=source, webhook=webhook), 0, False, NOW, NOW)
    return Composer(destination, sources=sources).compose(claim, now=AT)


@pytest.mark.parametrize("preset", SIGNABLE)
def test_what_is_composed_for_any_preset_that_can_be_signed_for_is_verified_by_it(preset):
    verifier, secret = SIGNABLE[preset]
    selectors = PRESETS[preset].verify.get("vars", {}).values()
    signed_headers = [one.removeprefix("header:").encode() for one in selectors if one.startswith("header:")]
    headers = [(name, b"msg-1") for name in (*verifier.required_headers, *signed_headers)]
    is_form = "{form_sorted}" in PRESETS[preset].verify.get("template", "")
    body = b"CallSid=1&Said=two+words" if is_form else text_that_carries(secret)
    outgoing = composed(verifier, secret, headers, body)
    names = [name.lower() for name, _ in outgoing.headers]
    assert len(names) == len(set(names))
    received = Webhook(tuple(outgoing.headers), outgoing.query, outgoing.body)
    result = verifier.verify(received, now=AT)
    assert isinstance(result, VerifiedWebhook), result


def test_most_presets_can_be_signed_for():
    assert len(SIGNABLE) > 100


@pytest.mark.parametrize("name", ["webhook-id", "x-gateway-source", "x-id", "cookie"])
def test_a_header_that_is_signed_with_the_body_reaches_the_destination_as_it_came(name):
    """Even where the gateway would send its own of that name, or none."""
    parameters = {
        "kind": "hmac",
        "algorithm": "sha256",
        "header": "x-signature",
        "template": "{id}.{body}",
        "vars": {"id": f"header:{name}"},
    }
    verifier = compile_verifier(parameters, [TEXT])
    headers = [(name.encode(), b"of-the-producer"), (b"x-signature", b"old")]
    outgoing = composed(verifier, TEXT, headers, b"{}")
    assert [value for key, value in outgoing.headers if key == name.encode()] == [b"of-the-producer"]
    received = Webhook(tuple(outgoing.headers), b"", outgoing.body)
    assert isinstance(verifier.verify(received, now=AT), VerifiedWebhook)
