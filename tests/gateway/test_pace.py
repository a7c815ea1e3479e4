"""When a destination is held, how it is probed, and how many attempts it gets at once."""

import dataclasses
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Claim, DeliveryId
from gateway.pace import Bucket, Pace, is_down, quiet_until
from gateway.store import Room, Standing
from tests.support.store import NOW, A, event, outcome

DOWN = outcome("server_error", status=503, error="answered 503")
NOTHING_SENT = (
    outcome("payload", status=None, error="made-up"),
    outcome("unsigned", status=None, error="made-up"),
)
HOUR_MS = 3_600_000
numbers = itertools.count(1)


def claim(key=None, **changes):
    number = next(numbers)
    made = Claim(
        delivery_id=DeliveryId(number),
        attempt=1,
        destination=A,
        event=event(number, ordering_key=key),
        tries=0,
        again=False,
        queued_at=NOW,
        live_since=NOW,
    )
    return dataclasses.replace(made, **changes)


def pace(*, max_in_flight=8, rate_per_second=0.0):
    return Pace(max_in_flight=max_in_flight, rate_per_second=rate_per_second)


def held(*, now=NOW, **settings):
    made = pace(**settings)
    for _ in range(5):
        made.observe(claim(), DOWN, now=now)
    assert made.held
    return made


def turn(one, *, now=NOW, in_flight=0, again=0):
    return one.turn(in_flight=in_flight, again_in_flight=again, now=now)


def outlook(one, *, now=NOW, in_flight=0):
    return one.outlook(in_flight=in_flight, now=now)


def said(one):
    shown = outlook(one)
    return shown.last_error, shown.last_error_at


def test_five_failures_of_three_keys_hold_the_destination_and_four_do_not():
    made = pace()
    changes = [made.observe(claim(key), DOWN, now=NOW) for key in ("x", "y", "z", "x", "y")]
    assert changes == [None] * 4 + ["hold"]
    assert made.held


def test_failures_of_two_keys_hold_nothing_however_many():
    made = pace()
    assert {made.observe(claim(key), DOWN, now=NOW) for key in ["x", "y"] * 20} == {None}


def test_one_poison_event_without_a_key_holds_nothing():
    made, poison = pace(), claim()
    assert {made.observe(poison, DOWN, now=NOW) for _ in range(20)} == {None}


@pytest.mark.parametrize("between", [outcome("success"), outcome("client_error", status=404)])
def test_an_answer_that_says_the_destination_works_starts_the_count_anew(between):
    made = pace()
    for _ in range(4):
        made.observe(claim(), DOWN, now=NOW)
    made.observe(claim(), between, now=NOW)
    assert [made.observe(claim(), DOWN, now=NOW) for _ in range(4)] == [None] * 4


@pytest.mark.parametrize("kind", ["payload", "unsigned"])
def test_an_attempt_of_which_nothing_was_sent_says_nothing_of_the_destination(kind):
    made = pace()
    for one in (DOWN, DOWN, outcome(kind), DOWN, DOWN):
        assert made.observe(claim(), one, now=NOW) is None
    assert made.observe(claim(), DOWN, now=NOW) == "hold"


@pytest.mark.parametrize(
    ("kind", "status", "down"),
    [
        ("no_answer", None, True), ("timeout", None, True), ("address_refused", None, True), ("payload", None, False),
        ("unsigned", None, False),
        *(("client_error", status, True) for status in (401, 403, 408, 425, 429)),
        *(("server_error", status, True) for status in (500, 503, 599)),
        *(("client_error", status, False) for status in (400, 404, 409, 410, 413, 422, 451)),
        ("redirect", 301, False), ("success", 200, False),
    ],
)  # fmt: skip
def test_what_speaks_of_the_destination_rather_than_of_the_event(kind, status, down):
    assert is_down(outcome(kind, status=status)) is down


def test_a_held_destination_gets_one_probe_after_1_2_4_and_at_most_30_seconds():
    made, now, waits = held(), NOW, []
    for number in range(7):
        look_at = turn(made, now=now).look_at
        waits.append((look_at - now) / 1000)
        now = look_at
        assert turn(made, now=now - 1).room == Room(0, 0)
        due = turn(made, now=now)
        assert (due.room, due.probe) == (Room(1, number % 2), True), (
            "of what was not tried and what was, by turns"
        )
        assert turn(made, now=now, in_flight=1).room == Room(0, 0), "one at a time"
        assert made.observe(claim(), DOWN, now=now) is None
    assert waits == [1, 2, 4, 8, 16, 30, 30]


def test_a_probe_that_could_not_be_signed_is_followed_by_another_of_the_other_kind_after_a_wait():
    made = held()
    first = turn(made)
    assert made.observe(claim(), outcome("unsigned", status=None), now=first.look_at) is None
    assert made.held
    waiting = turn(made, now=first.look_at)
    assert (waiting.room, waiting.look_at) == (Room(0, 0), first.look_at + 2000)
    assert turn(made, now=waiting.look_at).room == Room(1, 1)


def test_attempts_from_before_the_hold_that_fail_late_postpone_no_probe():
    made = held()
    first = turn(made).look_at
    made.observe(claim(), DOWN, now=NOW + 500)
    assert turn(made, now=NOW + 500).look_at == first


def test_a_404_does_not_end_a_hold_and_the_first_success_does():
    made = held()
    assert made.observe(claim(), outcome("client_error"), now=NOW) is None
    assert made.held
    assert made.observe(claim(), outcome("success"), now=NOW) == "release"
    assert not made.held


def test_after_a_hold_the_number_at_once_doubles_from_one_with_every_round():
    made = held(max_in_flight=20)
    made.observe(claim(), outcome("success"), now=NOW)
    rounds = []
    for _ in range(6):
        rounds.append(turn(made).room.total)
        for _ in range(rounds[-1]):
            made.observe(claim(), outcome("success"), now=NOW)
    assert rounds == [1, 2, 4, 8, 16, 20]


def test_a_hold_of_an_earlier_process_is_taken_up_with_a_probe_at_once():
    made = pace()
    made.follow(Standing(held_at=NOW - 1000), now=NOW)
    assert turn(made).probe


def test_a_hold_that_a_person_ended_is_over_and_starts_gently():
    made = held()
    made.follow(Standing(), now=NOW)
    assert turn(made).room.total == 1
    assert not turn(made).probe


def test_retries_get_half_of_the_places_less_those_they_have():
    made = pace(max_in_flight=8)
    assert turn(made).room == Room(8, 4)
    assert turn(made, in_flight=3, again=3).room == Room(5, 1)
    assert turn(made, in_flight=6, again=5).room == Room(2, 0)


def test_with_a_single_place_retries_and_first_attempts_take_turns():
    made = pace(max_in_flight=1)
    made.claimed(first=1, again=0, now=NOW)
    assert turn(made).room == Room(1, 1)
    made.claimed(first=0, again=1, now=NOW)
    assert turn(made).room == Room(1, 0)


@pytest.mark.parametrize("max_in_flight", [2, 8])
def test_where_the_rate_leaves_a_single_place_retries_and_first_attempts_take_turns(max_in_flight):
    made = pace(max_in_flight=max_in_flight, rate_per_second=2)
    made.claimed(first=1, again=0, now=NOW)
    assert turn(made, now=NOW + 500).room == Room(1, 1)
    made.claimed(first=0, again=1, now=NOW + 500)
    assert turn(made, now=NOW + 1000).room == Room(1, 0)


def test_a_clock_that_steps_moves_the_next_probe_with_it():
    made = held()
    made.clock_stepped(-24 * HOUR_MS)
    assert turn(made, now=NOW - 24 * HOUR_MS).look_at == NOW - 24 * HOUR_MS + 1000
    shown = outlook(made, now=NOW - 24 * HOUR_MS)
    assert shown.next_probe_at == NOW - 24 * HOUR_MS + 1000
    assert shown.last_error_at == NOW - 24 * HOUR_MS


def test_the_next_probe_that_is_told_is_the_one_that_is_made():
    made, now = held(), NOW
    for _ in range(7):
        at = outlook(made, now=now).next_probe_at
        assert not turn(made, now=at - 1).probe
        assert turn(made, now=at).probe
        assert outlook(made, now=at + 5).next_probe_at == at + 5, "at once, if it is late: never in the past"
        assert outlook(made, now=at, in_flight=1).next_probe_at is None, "it is under way"
        made.observe(claim(), DOWN, now=at)
        now = at


def test_the_next_probe_that_is_told_keeps_to_the_rate():
    made = pace(rate_per_second=0.1)
    made.claimed(first=1, again=0, now=NOW)
    for _ in range(5):
        made.observe(claim(), DOWN, now=NOW)
    at = outlook(made).next_probe_at
    assert at == NOW + 10_000
    assert not turn(made, now=at - 1).probe
    assert turn(made, now=at).probe


@pytest.mark.parametrize("look", [Pace.look, lambda _: None])
def test_a_hold_that_is_looked_at_or_only_the_store_knows_of_is_told_to_be_probed_at_once(look):
    made = held() if look is Pace.look else pace()
    look(made)
    assert outlook(made).next_probe_at == NOW


def test_the_error_that_is_told_is_of_the_latest_attempt_that_failed_until_one_succeeds():
    made = pace()
    assert said(made) == (None, None)
    made.observe(claim(), outcome("timeout", status=None, error="no answer within 30 s"), now=NOW)
    made.observe(claim(), outcome("server_error", status=503, error="answered 503"), now=NOW + 1)
    assert said(made) == ("answered 503", NOW + 1)
    made.observe(claim(), outcome("client_error", status=404, error="answered 404"), now=NOW + 2)
    assert said(made) == ("answered 404", NOW + 2)
    for other in NOTHING_SENT:
        made.observe(claim(), other, now=NOW + 3)
        assert said(made) == ("answered 404", NOW + 2)
    made.observe(claim(), outcome("success"), now=NOW + 4)
    assert said(made) == (None, None)


def test_the_error_that_is_told_outlives_a_hold_that_a_person_ended():
    made = held()
    made.follow(Standing(), now=NOW)
    assert said(made) == (DOWN.error, NOW)


@given(
    rate=st.floats(0.1, 500),
    gaps=st.lists(st.integers(0, 3000), min_size=1, max_size=60),
    want=st.integers(1, 50),
)
def test_no_second_has_more_than_the_rate_and_a_tenth(rate, gaps, want):
    bucket, now, begun = Bucket(rate), NOW, []
    for gap in gaps:
        now += gap
        number = min(want, bucket.level(now))
        bucket.take(number, now=now)
        begun += [now] * number
    for first in begun:
        assert sum(first <= at < first + 1000 for at in begun) <= rate * 1.1 + 2


@given(rate=st.floats(0.1, 500))
def test_when_the_rate_is_used_up_the_next_look_finds_one_and_not_much_too_late(rate):
    bucket = Bucket(rate)
    bucket.take(bucket.level(NOW), now=NOW)
    at = bucket.next_at(NOW)
    assert at - NOW <= 1000 / rate + 2
    assert bucket.level(at) >= 1


def test_a_rate_leaves_no_room_between_its_beats():
    made = pace(rate_per_second=2)
    assert turn(made).room.total == 1
    made.claimed(first=1, again=0, now=NOW)
    waiting = turn(made)
    assert (waiting.room.total, waiting.look_at) == (0, NOW + 500)
    assert turn(made, now=NOW + 500).room.total == 1


def test_retry_after_on_429_and_503_speaks_for_the_destination_cut_at_the_horizon():
    for status in (429, 503):
        answered = outcome("server_error", status=status, retry_after="7")
        assert quiet_until(answered, now=NOW, horizon_ms=HOUR_MS) == NOW + 7000
        forever = outcome("server_error", status=status, retry_after="999999999")
        assert quiet_until(forever, now=NOW, horizon_ms=HOUR_MS) == NOW + HOUR_MS
    for other in (outcome("server_error", retry_after="7"), outcome("server_error", status=503)):
        assert quiet_until(other, now=NOW, horizon_ms=HOUR_MS) is None


def test_a_probe_keeps_to_the_rate_too():
    made = pace(rate_per_second=2)
    made.claimed(first=1, again=0, now=NOW)
    made.follow(Standing(held_at=NOW), now=NOW)
    between = turn(made, now=NOW)
    assert (between.room, between.look_at) == (Room(0, 0), NOW + 500)
    assert turn(made, now=NOW + 500).probe
