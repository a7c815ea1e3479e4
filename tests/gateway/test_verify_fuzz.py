"""What the fuzzer calls, without the fuzzer: it takes what is valid, and notices a verifier that takes more."""

import random
from dataclasses import replace

import pytest

from gateway.model import VerifiedWebhook
from gateway.selector import Content
from tests.support.fuzz_target import Target, read, written
from tests.support.known_requests import all_known, of_preset
from tests.support.verifying import with_one_bit_changed


class Credulous:
    """Takes anything for authentic."""

    def verify(self, webhook, *, now):  # noqa: ARG002 - as a verifier
        return VerifiedWebhook(webhook, 0, b"", body_authenticated=True, content=Content(webhook))


class Failing:
    def verify(self, webhook, *, now):  # noqa: ARG002 - as a verifier
        raise KeyError(webhook.method)


def test_a_request_that_is_written_is_read_again():
    for number, one in enumerate(all_known()):
        data = written(number, one.request)
        assert (data[0], read(data, len(one.request.headers))) == (number, one.request)


def test_every_seed_is_accepted():
    target = Target(all_known())
    for seed in target.seeds():
        target(seed)
    assert target.accepted == len(target.seeds())


def test_what_the_same_secret_made_for_another_is_no_forgery():
    """The fuzzer changes the number of the verifier too."""
    known = all_known()
    target = Target(known)
    by_name = {one.name: number for number, one in enumerate(known)}
    other = known[by_name["sw-17-utf8-body"]]
    twins = [
        one
        for one in known
        if one.now == other.now
        and isinstance(other.verifier.verify(one.request, now=other.now), VerifiedWebhook)
    ]
    assert {one.request.body for one in twins} > {other.request.body}
    for one in twins:
        target(written(by_name[other.name], one.request))


def test_a_letter_that_moves_from_a_forms_value_to_the_next_name_is_no_forgery():
    """Twilio signs names and values one after the other, without anything in between."""
    (one,) = [one for one in all_known() if one.name == "twilio-06-duplicate-params"]
    assert b"Sid=CA123&" in one.request.body
    moved = one.request.body.replace(b"Sid=CA123&", b"Sid=CA123S&").replace(b"&SidAccount", b"&idAccount")
    target = Target([one])
    target(written(0, replace(one.request, body=moved)))


def test_any_bytes_are_a_request():
    target, chance = Target(all_known()), random.Random(1)
    for seed in target.seeds():
        for _ in range(20):
            start, end = sorted(chance.choices(range(len(seed) + 1), k=2))
            target(seed[:start] + chance.randbytes(chance.randrange(4)) + seed[end:])
    target(b"")
    assert target.accepted < 10 * len(target.seeds())


@pytest.mark.parametrize(
    "name", ["standard-webhooks", "stripe", "discord", "jwt-hs256-bodyhash", "rfc9421-ed25519"]
)
def test_a_verifier_that_takes_another_body_is_found(name):
    target = Target([replace(of_preset(name), verifier=Credulous())])
    (seed,) = target.seeds()
    target(seed)
    with pytest.raises(AssertionError, match=f"{name} accepts another request"):
        target(seed + b" ")


@pytest.mark.parametrize(
    "name",
    ["standard-webhooks", "stripe", "twitch", "discord", "bearer", "jwt-hs256-bodyhash", "rfc9421-ed25519"],
)
def test_a_verifier_that_takes_another_time_id_or_token_is_found(name):
    known = replace(of_preset(name), verifier=Credulous())
    target, found = Target([known]), 0
    for index, (header, value) in enumerate(known.request.headers):
        for _, changed in with_one_bit_changed(value):
            headers = (*known.request.headers[:index], (header, changed), *known.request.headers[index + 1 :])
            try:
                target(written(0, replace(known.request, headers=headers)))
            except (AssertionError, KeyError, ValueError):
                found += 1
    assert found >= 8 * 6


def test_an_exception_is_not_swallowed():
    target = Target([replace(of_preset("stripe"), verifier=Failing())])
    with pytest.raises(KeyError):
        target(target.seeds()[0])
