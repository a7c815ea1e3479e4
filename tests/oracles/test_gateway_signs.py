"""What the gateway signs anew, once the producer's time is over, the producer's package takes."""

import json
from dataclasses import replace

import pytest

from tests.oracles import gateway_side
from tests.oracles.producer import ALWAYS, NOW
from tests.oracles.producers import each_producer

DAY_SECONDS = 86_400
DESTINATION = "https://app.example.net:8443/hooks/in?tenant=7"


can_sign = each_producer(lambda producer: producer.can_sign_anew)
later = pytest.mark.parametrize("days", [1, 7])


@can_sign
@later
def test_a_package_accepts_later_what_the_gateway_signed_later(producer, days):
    then = NOW + days * DAY_SECONDS
    anew = gateway_side.signed_anew(producer, producer.signed, now=then, url=producer.request.url)
    assert producer.accepts(anew, now=then)
    assert gateway_side.accepted(producer, anew, now=then)


@each_producer(lambda producer: producer.late < DAY_SECONDS)
@later
def test_a_package_refuses_later_what_its_producer_signed(producer, days):
    assert not producer.accepts(producer.signed, now=NOW + days * DAY_SECONDS)


@each_producer(lambda producer: producer.late == ALWAYS)
@later
def test_a_package_without_a_clock_accepts_later_what_its_producer_signed(producer, days):
    assert producer.accepts(producer.signed, now=NOW + days * DAY_SECONDS)


@can_sign
def test_nothing_but_the_signature_and_its_time_is_changed(producer):
    anew = gateway_side.signed_anew(
        producer, producer.signed, now=NOW + DAY_SECONDS, url=producer.request.url
    )
    if producer.name == "linear":
        document = {**json.loads(producer.signed.body), "webhookTimestamp": (NOW + DAY_SECONDS) * 1000}
        assert json.loads(anew.body) == document
    else:
        assert anew.body == producer.signed.body
    assert {name: anew.headers[name] for name in producer.request.headers} == producer.request.headers
    assert set(anew.headers) == set(producer.signed.headers)


@can_sign
def test_a_package_refuses_what_the_gateway_signed_with_another_key(producer):
    other = replace(producer, key=bytes(reversed(producer.key)))
    anew = gateway_side.signed_anew(other, producer.signed, now=NOW, url=producer.request.url)
    assert other.accepts(anew)
    assert not producer.accepts(anew)


@each_producer(lambda producer: producer.can_sign_anew and producer.signs_url)
def test_what_is_signed_for_a_destination_is_accepted_there_and_nowhere_else(producer):
    anew = gateway_side.signed_anew(producer, producer.signed, now=NOW, url=DESTINATION)
    assert anew.url.startswith(DESTINATION)
    assert producer.accepts(anew)
    assert not producer.accepts(replace(anew, url=anew.url.replace("/hooks/in", "/hooks/on")))


@each_producer(lambda producer: not producer.can_sign_anew)
def test_who_cannot_sign_for_a_producer_says_so(producer):
    with pytest.raises(ValueError, match="cannot"):
        gateway_side.signed_anew(producer, producer.signed, now=NOW)
