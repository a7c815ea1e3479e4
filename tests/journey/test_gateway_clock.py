"""The wall clock is set by a day under a running gateway, and later set right."""

import pytest

from tests.support.altered_gateway import Alterations, set_clock
from tests.support.gateway_scene import scene
from tests.support.noting_destination import Attempt, Reply
from tests.support.producers import Webhook
from tests.support.waiting import eventually

DAY_MS = 86_400_000
FORGED = b"a key that is none of the source's"


def behave(attempt: Attempt) -> Reply:
    if attempt.key == "slow":
        return Reply(after_seconds=1.5)
    return Reply(status=500 if attempt.number <= 2 else 200)


@pytest.mark.parametrize("by_ms", [DAY_MS, -DAY_MS], ids=["forward", "back"])
def test_a_clock_that_is_set_by_a_day_costs_no_event_and_moves_no_attempt(tmp_path, by_ms):
    """The horizon is one hour, the waits after the first two attempts 0.5 and 2 s, ±20 %."""
    clock = tmp_path / "clock"
    set_clock(clock, 0)
    with scene(tmp_path, behave) as here:
        here.gateway.start(Alterations(clock_file=str(clock)))
        here.send(1, name="failing")
        eventually(lambda: len(_attempts(here, "failing")) == 2)
        here.send(1, name="slow")
        eventually(lambda: _attempts(here, "slow"))
        set_clock(clock, by_ms)

        honest = Webhook("honest-1", "thing.made", "honest", 1)
        refused = here.post(honest)
        assert refused.status == 503
        assert int(refused.headers["retry-after"]) > 0
        assert refused.headers["content-type"] == "application/problem+json"
        assert here.post(honest, key=FORGED).status == 401
        unready = here.gateway.ask("GET", "/readyz")
        assert unready.status == 503
        assert "clock" in unready.body["detail"]

        here.settle()
        _, second, third = _attempts(here, "failing")
        assert 1.6 <= third.at - second.at < 4.5
        assert [one.number for one in _attempts(here, "slow")] == [1]

        set_clock(clock, 0)
        eventually(lambda: here.gateway.ask("GET", "/readyz").status == 200)
        here.send(1, name="honest")
        account = here.close_account()
        assert (account.dead, account.faults) == (0, [])


def _attempts(here, key):
    return [one for one in here.destinations.attempts if one.key == key]
