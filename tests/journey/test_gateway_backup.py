"""A copy made under load, served beside the original: it stands still until it is told to go on."""

import pytest

from tests.support.gateway_scene import scene
from tests.support.noting_destination import Reply
from tests.support.store import rows
from tests.support.waiting import eventually


@pytest.fixture
def copied(tmp_path):
    """A copy's file, and the events that were answered before it was begun; the second destination was down."""
    copy = tmp_path / "copy.db"
    with scene(tmp_path / "original") as here:
        here.destinations.behave = lambda attempt: Reply(
            status=503 if attempt.destination == "second" else 200
        )
        here.gateway.start()
        goes_on = True
        producers = [here.begin(lambda _: goes_on, name=name) for name in "abc"]
        eventually(lambda: len(here.destinations.attempts) > 100)
        answered = {
            str(answer["event_id"])
            for entry in list(here.ledger.entries.values())
            for answer in list(entry.answers)
        }
        backup = here.gateway.command("backup", str(copy))
        assert backup.wait(20) == 0, here.gateway.said()
        goes_on = False
        for producer in producers:
            producer.result(20)
        here.destinations.behave = lambda _: Reply()
        assert here.close_account().faults == []
    return copy, answered


def test_a_copy_made_under_load_is_whole_and_paused_until_it_is_resumed(tmp_path, copied):
    copy, answered = copied
    assert rows(copy, "PRAGMA integrity_check") == [("ok",)]
    assert answered <= {event_id for (event_id,) in rows(copy, "SELECT id FROM events")}
    with scene(tmp_path / "restored", store=copy) as here:
        here.gateway.start()
        assert here.gateway.lines("store.copied")
        waiting = {
            event_id
            for (event_id,) in rows(
                copy,
                "SELECT e.id FROM deliveries d JOIN events e ON e.seq = d.event_seq WHERE d.state = 'pending'",
            )
        }
        here.send(1, name="new")
        for name in ("first", "second"):
            assert here.gateway.metric(f'gateway_destination_paused{{destination="{name}"}}') == 1
        assert here.destinations.attempts == []
        assert here.pending() > len(answered) / 4
        for name in ("first", "second"):
            assert here.gateway.ask("POST", f"/v1/destinations/{name}/resume").status == 200
        here.settle()
        here.gateway.stop()
        (new,) = here.ledger.entries.values()
        received = {one.event_id for one in here.destinations.attempts}
        assert received == waiting | {new.answers[0]["event_id"]}
