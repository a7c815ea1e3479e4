"""The gateway, killed again and again under load: what it accepted is delivered, in order, and nothing else is."""

import dataclasses
import time

import pytest

from tests.support.gateway_scene import ROUTES, scene
from tests.support.noting_destination import Reply
from tests.support.reconcile import reconcile
from tests.support.storm import storm
from tests.support.waiting import eventually

SECONDS = 5.0


def test_killed_at_random_under_load_it_loses_nothing_invents_nothing_and_keeps_order(tmp_path):
    """A short round of what `make storm` does for longer."""
    report = storm(tmp_path, seconds=SECONDS, seed=7, longest_seconds=2)
    print("\n".join(report.lines()))  # noqa: T201 - shown where the test fails
    assert report.account.faults == []
    assert report.unanswered
    assert report.sent_twice
    assert report.account.delivered > 200
    assert report.account.repeated == report.account.explained


def test_work_under_way_at_a_kill_goes_on_within_a_second_of_the_next_start(tmp_path):
    with scene(tmp_path, timeout_seconds=30) as here:
        here.destinations.behave = lambda attempt: Reply(after_seconds=60 if attempt.number == 1 else 0)
        here.gateway.start()
        here.send(1)
        eventually(lambda: here.destinations.attempts)
        here.gateway.kill()
        here.gateway.start()
        ready = time.monotonic()
        eventually(lambda: here.destinations.numbers(1) == [1, 2])
        assert here.destinations.attempts[1].at < ready + 1


def test_two_gateways_never_share_a_store(tmp_path):
    with scene(tmp_path) as here:
        here.gateway.start()
        here.send(1)
        second = here.gateway.command("serve", environment={"GATEWAY_PORT": "0"})
        assert second.wait(20) == 1
        assert "is in use by another gateway; one process owns the file" in here.gateway.said()
        here.send(2)
        account = here.close_account()
        assert account.faults == []


@pytest.fixture(scope="module")
def quiet_day(tmp_path_factory):
    """Everything that there is to reconcile, of a day without a fault."""
    with scene(tmp_path_factory.mktemp("quiet")) as here:
        here.gateway.start()
        here.send(12)
        assert here.close_account().faults == []
        yield here


def reconciled(here, attempts):
    return reconcile(here.gateway.store, here.ledger, attempts, routes=ROUTES)


def test_the_reconciliation_sees_what_was_never_received(quiet_day):
    *others, _last = quiet_day.destinations.attempts
    assert reconciled(quiet_day, others).lost


def test_the_reconciliation_sees_what_nobody_sent(quiet_day):
    attempts = quiet_day.destinations.attempts
    forged = dataclasses.replace(attempts[0], event_id="evt_none")
    assert reconciled(quiet_day, [*attempts, forged]).invented


def test_the_reconciliation_sees_a_key_out_of_order(quiet_day):
    attempts = quiet_day.destinations.attempts
    assert reconciled(quiet_day, list(reversed(attempts))).disordered


def test_the_reconciliation_sees_a_repetition_without_a_reason(quiet_day):
    attempts = quiet_day.destinations.attempts
    again = dataclasses.replace(attempts[0], number=2)
    assert reconciled(quiet_day, [*attempts, again]).unexplained


def test_the_reconciliation_sees_an_answer_for_what_is_not_stored(quiet_day):
    (first, *_others) = quiet_day.ledger.entries.values()
    answers = [{**answer, "event_id": "evt_none"} for answer in first.answers]
    changed = {
        **quiet_day.ledger.entries,
        first.webhook.identity: dataclasses.replace(first, answers=answers),
    }
    ledger = dataclasses.replace(quiet_day.ledger, entries=changed)
    account = reconcile(quiet_day.gateway.store, ledger, quiet_day.destinations.attempts, routes=ROUTES)
    assert account.untrue
