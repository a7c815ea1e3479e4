"""What producers sign, the gateway takes; what was changed since, it does not."""

import json
import re
from base64 import b64decode
from dataclasses import replace
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model import VerifiedWebhook
from tests.oracles import gateway_side
from tests.oracles.made_up import DOCUMENT, base64_of
from tests.oracles.producer import NOW
from tests.oracles.producers import BY_NAME, each_producer

PUBLIC_KEYS = [
    ("sendgrid", 65),
    ("jwt ES256", 65),
    ("jwt EdDSA", 32),
    ("rfc9421 ecdsa-p256-sha256", 65),
    ("rfc9421 ed25519", 32),
]
JOINED = {
    "standard-webhooks": ("webhook-signature", lambda old, new: f"{old} {new}"),
    "svix": ("svix-signature", lambda old, new: f"{old} {new}"),
    "stripe": ("stripe-signature", lambda old, new: f"{old},{new.partition(',')[2]}"),
    "paddle": ("paddle-signature", lambda old, new: f"{old};{new.partition(';')[2]}"),
}


def flipped(data: bytes):
    """`data` with one bit changed, for each of its bits."""
    for bit in range(len(data) * 8):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        yield bytes(changed)


@each_producer()
def test_what_a_producer_signs_is_accepted_by_its_package_and_by_the_gateway(producer):
    assert producer.accepts(producer.signed)
    assert gateway_side.accepted(producer, producer.signed, now=NOW)


@each_producer(lambda producer: not producer.signs_form)
@settings(max_examples=30, deadline=None)
@given(
    document=st.dictionaries(st.text(max_size=8), st.text(max_size=30) | st.integers(), max_size=4),
    ascii_only=st.booleans(),
    end=st.sampled_from(["", "\n", "\r\n", " "]),
)
def test_whatever_text_a_producer_signs_is_accepted(producer, document, ascii_only, end):
    body = (json.dumps({**DOCUMENT, **document}, ensure_ascii=ascii_only) + end).encode()
    request = producer.sign(replace(producer.request, body=body), producer.key, NOW)
    assert producer.accepts(request)
    assert gateway_side.accepted(producer, request, now=NOW)


@each_producer(lambda producer: producer.signs_form)
@settings(max_examples=100, deadline=None)
@given(
    fields=st.lists(st.tuples(st.text(min_size=1, max_size=5), st.text(max_size=8)), min_size=1, max_size=6)
)
def test_whatever_form_a_producer_signs_is_accepted(producer, fields):
    body = urlencode(fields).encode()
    request = producer.sign(replace(producer.request, body=body), producer.key, NOW)
    assert producer.accepts(request)
    assert gateway_side.accepted(producer, request, now=NOW)


@each_producer()
def test_a_body_that_differs_in_any_bit_is_refused(producer):
    verifier = gateway_side.verifier(producer)
    for body in flipped(producer.signed.body):
        webhook = gateway_side.webhook(replace(producer.signed, body=body))
        assert not isinstance(verifier.verify(webhook, now=NOW), VerifiedWebhook), body


@each_producer()
def test_a_key_that_differs_in_any_bit_is_refused(producer):
    for key in flipped(producer.key):
        secret = producer.spelled(key.decode("latin-1").encode() if producer.spelled is bytes.decode else key)
        try:
            assert not gateway_side.accepted(producer, producer.signed, secret, now=NOW), secret
        except ValueError:
            continue  # no secret at all


@pytest.mark.parametrize(("name", "point_bytes"), PUBLIC_KEYS)
def test_a_public_key_that_names_another_kind_of_key_is_no_secret(name, point_bytes):
    """The point or the curve's bytes stand at its end; before them, what kind it is."""
    producer = BY_NAME[name]
    encoded = re.sub(r"-----.*?-----|\n", "", producer.secret)
    key = b64decode(encoded)
    for kind in flipped(key[:-point_bytes]):
        changed = base64_of(kind + key[-point_bytes:])
        secret = producer.secret.replace("\n", "").replace(encoded, f"\n{changed}\n").strip()
        with pytest.raises(ValueError, match="a secret is"):
            gateway_side.verifier(producer, secret)


@each_producer()
def test_what_is_signed_with_either_of_two_secrets_is_accepted(producer):
    other = bytes(reversed(producer.key))
    secrets = producer.spelled(other), producer.secret
    for index, key in enumerate((other, producer.key)):
        request = producer.sign(producer.request, key, NOW)
        assert gateway_side.judged(producer, request, *secrets, now=NOW).secret == index


@pytest.mark.parametrize("name", JOINED)
def test_what_is_signed_with_an_old_and_a_new_secret_is_accepted_by_who_has_one_of_them(name):
    producer, (header, join) = BY_NAME[name], JOINED[name]
    new = producer.spelled(bytes(reversed(producer.key)))
    signatures = [
        producer.sign(producer.request, key, NOW).headers[header]
        for key in (producer.key, bytes(reversed(producer.key)))
    ]
    request = producer.signed.with_headers({header: join(*signatures)})
    for secret in (producer.secret, new):
        assert producer.accepts(request, secret=secret)
        assert gateway_side.accepted(producer, request, secret, now=NOW)
