"""Every preset: what is signed anew is verified, and no bytes make it raise, or accept what was not signed."""

import functools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.model import Rejected, VerifiedWebhook, Webhook
from gateway.verify import PRESETS
from tests.support.known_requests import Known, all_known, differs, of_preset, signed_anew
from tests.support.verifying import NOW, VALID, accepted, refused, with_one_bit_changed

DAY = 86_400
SIGNABLE = sorted(name for name in PRESETS if of_preset(name).verifier.unsignable is None)
known = functools.cache(of_preset)
each_preset = pytest.mark.parametrize("name", PRESETS)
few = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))


@each_preset
def test_a_valid_request_of_a_preset_is_verified(name):
    accepted(known(name).verifier.verify(known(name).request, now=NOW))


def test_those_that_cannot_be_signed_for_are_of_public_keys_tokens_of_claims_and_message_signatures():
    assert {PRESETS[name].verify["kind"] for name in SIGNABLE} == {"standard", "hmac", "token"}
    assert {PRESETS[name].verify["kind"] for name in set(PRESETS) - set(SIGNABLE)} == {
        "asymmetric",
        "jwt",
        "rfc9421",
    }


@pytest.mark.parametrize("name", SIGNABLE)
def test_what_is_signed_a_day_later_is_verified_then_and_no_later_than_it_may_be(name):
    verifier, old = known(name).verifier, known(name).request
    later = NOW + DAY
    request, tolerance = signed_anew(verifier, old, now=later), verifier.tolerance_seconds
    for now in (later, later + tolerance, later - tolerance):
        accepted(verifier.verify(request, now=now))
    if tolerance:
        assert refused(verifier.verify(request, now=later + tolerance + 1)).reason == "too_old"
        assert refused(verifier.verify(request, now=later - tolerance - 1)).reason == "too_new"
        assert refused(verifier.verify(old, now=later)).reason == "too_old"
    else:
        accepted(verifier.verify(old, now=later))


@each_preset
def test_a_body_with_one_bit_changed_is_refused_where_the_body_is_said_to_be_authentic(name):
    one = known(name)
    is_authenticated = accepted(one.verifier.verify(one.request, now=NOW)).body_authenticated
    passed = [
        bit
        for bit, body in with_one_bit_changed(one.request.body, range(0, len(one.request.body) * 8, 5))
        if isinstance(one.verifier.verify(with_body(one.request, body), now=NOW), VerifiedWebhook)
    ]
    assert (passed == []) == is_authenticated


def with_body(request, body):
    return Webhook(request.headers, request.query, body, request.method)


def own_names(one: Known):
    """Headers that the scheme reads, and others."""
    names = {name.lower() for name, _ in one.request.headers} | set(one.verifier.required_headers)
    return st.sampled_from([*sorted(names), b"x-other", b"\xe9", b""])


@each_preset
@few
@given(data=st.data())
def test_no_headers_query_and_body_make_it_raise_or_pass(name, data):
    one = known(name)
    headers = data.draw(st.lists(st.tuples(own_names(one), st.binary(max_size=40)), max_size=6))
    query, body = data.draw(st.binary(max_size=30)), data.draw(st.binary(max_size=60))
    method = data.draw(st.sampled_from(["POST", "GET", "post", ""]))
    request = Webhook(tuple(headers), query, body, method)
    assert isinstance(one.verifier.verify(request, now=NOW), Rejected)


@st.composite
def altered(draw, request):
    """A valid request with a few bytes of one part changed, moved or repeated, or a header doubled or left out."""
    headers = list(request.headers)
    parts = {"query": request.query, "body": request.body}
    for _ in range(draw(st.integers(1, 3))):
        match draw(st.sampled_from(["header", "header", "header", "query", "body", "double", "drop"])):
            case "header" if headers:
                index = draw(st.integers(0, len(headers) - 1))
                headers[index] = (headers[index][0], draw(spliced(headers[index][1])))
            case "double" if headers:
                headers.append(draw(st.sampled_from(headers)))
            case "drop" if headers:
                headers.pop(draw(st.integers(0, len(headers) - 1)))
            case "query" | "body" as part:
                parts[part] = draw(spliced(parts[part]))
            case _:
                pass
    return Webhook(tuple(headers), parts["query"], parts["body"], request.method)


@st.composite
def spliced(draw, value):
    start, end = sorted((draw(st.integers(0, len(value))), draw(st.integers(0, len(value)))))
    put = draw(
        st.one_of(
            st.binary(max_size=4),
            st.sampled_from([b"", b",", b"=", b" ", b".", b"&", b'"', b"\xff", value[start:end] * 2, value]),
        )
    )
    return value[:start] + put + value[end:]


@each_preset
@few
@given(data=st.data())
def test_a_request_that_is_nearly_valid_does_not_raise_and_passes_only_with_what_was_signed(name, data):
    one = known(name)
    request = data.draw(altered(one.request))
    result = one.verifier.verify(request, now=NOW)
    if isinstance(result, VerifiedWebhook):
        assert differs(one, request, result) is None


def test_there_is_a_known_request_of_every_preset_and_vector():
    assert len(all_known()) == len(PRESETS) + len(VALID)
    for one in all_known():
        result = accepted(one.verifier.verify(one.request, now=one.now))
        assert differs(one, one.request, result) is None
