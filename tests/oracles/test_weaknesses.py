"""Where a package is weaker than the gateway. A test that fails here may say that a package was mended."""

import binascii
from dataclasses import replace

import pytest
import time_machine

from gateway.model import Rejected
from tests.oracles import gateway_side
from tests.oracles.made_up import base64_of, mac
from tests.oracles.producer import NOW, Producer
from tests.oracles.producers import BY_NAME
from tests.oracles.request import Request

ARABIC_ONE = "\N{ARABIC-INDIC DIGIT ONE}"
YEAR_SECONDS = 365 * 86_400
SENDGRID_SIGNATURE = "x-twilio-email-event-webhook-signature"
SENDGRID_TIME = "x-twilio-email-event-webhook-timestamp"


def insert(text, at):
    return lambda value: value[:at] + text + value[at:]


def replaced(old, new):
    return lambda value: value.replace(old, new, 1)


ACCEPTED_BY_PACKAGE = {
    "junk in base64": ("standard-webhooks", "webhook-signature", insert("*#", 9)),
    "a fraction of a second": ("standard-webhooks", "webhook-timestamp", insert(".5", 10)),
    "an underscore in a number": ("standard-webhooks", "webhook-timestamp", insert("_", 1)),
    "a digit of another script": ("standard-webhooks", "webhook-timestamp", replaced("1", ARABIC_ONE)),
    "no version": ("openai", "webhook-signature", replaced("v1,", "")),
    "Stripe: an underscore in a number": ("stripe", "stripe-signature", insert("_", 3)),
    "Stripe: two times, the first counts": ("stripe", "stripe-signature", insert(",t=1", 12)),
    "Paddle: an underscore in a number": ("paddle", "paddle-signature", insert("_", 4)),
    "Paddle: two times, the last counts": ("paddle", "paddle-signature", insert("ts=1;", 0)),
    "ElevenLabs: two times, the last counts": ("elevenlabs", "elevenlabs-signature", insert("t=1,", 0)),
    "SendGrid: junk in base64": ("sendgrid", SENDGRID_SIGNATURE, insert("*#", 9)),
    "Telnyx: junk in base64": ("telnyx", "telnyx-signature-ed25519", insert("*#", 9)),
    "Polar: a fraction of a second": ("polar", "webhook-timestamp", insert(".5", 10)),
    "Replicate: another version": ("replicate", "webhook-signature", replaced("v1,", "v9,")),
    "Resend: another version": ("resend", "svix-signature", replaced("v1,", "v9,")),
    "WorkOS: other names of the fields": ("workos", "workos-signature", replaced("v1=", "v9=")),
    "Discord: a space in hex": ("discord", "x-signature-ed25519", insert(" ", 2)),
}
RAISED_BY_PACKAGE = {
    "no version": ("standard-webhooks", "webhook-signature", replaced("v1,", ""), ValueError),
    "no padding": ("standard-webhooks", "webhook-signature", replaced("=", ""), binascii.Error),
    "not ASCII": ("openai", "webhook-signature", replaced("=", "é"), TypeError),
    "Stripe: not ASCII": ("stripe", "stripe-signature", replaced("v1=", "v1=é"), TypeError),
    "Slack: not ASCII": ("slack", "x-slack-signature", replaced("=", "é"), TypeError),
    "Slack: no number": ("slack", "x-slack-request-timestamp", replaced("1", "l"), ValueError),
    "HubSpot: not ASCII": ("hubspot-v3", "x-hubspot-signature-v3", replaced("=", "é"), TypeError),
    "Paddle: no number": ("paddle", "paddle-signature", replaced("ts=1", "ts=l"), ValueError),
    "ElevenLabs: no number": ("elevenlabs", "elevenlabs-signature", replaced("t=1", "t=l"), ValueError),
    "Razorpay: not ASCII": ("razorpay", "x-razorpay-signature", insert("é", 0), TypeError),
    "GoCardless: not ASCII": ("gocardless", "webhook-signature", insert("é", 0), TypeError),
    "WorkOS: not ASCII": ("workos", "workos-signature", replaced("v1=", "v1=é"), TypeError),
    "Box: no time": ("box", "box-delivery-timestamp", insert("x", 0), ValueError),
    "SendGrid: no base64": ("sendgrid", SENDGRID_SIGNATURE, lambda value: value[:5], binascii.Error),
}
EMPTY_SECRET = [
    "paddle",
    "retell",
    "line",
    "twilio-form",
    "twilio-json",
    "twilio-form-sharedkey",
    "hubspot-v3",
    "hubspot-v2",
    "hubspot-v1",
    "gocardless",
    "razorpay",
    "box",
    "workos",
    "rfc9421 hmac-sha256",
]


def edited(name, header, edit):
    signed = BY_NAME[name].signed
    return BY_NAME[name], signed.with_headers({header: edit(signed.headers[header])})


def accepted_by_package_alone(producer: Producer, request: Request, *, now: int = NOW) -> bool:
    return producer.accepts(request, now=now) and not gateway_side.accepted(producer, request, now=now)


@pytest.mark.parametrize("case", ACCEPTED_BY_PACKAGE)
def test_a_package_accepts_what_the_gateway_refuses(case):
    assert accepted_by_package_alone(*edited(*ACCEPTED_BY_PACKAGE[case]))


@pytest.mark.parametrize("case", RAISED_BY_PACKAGE)
def test_a_package_fails_where_the_gateway_refuses(case):
    *edit, error = RAISED_BY_PACKAGE[case]
    producer, request = edited(*edit)
    with pytest.raises(error), time_machine.travel(NOW, tick=False):
        producer.check(request, producer.secret)
    assert isinstance(gateway_side.judged(producer, request, now=NOW), Rejected)


def test_standardwebhooks_fails_where_a_body_is_not_utf8_and_the_gateway_refuses():
    producer = BY_NAME["standard-webhooks"]
    request = replace(producer.signed, body=b"\xff")
    with pytest.raises(UnicodeDecodeError), time_machine.travel(NOW, tick=False):
        producer.check(request, producer.secret)
    assert isinstance(gateway_side.judged(producer, request, now=NOW), Rejected)


@pytest.mark.parametrize("name", ["stripe", "elevenlabs", "hubspot-v3", "sendgrid", "discord"])
def test_a_package_accepts_a_time_of_next_year_and_the_gateway_does_not(name):
    producer = BY_NAME[name]
    assert accepted_by_package_alone(producer, producer.signed, now=NOW - YEAR_SECONDS)


@pytest.mark.parametrize("name", ["sendgrid", "discord"])
def test_a_package_accepts_a_time_of_last_year_and_the_gateway_does_not(name):
    producer = BY_NAME[name]
    assert accepted_by_package_alone(producer, producer.signed, now=NOW + YEAR_SECONDS)


@pytest.mark.parametrize(
    ("name", "header"), [("sendgrid", SENDGRID_TIME), ("discord", "x-signature-timestamp")]
)
def test_a_package_accepts_a_digit_of_the_time_as_the_first_of_the_body(name, header):
    """The signed bytes are the same: nothing stands between time and body."""
    producer, signed = BY_NAME[name], BY_NAME[name].signed
    time = signed.headers[header]
    moved = replace(signed.with_headers({header: time[:-1]}), body=time[-1].encode() + signed.body)
    assert accepted_by_package_alone(producer, moved)


def test_hubspot_accepts_the_last_digit_of_a_body_as_the_first_of_the_time():
    producer, header = BY_NAME["hubspot-v3"], "x-hubspot-request-timestamp"
    signed = producer.sign(replace(producer.request, body=b"10"), producer.key, NOW)
    moved = replace(signed.with_headers({header: "0" + signed.headers[header]}), body=b"1")
    assert accepted_by_package_alone(producer, moved)


def test_svix_accepts_headers_of_two_families():
    producer, signed = BY_NAME["svix"], BY_NAME["svix"].signed
    renamed = signed.without_header("svix-id").with_headers({"webhook-id": signed.headers["svix-id"]})
    assert accepted_by_package_alone(producer, renamed)


@pytest.mark.parametrize("name", EMPTY_SECRET)
def test_a_package_takes_an_empty_secret_and_the_gateway_does_not(name):
    producer = BY_NAME[name]
    assert producer.accepts(producer.sign(producer.request, b"", NOW), secret="")
    with pytest.raises(ValueError, match=r"empty|is not base64"):
        gateway_side.verifier(producer, "")


def test_openai_takes_an_empty_secret_and_the_gateway_does_not():
    producer, signed = BY_NAME["openai"], BY_NAME["openai"].signed
    message = f"{signed.headers['webhook-id']}.{NOW}.{signed.text}"
    forged = signed.with_headers({"webhook-signature": "v1," + base64_of(mac(b"", message))})
    assert producer.accepts(forged, secret="")
    with pytest.raises(ValueError, match="empty"):
        gateway_side.verifier(producer, "")
