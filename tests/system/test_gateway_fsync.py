"""No 200 leaves before the write-ahead log that holds its event is synced: read from the system calls themselves."""

import pytest

from tests.support.altered_gateway import Alterations
from tests.support.gateway_scene import scene
from tests.support.trace import STRACE, is_over, judge
from tests.support.waiting import eventually

pytestmark = pytest.mark.system

PRODUCERS = 4
EVENTS = 15
UNSYNCED = Alterations(instead=("PRAGMA synchronous = FULL", "PRAGMA synchronous = OFF"))


def traced(folder, alterations=None):
    """What became of the events of several producers that send at once."""
    trace = folder / "trace"
    with scene(folder) as here:
        here.gateway.start(alterations, wrapper=(*STRACE, f"--output={trace}"))
        sending = [
            here.begin(lambda n: n <= EVENTS, name=f"job-{number}", duplicates=0.2)
            for number in range(PRODUCERS)
        ]
        for producer in sending:
            producer.result(60)
        here.settle()
        here.gateway.stop()
        told = {str(answer["event_id"]) for entry in here.ledger.entries.values() for answer in entry.answers}
    assert len(told) == PRODUCERS * EVENTS
    eventually(lambda: is_over(trace))
    judgement = judge(trace)
    assert judgement.answered == told
    return judgement


def test_no_answer_leaves_before_its_event_is_on_the_disk(tmp_path):
    assert traced(tmp_path).too_early == set()


def test_a_store_that_does_not_sync_would_be_noticed(tmp_path):
    judgement = traced(tmp_path, UNSYNCED)
    assert judgement.too_early == judgement.answered
