"""When a delivery is over, and when it is tried again."""

import time
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Dead, Delivered, RetryAt
from gateway.retry import RetryPolicy, judge, retry_after_ms, wait_seconds
from tests.support.store import NOW, outcome

HOUR = 3_600_000
DATE = format_datetime(datetime.fromtimestamp(NOW / 1000 + 90, UTC), usegmt=True)


def judged(one, *, tries=0, held=False, live_since=NOW, now=NOW, jitter=0.0, dead_on=(), **policy):
    return judge(
        one,
        tries=tries,
        live_since=live_since,
        now=now,
        policy=RetryPolicy(**policy),
        dead_on=frozenset(dead_on),
        held=held,
        jitter=jitter,
    )


def wait(one, **options):
    verdict = judged(one, **options)
    assert isinstance(verdict, RetryAt)
    return (verdict.at - NOW) / 1000


def test_the_waits_are_those_of_the_documented_schedule():
    waits = [wait_seconds(attempt, policy=RetryPolicy()) for attempt in range(1, 11)]
    assert waits == [0.5, 2, 5, 30, 120, 600, 1800, 3600, 3600, 3600]


@pytest.mark.parametrize(
    ("quick_attempts", "waits"),
    [(1, [5, 30]), (2, [0.5, 5]), (4, [0.5, 2, 2, 5]), (10, [0.5] + [2] * 8 + [5])],
)
def test_quick_attempts_is_the_number_of_those_before_the_slow_waits(quick_attempts, waits):
    policy = RetryPolicy(quick_attempts=quick_attempts)
    assert [wait_seconds(attempt, policy=policy) for attempt in range(1, len(waits) + 1)] == waits


@given(attempt=st.integers(1, 10**6), quick=st.integers(1, 10))
def test_the_waits_never_shrink_and_end_at_an_hour(attempt, quick):
    policy = RetryPolicy(quick_attempts=quick)
    assert wait_seconds(attempt, policy=policy) <= wait_seconds(attempt + 1, policy=policy) <= 3600


def test_a_success_ends_it_however_late():
    assert judged(outcome("success"), now=NOW + 1000 * HOUR) == Delivered()


def test_a_payload_that_yields_nothing_ends_it():
    assert judged(outcome("payload")) == Dead("payload")


@pytest.mark.parametrize(
    "kind",
    [
        "redirect", "client_error", "server_error", "timeout", "no_answer", "address_refused", "unsigned", "interrupted",
    ],
)  # fmt: skip
def test_every_other_outcome_is_tried_again(kind):
    assert isinstance(judged(outcome(kind)), RetryAt)


def test_a_status_in_dead_on_ends_it_and_one_beside_it_does_not():
    assert judged(outcome("client_error", status=409), dead_on={409, 413}) == Dead("dead_on")
    assert isinstance(judged(outcome("client_error", status=410), dead_on={409, 413}), RetryAt)
    assert isinstance(judged(outcome("timeout", status=None), dead_on={409, 413}), RetryAt)


def test_at_the_horizon_it_is_dead_and_a_moment_before_it_gets_a_last_attempt_there():
    horizon = NOW + 2 * HOUR
    assert judged(outcome("timeout"), tries=20, now=horizon, horizon_hours=2) == Dead("horizon")
    assert judged(outcome("timeout"), tries=20, now=horizon - 1, horizon_hours=2) == RetryAt(horizon)


def test_while_the_destination_is_held_a_failure_uses_up_nothing_and_kills_nothing():
    late = NOW + 1000 * HOUR
    assert judged(outcome("timeout"), held=True) == RetryAt(NOW, counts=False)
    assert judged(outcome("timeout"), now=late, held=True) == RetryAt(late, counts=False)


def test_what_is_final_is_final_while_the_destination_is_held_too():
    assert judged(outcome("success"), held=True) == Delivered()
    assert judged(outcome("payload"), held=True) == Dead("payload")
    assert judged(outcome("client_error", status=409), dead_on={409}, held=True) == Dead("dead_on")


def test_the_horizon_counts_from_when_the_delivery_became_live():
    late = NOW + 100 * HOUR
    assert isinstance(judged(outcome("timeout"), live_since=late, now=late), RetryAt)


@given(tries=st.integers(0, 50), jitter=st.floats(-1, 1))
def test_a_wait_is_moved_by_a_fifth_at_most(tries, jitter):
    planned = wait_seconds(tries + 1, policy=RetryPolicy())
    moved = wait(outcome("timeout"), tries=tries, jitter=jitter)
    assert planned * 0.8 - 0.001 <= moved <= planned * 1.2 + 0.001


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120), (" 7 ", 7), ("0", 0), (DATE, 90), (DATE.replace("GMT", "+0000"), 90),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0), (None, 0), ("", 0), ("soon", 0), ("-5", 0), ("1.5", 0), ("²", 0), ("٣", 0),
        ("1e3", 0), ("0x10", 0), ("9" * 400, 999_999_999),
    ],
)  # fmt: skip
def test_retry_after_is_read_in_both_forms_and_nonsense_is_no_wish(value, seconds):
    assert retry_after_ms(value, now=NOW) == seconds * 1000


@pytest.fixture
def far_from_greenwich(monkeypatch):
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("far_from_greenwich")
def test_a_date_without_a_zone_is_read_as_utc():
    assert retry_after_ms(DATE.replace("GMT", "-0000"), now=NOW) == 90_000


@given(
    st.text(max_size=60)
    | st.from_regex(
        r"[A-Z][a-z]{2}, \d{1,12} [A-Z][a-z]{2} \d{1,9} [\d:.]{1,12} [-+A-Z0-9]{1,8}", fullmatch=True
    )
)
def test_no_retry_after_makes_it_raise_or_look_back(value):
    assert retry_after_ms(value, now=NOW) >= 0


def test_retry_after_lengthens_the_wait_and_never_shortens_it():
    assert wait(outcome("server_error", retry_after="120")) == 120
    assert wait(outcome("server_error", retry_after="1"), tries=3) == 30


def test_retry_after_is_cut_at_the_horizon():
    assert wait(outcome("server_error", retry_after="999999999"), horizon_hours=72) == 72 * 3600
