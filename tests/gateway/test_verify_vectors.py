"""The vectors of many producers: judged as their sources say, and refused with any bit of them changed."""

import binascii
import operator
import random
from dataclasses import replace

import pytest

from gateway.model import Rejected, VerifiedWebhook
from tests.support.known_requests import all_known, differs
from tests.support.verifying import (
    VALID,
    VECTORS,
    accepted,
    named,
    request_of,
    verifier_of,
    with_one_bit_changed,
)

ALL_BITS_OF = 300
"""Bytes up to which every bit of a body is tried; of longer ones, as many bits as this has, by chance."""
each_valid_vector = pytest.mark.parametrize("vector", VALID, ids=named)


def judged(vector):
    """A secret that is refused when it is configured lets nothing in either."""
    try:
        verifier = verifier_of(vector)
    except ValueError as refused:
        return Rejected("bad_signature", str(refused))
    return verifier.verify(request_of(vector), now=vector["timestamp_now"])


@pytest.mark.parametrize("vector", VECTORS, ids=named)
def test_a_vector_is_judged_as_its_source_says(vector):
    result = judged(vector)
    assert isinstance(result, VerifiedWebhook) == (vector["expect"] == "valid"), result


def test_the_vectors_are_as_many_as_they_were():
    assert (len(VECTORS), len(VALID)) == (123, 56)


def chosen_bits(body):
    if len(body) <= ALL_BITS_OF:
        return range(len(body) * 8)
    return random.Random(len(body)).sample(range(len(body) * 8), ALL_BITS_OF * 8)


@each_valid_vector
def test_a_body_with_one_bit_changed_is_refused_where_the_body_is_said_to_be_authentic(vector):
    """And accepted where it is said not to be, unless the bit is of what the scheme reads there."""
    verifier, request, now = verifier_of(vector), request_of(vector), vector["timestamp_now"]
    is_authenticated = accepted(verifier.verify(request, now=now)).body_authenticated
    passed = [
        bit
        for bit, body in with_one_bit_changed(request.body, chosen_bits(request.body))
        if isinstance(verifier.verify(replace(request, body=body), now=now), VerifiedWebhook)
    ]
    if request.body:
        assert (passed == []) == is_authenticated


@each_valid_vector
def test_a_body_with_a_byte_more_or_less_is_refused_where_the_body_is_said_to_be_authentic(vector):
    verifier, request, now = verifier_of(vector), request_of(vector), vector["timestamp_now"]
    is_authenticated = accepted(verifier.verify(request, now=now)).body_authenticated
    body = request.body
    for changed in (body + b" ", body + b"\0", b" " + body, body[1:], body[:-1], b""):
        if changed != body and is_authenticated:
            result = verifier.verify(replace(request, body=changed), now=now)
            assert isinstance(result, Rejected), changed


def test_the_bodies_that_are_not_authentic_are_those_of_these_schemes():
    unauthenticated = {
        vector["id"]
        for vector in VALID
        if not accepted(
            verifier_of(vector).verify(request_of(vector), now=vector["timestamp_now"])
        ).body_authenticated
    }
    of_tokens = {vector["id"] for vector in VALID if vector["config"]["kind"] == "token"}
    assert unauthenticated == of_tokens | {"mailgun-01", "rfc9421-b25-hmac"}


SEVERAL = {
    "sw-04-multi-sig",
    "sw-11-both-v1-v1a-sym",
    "sw-12-both-v1-v1a-asym",
    "stripe-02-rotation",
    "paddle-01-rotation",
}


@pytest.mark.parametrize("one", all_known(), ids=operator.attrgetter("name"))
def test_a_header_with_one_bit_changed_is_refused_or_says_the_same(one):
    """The same is another case of a letter: of a hexadecimal digit, of Bearer, Basic and the like. Besides these, any
    bit may change of a signature that is not the one that matched, and of a message signature those that are no part
    of it in base64; repeats are told by what it signs.
    """
    signature = accepted(one.verifier.verify(one.request, now=one.now)).signature
    for index, (name, value) in enumerate(one.request.headers):
        for _, changed in (
            with_one_bit_changed(value) if name.lower() in one.verifier.required_headers else ()
        ):
            headers = (*one.request.headers[:index], (name, changed), *one.request.headers[index + 1 :])
            request = replace(one.request, headers=headers)
            result = one.verifier.verify(request, now=one.now)
            if isinstance(result, VerifiedWebhook):
                assert (result.signature, differs(one, request, result)) == (signature, None)
                assert (
                    changed.lower() == value.lower()
                    or one.name in SEVERAL
                    or (
                        one.parameters["kind"] == "rfc9421"
                        and leniently_decoded(changed) == leniently_decoded(value)
                    )
                ), (name, value, changed)


def leniently_decoded(value):
    return binascii.a2b_base64(value.partition(b":")[2].rstrip(b":") + b"==")
