"""The dispatcher through random histories, with everything that must be true checked after every step.

SIMULATION_EXAMPLES sets how many histories, SIMULATION_SEED which; without them it is a few, always the same.
"""

import os

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from gateway.config import Retention
from gateway.store import EventFilter
from tests.support.simulation.remote import SUCCESS, Answer, of_status
from tests.support.simulation.world import STRICT, YIELDING, World

FEW = 120
STEPS = 40

names = st.sampled_from([YIELDING, STRICT])
keys = st.sampled_from(["a", "a", "b", "c", None])
wanted = st.sampled_from([(YIELDING,), (STRICT,), (YIELDING, STRICT), (YIELDING, STRICT), ()])
which = st.integers(0, 30)
arrivals = st.lists(st.tuples(keys, wanted), min_size=1, max_size=6)
SHORT = [1, 20, 300, 700, 1_000, 1_000, 2_500, 5_100]
waits = st.sampled_from([*SHORT, 31_000, 36_000, 130_000, 3_700_000, 90_000_000])
pauses = st.sampled_from([*SHORT, *SHORT, 31_000, 1_000_000])
statuses = st.sampled_from([200, 200, 301, 401, 404, 409, 429, 500, 503])
asked = st.sampled_from([None, None, "2", "40", "7200", "Sun, 22 Nov 2026 10:10:00 GMT", "soon"])
answers = st.one_of(
    st.just(SUCCESS),
    st.builds(of_status, statuses, asked),
    st.sampled_from([Answer("timeout"), Answer("no_answer"), Answer("address_refused"), Answer("payload")]),
)
moods = st.sampled_from(["up", "down", "down", "hanging", "hanging", "poisoned", "busy", "as told"])
filters = st.sampled_from(
    [EventFilter(), EventFilter(state="dead"), EventFilter(state="delivered"), EventFilter(key="a")]
)


class Histories(RuleBasedStateMachine):
    @initialize(
        chance=st.integers(0, 2**16), delay=st.integers(0, 3), mood=moods, answer=answers, of=arrivals
    )
    def begin(self, chance, delay, mood, answer, of):
        self.world = World(seed=chance, delay=delay)
        for name in (YIELDING, STRICT):
            self.feel(name, mood, answer)
        self.accept(of)

    @rule(of=arrivals)
    def accept(self, of):
        self.world.accept(of)

    @precondition(lambda self: self.world.ledger.events)
    @rule(index=which, other_body=st.booleans())
    def accept_again(self, index, other_body):
        self.world.accept_again(self.event_id(index), body=b"another" if other_body else None)

    @rule(name=names, mood=moods, answer=answers)
    def feel(self, name, mood, answer):
        self.world.remotes[name].mood = {
            "up": lambda _: SUCCESS,
            "down": lambda _: of_status(503),
            "hanging": lambda _: None,
            "poisoned": lambda claim: of_status(500) if claim.event.ordering_key == "a" else SUCCESS,
            "busy": lambda _: of_status(429, "40"),
            "as told": lambda _: answer,
        }[mood]

    @precondition(lambda self: any(one.open for one in self.world.remotes.values()))
    @rule(name=names, index=which, answer=answers, number=st.integers(1, 4))
    def release(self, name, index, answer, number):
        for _ in range(number):
            self.world.release(name, index, answer)

    @rule(name=names)
    def step(self, name):
        self.world.step(name)

    @rule(rounds=st.integers(1, 20), pause=pauses)
    def run(self, rounds, pause):
        """As the lanes' own loops do, a while."""
        for _ in range(rounds):
            self.world.keep()
            self.world.step(YIELDING)
            self.world.step(STRICT)
            self.world.settle()
            self.world.advance(pause)

    @rule(rounds=st.integers(1, 8))
    def turn(self, rounds):
        self.world.turn(rounds)

    @rule()
    def settle(self):
        self.world.settle()

    @rule(ms=waits)
    def wait(self, ms):
        self.world.advance(ms)

    @rule(name=names)
    def lose(self, name):
        """The leases of what is under way; its key goes on."""
        self.world.step(name)
        self.world.settle()
        self.world.advance(36_000)
        self.world.keep()
        self.world.settle()
        self.world.step(name)

    @rule(
        answer=st.one_of(st.just(of_status(500)), answers),
        pause=st.sampled_from([1, 700, 6_000, 6_000, 31_000]),
        change=st.sampled_from([None, None, "pause", "hold"]),
        first=st.lists(st.tuples(keys, wanted), min_size=1, max_size=2),
        then=arrivals,
        heard=st.sampled_from([True, True, False]),
    )
    def knock(self, *, answer, pause, change, first, then, heard):
        """At a lane that is busy with nothing but `first`, and may have been stopped a moment ago."""
        self.world.finish()
        self.feel(YIELDING, "as told", answer)
        self.accept(first)
        self.world.settle()
        self.feel(YIELDING, "hanging", answer)
        self.world.advance(pause)
        self.world.step(YIELDING)
        self.world.settle()
        if change:
            self.stand(YIELDING, change)
        if not heard:
            self.world.accept_unheard(*then[0])
        self.accept(then)
        self.world.settle()

    @rule()
    def keep(self):
        self.world.keep()

    @rule(how=st.sampled_from(["crash", "stop", "stop at once"]))
    def end(self, how):
        """Of the process; the next one starts."""
        if how == "crash":
            self.world.crash()
        else:
            self.world.stop(10 if how == "stop" else 0.1)

    @rule(name=names, change=st.sampled_from(["pause", "resume", "resume", "hold", "release"]))
    def stand(self, name, change):
        self.world.stand(name, change)

    @precondition(lambda self: self.world.ledger.events)
    @rule(index=which, what=st.sampled_from(["discard", "discard", "erase"]))
    def drop(self, index, what):
        self.world.do(what, self.event_id(index))

    @precondition(lambda self: self.world.ledger.events)
    @rule(index=which, to=wanted)
    def replay(self, index, to):
        self.world.do("replay", self.event_id(index), to)

    @rule(where=filters, rate=st.sampled_from([0, 0, 2]))
    def begin_replay(self, where, rate):
        self.world.begin_replay(where, rate_per_second=rate)

    @precondition(lambda self: self.world.replays("running"))
    @rule(cancel=st.booleans())
    def queue_replays(self, cancel):
        if cancel:
            self.world.cancel_replay()
        self.world.queue_replays()

    @rule(seconds=st.sampled_from([-86_400, -30, 30, 86_400]), watched=st.booleans())
    def set_clock(self, seconds, watched):
        self.world.clock.set_wall(seconds)
        if watched:
            self.world.keep()

    @rule(name=names, seconds=st.sampled_from([-86_400, 30, 86_400]), answer=answers, of=arrivals)
    def set_clock_meanwhile(self, name, seconds, answer, of):
        """While attempts are under way."""
        self.feel(name, "hanging", answer)
        self.accept(of)
        self.world.step(name)
        self.world.settle()
        self.set_clock(seconds, watched=True)
        self.world.settle()
        self.release(name, 0, answer, 4)
        self.world.settle()

    @rule(troubles=st.lists(st.sampled_from(["none", "before", "after"]), min_size=1, max_size=8))
    def trouble(self, troubles):
        self.world.store.troubles.extend(troubles)

    @rule(days=st.sampled_from([0.01, 1, 7]), ms=st.sampled_from([0, 2_000_000, 200_000_000]))
    def prune(self, days, ms):
        self.world.advance(ms)
        self.world.prune(
            Retention(delivered_days=days, dead_days=days * 2, unrouted_days=days, dedupe_days=days * 3)
        )

    @invariant()
    def nothing_is_wrong(self):
        if hasattr(self, "world"):
            assert not self.world.compare(), self.world.compare()[0]

    def event_id(self, index):
        known = list(self.world.ledger.events)
        return known[index % len(known)]

    def teardown(self):
        if not hasattr(self, "world"):
            return
        try:
            if not self.world.compare():
                self.world.finish()
                assert not self.world.compare(), self.world.compare()[0]
        finally:
            self.world.close()


EXAMPLES = int(os.environ.get("SIMULATION_EXAMPLES", "0"))


@pytest.mark.timeout(0 if EXAMPLES else 120)
def test_every_promise_is_kept_through_random_histories():
    machine = Histories
    if chosen := os.environ.get("SIMULATION_SEED"):
        machine = seed(int(chosen))(Histories)
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES or FEW,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            derandomize=not EXAMPLES,
            print_blob=True,
            phases=[Phase.generate],  # to shrink a history takes minutes: it is printed as it was
            suppress_health_check=list(HealthCheck),
        ),
    )
