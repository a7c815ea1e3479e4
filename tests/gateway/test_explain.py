"""Refusals are explained so that a person can put them right, and never by showing what would have been accepted."""

import base64
import json

import pytest

from gateway.model import Rejected, Webhook
from gateway.verify import PRESETS, Secret, compile_verifier
from gateway.verify.explain import Case, explain

NOW = 1_795_341_600
URL = "https://hooks.example.com/in"
SECRET = "shpss_0123456789abcdef"
BODY = '{"id":1,"name":"Zoë","list":[1,2]}'.encode()
STRIPE = PRESETS["stripe"].verify
GITHUB = PRESETS["github"].verify
SQUARE = PRESETS["square"].verify
STANDARD = PRESETS["standard-webhooks"].verify
WHSEC = "whsec_" + base64.b64encode(b"a made-up secret of 24 b").decode()


def verify(parameters, secrets, public_url, webhook, now):
    return compile_verifier(parameters, secrets, public_url=public_url).verify(webhook, now=now)


def request(parameters, secret=SECRET, body=BODY, *, url=URL, at=NOW, headers=()):
    """As the producer sends it."""
    unsigned = Webhook(headers=headers, query=b"", body=body)
    signed = compile_verifier(parameters, [secret], public_url=url).sign(unsigned, now=at, url=url)
    return Webhook(headers=signed.headers, query=b"", body=body)


def explained(parameters, webhook, secret=SECRET, *, url=URL, captured=URL, now=NOW):
    rejected = verify(parameters, [Secret(secret)], url, webhook, now)
    assert isinstance(rejected, Rejected)
    case = Case(parameters, [Secret(secret)], url, webhook, captured, now)
    text = explain(case, rejected, verify=verify)
    assert secret not in text
    return text


def with_body(webhook, body):
    return Webhook(webhook.headers, webhook.query, body, webhook.method)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (json.dumps(json.loads(BODY), ensure_ascii=False).encode(), "the same JSON without spaces"),
        (json.dumps(json.loads(BODY), separators=(",", ":")).encode(), "the same JSON without spaces"),
        (json.dumps(json.loads(BODY), indent=2).encode(), "the same JSON without spaces"),
        (BODY + b"\n", "the body without its last line end"),
        (b"\xef\xbb\xbf" + BODY, "the body without its byte order mark"),
    ],
)
def test_a_body_that_was_changed_on_its_way_is_told_by_how(changed, said):
    text = explained(STRIPE, with_body(request(STRIPE), changed))
    assert f"The body was changed on its way: the signature is right for {said}" in text


def test_a_body_that_says_something_else_is_not_called_the_same():
    text = explained(STRIPE, with_body(request(STRIPE), BODY.replace(b"1", b"2")))
    assert (
        text == "no secret of this source made a signature of this request: another secret, or a changed body"
    )


@pytest.mark.parametrize(
    ("parameters", "used", "configured", "said"),
    [
        (GITHUB, "key", base64.b64encode(b"key").decode(), 'secret_encoding = "base64"'),
        (GITHUB, "key", b"key".hex(), 'secret_encoding = "hex"'),
        (GITHUB, "key", "whsec_key", 'secret_strip = "whsec_"'),
        (GITHUB, "key", "whsec_" + base64.b64encode(b"key").decode(), 'secret_encoding = "base64"'),
    ],
)
def test_a_secret_that_was_taken_in_the_wrong_form_is_told_with_the_setting(
    parameters, used, configured, said
):
    assert said in explained(parameters, request(parameters, used), configured)


def test_a_secret_that_was_encoded_once_too_often_is_told():
    twice = base64.b64encode(WHSEC.encode()).decode()
    headers = ((b"webhook-id", b"m"),)
    text = explained(STANDARD, request(STANDARD, WHSEC, headers=headers), twice)
    assert "encoded once too often" in text


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        ("sk_live_0123456789", "looks like a Stripe API key"),
        ("ghp_0123456789abcdef", "looks like a GitHub access token"),
        ("xoxb-0123456789", "looks like a Slack token"),
        ("AC" + "0" * 32, "looks like a Twilio SID"),
        ("https://example.com/x", "looks like a URL"),
        ("<your secret>", "looks like a placeholder"),
    ],
)
def test_a_secret_that_is_something_else_is_told_by_what_it_looks_like(secret, said):
    assert f"Secret 0 {said}" in explained(STRIPE, request(STRIPE), secret)


@pytest.mark.parametrize("called", [f"{URL}/", "http://hooks.example.com/in", "https://other.example.com/in"])
def test_another_url_is_told_where_the_url_is_signed(called):
    text = explained(SQUARE, request(SQUARE, url=called), captured=called)
    assert f"set public_url to {called}" in text


def test_the_time_that_would_do_is_told_and_does():
    old = request(STRIPE, at=NOW - 200_000)
    text = explained(STRIPE, old)
    assert "sent 200000 s ago; 300 s are allowed (2 d)" in text
    assert f"--at {NOW - 200_000}" in text
    assert not isinstance(verify(STRIPE, [SECRET], "", old, NOW - 200_000), Rejected)


def test_a_request_of_another_producer_is_told_by_its_header():
    text = explained(STRIPE, request(GITHUB))
    assert "The request has x-hub-signature-256, as of the preset 'github'" in text


def test_an_older_form_of_the_signature_is_told_apart_from_none():
    text = explained(GITHUB, Webhook(((b"X-Hub-Signature", b"sha1=00"),), b"", BODY))
    assert text == (
        "there is no x-hub-signature-256 header. It has x-hub-signature, an older and weaker form, which does not count"
    )


def test_a_request_without_any_signature_is_called_so():
    assert "It carries no signature at all" in explained(STRIPE, Webhook((), b"", BODY))
    alike = explained(STRIPE, Webhook(((b"X-Sign", b"1"),), b"", BODY))
    assert "What it has that could be one: x-sign" in alike


def test_a_preset_by_which_it_would_be_right_is_named():
    bare = {**GITHUB, "encoding": "base64"}
    assert "With the preset 'github' it would be right" in explained(bare, request(GITHUB))


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_no_request_makes_an_explanation_fail(name):
    preset = PRESETS[name]
    for secret in (SECRET, WHSEC, "user:password", "0123456789abcdef" * 4):
        try:
            verifier = compile_verifier(preset.verify, [secret], public_url=URL)
        except ValueError:
            continue
        for headers in ((), tuple((one, b"\xff=,. ") for one in verifier.required_headers)):
            webhook = Webhook(headers, b"a=%ff&b", b'{"a":')
            rejected = verifier.verify(webhook, now=NOW)
            assert isinstance(rejected, Rejected)
            case = Case(preset.verify, [Secret(secret)], URL, webhook, URL, NOW)
            assert explain(case, rejected, verify=verify)
