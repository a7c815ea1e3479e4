"""What a producer's package refuses, the gateway refuses."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from gateway.model import VerifiedWebhook
from tests.oracles import gateway_side
from tests.oracles.producer import ALWAYS, NOW
from tests.oracles.producers import BY_NAME, each_producer
from tests.oracles.tokens import LIFETIME_SECONDS

DAY_SECONDS = 86_400


def edits(value: str) -> Iterator[str]:
    """`value` with one character more, one less, and one of the other case, at every place."""
    for place in range(len(value) + 1):
        before, after = value[:place], value[place:]
        yield from (f"{before}{added}{after}" for added in " \t,;.=+-_/01aAvV")
        yield before + after[1:]
        yield before + after[:1].swapcase() + after[1:]


def refused_by_both(producer, request, *, secret=None, now=NOW):
    secret = secret or producer.secret
    by_gateway = not gateway_side.accepted(producer, request, secret, now=now)
    return not producer.accepts(request, now=now, secret=secret) and by_gateway


@each_producer()
@pytest.mark.parametrize("changed", [b"", b"{}", b" "])
def test_another_body_is_refused(producer, changed):
    assert refused_by_both(producer, replace(producer.signed, body=changed))


@each_producer()
def test_a_longer_and_a_shorter_body_are_refused(producer):
    body = producer.signed.body
    for changed in (body + b"0", body + b"\n", body[:-1], b"0" + body, b"\xef\xbb\xbf" + body):
        assert refused_by_both(producer, replace(producer.signed, body=changed)), changed


@each_producer()
def test_another_secret_is_refused(producer):
    other = producer.spelled(bytes(reversed(producer.key)))
    assert refused_by_both(producer, producer.signed, secret=other)


@each_producer()
def test_a_request_without_one_of_the_headers_of_the_signature_is_refused(producer):
    for name in producer.signature_headers:
        assert refused_by_both(producer, producer.signed.without_header(name)), name


@each_producer()
def test_a_request_with_an_empty_header_of_the_signature_is_refused(producer):
    for name in producer.signature_headers:
        assert refused_by_both(producer, producer.signed.with_headers({name: ""})), name


@each_producer()
def test_headers_of_another_request_of_the_producer_are_refused(producer):
    later = producer.sign(replace(producer.request, body=b'{"another":1}'), producer.key, NOW + 1)
    headers = {name: later.headers[name] for name in producer.signature_headers}
    assert refused_by_both(producer, producer.signed.with_headers(headers))


@each_producer()
def test_a_header_of_the_signature_that_differs_in_one_character_is_refused(producer):
    for name in producer.signature_headers:
        value = producer.signed.headers[name]
        for place, character in enumerate(value):
            changed = value[:place] + chr(ord(character) ^ 1) + value[place + 1 :]
            request = producer.signed.with_headers({name: changed})
            assert not gateway_side.accepted(producer, request, now=NOW), changed


@each_producer(lambda producer: producer.signs_url)
@pytest.mark.parametrize("url", ["https://hooks.example.com/other", "http://hooks.example.net/in"])
def test_a_request_to_another_url_is_refused(producer, url):
    called = replace(producer.signed, url=f"{url}?{producer.signed.query}")
    assert not producer.accepts(called)
    there = replace(producer, request=called)  # the gateway knows its URL from its configuration
    assert not gateway_side.accepted(there, called, now=NOW)


@each_producer(lambda producer: producer.signs_url)
def test_a_request_with_another_query_is_refused(producer):
    for added in ("&added=1", "%20", "#"):
        request = replace(producer.signed, url=producer.signed.url + added)
        assert request.query == producer.signed.query or refused_by_both(producer, request), added


@each_producer(lambda producer: producer.signs_method)
def test_another_method_is_refused(producer):
    assert refused_by_both(producer, replace(producer.signed, method="PUT"))


@each_producer(lambda producer: producer.late < ALWAYS and producer.name != "livekit")
def test_what_is_too_old_for_a_package_is_too_old_for_the_gateway(producer):
    """To the second: a package may count the last one otherwise."""
    assert producer.accepts(producer.signed, now=NOW + producer.late)
    assert not producer.accepts(producer.signed, now=NOW + producer.late + 1)
    for late in (producer.late + 2, DAY_SECONDS):
        assert refused_by_both(producer, producer.signed, now=NOW + late)


def test_livekit_and_the_gateway_accept_a_token_for_a_minute_after_its_end():
    """It says when it ends, not when it was made. LiveKit's package counts the last second in, the gateway one more."""
    producer = BY_NAME["livekit"]
    assert producer.accepts(producer.signed, now=NOW + producer.late)
    assert not producer.accepts(producer.signed, now=NOW + producer.late + 1)
    assert gateway_side.accepted(producer, producer.signed, now=NOW + LIFETIME_SECONDS + 60)
    assert refused_by_both(producer, producer.signed, now=NOW + LIFETIME_SECONDS + 61)


@each_producer(lambda producer: producer.early < ALWAYS)
def test_what_is_too_new_for_a_package_is_too_new_for_the_gateway_but_for_the_clocks_that_it_allows_for(
    producer,
):
    tolerance = gateway_side.verifier(producer).tolerance_seconds
    assert producer.accepts(producer.signed, now=NOW - producer.early)
    assert not producer.accepts(producer.signed, now=NOW - producer.early - 1)
    for early in (max(producer.early, tolerance) + 1, DAY_SECONDS):
        assert refused_by_both(producer, producer.signed, now=NOW - early)


@each_producer()
def test_an_edited_signature_that_the_gateway_takes_is_written_otherwise_and_no_other_signature(producer):
    """Some packages compare the text; the gateway compares what hex stands for, and lets spaces stand between items."""
    verifier = gateway_side.verifier(producer)
    for name in producer.signature_headers:
        value = producer.signed.headers[name]
        for edited in edits(value):
            request = producer.signed.with_headers({name: edited})
            result = verifier.verify(gateway_side.webhook(request), now=NOW)
            if isinstance(result, VerifiedWebhook) and not producer.accepts(request):
                assert edited.lower().replace(" ", "") == value.lower().replace(" ", "")
