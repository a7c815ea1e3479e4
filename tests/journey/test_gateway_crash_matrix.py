"""The gateway, killed at each stage: what it accepted is delivered, in order, and nothing else is."""

import sqlite3
from dataclasses import dataclass

import pytest

from gateway.store.sqlite.migrate import migrations
from tests.support.altered_gateway import Alterations, set_clock
from tests.support.gateway_process import GatewayProcess
from tests.support.gateway_scene import scene
from tests.support.noting_destination import Reply
from tests.support.producers import Webhook
from tests.support.store import rows
from tests.support.waiting import eventually

EVENTS = 8
DAY_MS = 86_400_000
TASKS_AT_START = 4
"""What the store is asked before a gateway with two destinations waits for events: each lane's first claim is among it."""
DOWN = Reply(status=503)


@dataclass(frozen=True, slots=True)
class Stage:
    name: str
    death: Alterations
    then: object


def cases(*stages: Stage):
    return pytest.mark.parametrize(
        ("death", "then"), [pytest.param(stage.death, stage.then, id=stage.name) for stage in stages]
    )


@cases(
    Stage("verified, before the store has it", Alterations(dies_before=("accept", 3)), "accepted"),
    Stage("stored in part", Alterations(dies_at=(", 3, 'first'", 1)), "accepted"),
    Stage("on disk, not answered", Alterations(dies_after=("accept", 3)), "duplicate"),
)
def test_killed_on_an_events_way_in_it_takes_the_producers_next_try_for_what_it_is(tmp_path, death, then):
    with scene(tmp_path) as here:
        here.gateway.start(death)
        sending = here.begin(lambda n: n <= EVENTS)
        here.gateway.died()
        here.gateway.start()
        sending.result(20)
        (cut,) = [entry for entry in here.ledger.entries.values() if entry.webhook.n == 3]
        assert cut.cut
        assert cut.statuses == [then]
        assert here.close_account().faults == []


@cases(
    Stage("leased as it was accepted, not sent", Alterations(dies_after=("accept", 1)), [2]),
    Stage("sent, before the record", Alterations(dies_before=("record", 1)), [1, 2]),
    Stage(
        "recorded in part",
        Alterations(
            dies_at=("INSERT INTO attempts (delivery_id, number, started_at, duration_ms, outcome, status", 1)
        ),
        [1, 2],
    ),
    Stage("recorded", Alterations(dies_after=("record", 1)), [1]),
)
def test_killed_on_an_events_way_out_it_repeats_only_what_was_under_way(tmp_path, death, then):
    """The first webhook is wanted by one destination only, so that the first of each call is about it."""
    with scene(tmp_path) as here:
        _start_and_look(here.gateway, death)
        sending = here.begin(lambda n: n <= EVENTS)
        here.gateway.died()
        here.gateway.start()
        sending.result(20)
        account = here.close_account()
        assert here.destinations.numbers(1) == then
        history = rows(
            here.gateway.store,
            """SELECT a.number, a.outcome FROM attempts a JOIN deliveries d ON d.id = a.delivery_id
               JOIN events e ON e.seq = d.event_seq WHERE e.dedupe_key = 'job-1' ORDER BY a.number""",
        )
        assert history == ([(1, "success")] if then == [1] else [(1, "interrupted"), (2, "success")])
        assert account.faults == []


def test_killed_between_a_claim_and_its_attempt_it_makes_another(tmp_path):
    """What fails at first is claimed when it is due again."""
    with scene(tmp_path, lambda attempt: DOWN if attempt.number == 1 else Reply()) as here:
        _start_and_look(here.gateway, Alterations(dies_after=("claim", 1)))
        sending = here.begin(lambda n: n <= 1)
        here.gateway.died()
        here.gateway.start()
        sending.result(20)
        account = here.close_account()
        assert here.destinations.numbers(1) == [1, 3]
        assert account.faults == []


@cases(
    Stage("before the attempt's result", Alterations(dies_before=("record", 1)), [1, 2]),
    Stage("before the store is closed", Alterations(dies_before=("close", 1)), [1]),
)
def test_killed_while_it_stops_it_has_lost_nothing(tmp_path, death, then):
    with scene(tmp_path, lambda _: Reply(after_seconds=0.5)) as here:
        here.gateway.start(death)
        here.send(1)
        eventually(lambda: here.destinations.attempts)
        here.gateway.terminate()
        here.gateway.died()
        here.gateway.start()
        account = here.close_account()
        assert here.destinations.numbers(1) == then
        assert account.faults == []


def test_killed_while_it_prunes_it_has_pruned_whole_steps_only(tmp_path):
    """The second destination is down, so that some of what is past its time is still needed."""
    clock = tmp_path / "clock"
    set_clock(clock, DAY_MS)
    with scene(
        tmp_path,
        lambda attempt: DOWN if attempt.destination == "second" else Reply(),
        retention="delivered_days = 0.5, unrouted_days = 0.5",
    ) as here:
        here.gateway.start()
        here.send(EVENTS)
        eventually(lambda: len([one for one in here.destinations.attempts if one.taken]) == EVENTS - 1)
        here.gateway.stop()
        before = _counts(here.gateway)
        here.gateway.start(
            Alterations(dies_at=("DELETE FROM events WHERE seq =", 2), clock_file=str(clock)), wait=False
        )
        here.gateway.died()
        assert _counts(here.gateway) == before
        here.destinations.behave = lambda _: Reply()
        here.gateway.start(Alterations(clock_file=str(clock)))
        eventually(lambda: _counts(here.gateway)[0] == 4)
        here.settle()
        here.gateway.stop()
        taken = [(one.destination, one.n) for one in here.destinations.attempts if one.taken]
        assert len(taken) == len(set(taken)) == EVENTS - 1 + 4
        here.gateway.start()
        here.send(EVENTS)
        assert {tuple(entry.statuses) for entry in here.ledger.entries.values()} == {
            ("accepted", "duplicate"),
            ("unrouted", "duplicate"),
        }


def test_killed_in_a_migration_it_has_migrated_whole_or_not_at_all(tmp_path):
    with scene(tmp_path) as here:
        old = _store_of_the_first_version(here.gateway, [here.ledger.entry(_webhook(n)) for n in range(1, 7)])
        for statement in (
            "CREATE TABLE destinations",
            "UPDATE deliveries SET queued_at",
            "DROP TABLE attempts",
            "COMMIT",
        ):
            here.gateway.start(Alterations(dies_at=(statement, 1)), wait=False)
            here.gateway.died()
            assert rows(here.gateway.store, "PRAGMA user_version") == [(1,)], statement
            assert rows(here.gateway.store, "SELECT * FROM deliveries") == old, statement
        here.gateway.start(Alterations(dies_at=("VACUUM", 1)), wait=False)
        here.gateway.died()
        assert rows(here.gateway.store, "PRAGMA user_version") != [(1,)]
        here.gateway.start()
        account = here.close_account()
        assert (account.delivered, account.interrupted, account.faults) == (6, 1, [])


@pytest.mark.parametrize(
    "death",
    [
        pytest.param(Alterations(dies_at=("INSERT INTO replays", 1)), id="begun in part"),
        pytest.param(Alterations(dies_at=("UPDATE deliveries SET id =", 10)), id="in a step"),
        pytest.param(Alterations(dies_after=("queue_replay", 1)), id="between two steps"),
    ],
)
def test_killed_in_a_replay_it_goes_on_with_it_where_it_was(tmp_path, death):
    with scene(tmp_path) as here:
        here.gateway.start()
        here.send(40)
        here.settle()
        here.gateway.stop()
        before = len(here.destinations.attempts)
        here.gateway.start(death)
        asked = _ask_for_all(here.gateway)
        here.gateway.died()
        here.gateway.start()
        if not here.gateway.ask("GET", "/v1/replays").body["items"]:
            assert "INSERT" in str(death), "what was answered is on disk"
            assert asked is None
            _ask_for_all(here.gateway)
        (replay,) = eventually(lambda: _over(here.gateway))
        assert (replay["matched"], replay["done"], replay["failed"]) == (34, 34, 0)
        account = here.close_account(replays=[None])
        again = here.destinations.attempts[before:]
        for name in ("first", "second"):
            seen = list(dict.fromkeys(one.n for one in again if one.destination == name))
            assert seen == sorted({one.n for one in here.destinations.attempts if one.destination == name})
        assert account.faults == []


@pytest.mark.parametrize(
    ("death", "erased"),
    [
        pytest.param(Alterations(dies_at=("UPDATE events SET query", 1)), False, id="in the transaction"),
        pytest.param(Alterations(dies_after=("erase", 1)), True, id="on disk, not answered"),
    ],
)
def test_killed_while_it_erases_an_event_it_has_erased_all_of_it_or_nothing(tmp_path, death, erased):
    with scene(tmp_path, lambda _: DOWN) as here:
        here.gateway.start(death)
        here.send(2)
        eventually(lambda: here.destinations.attempts)
        event_id = next(iter(here.ledger.entries.values())).answers[0]["event_id"]
        with pytest.raises(OSError):  # noqa: PT011 - whichever way a connection ends
            here.gateway.ask("DELETE", f"/v1/events/{event_id}")
        here.gateway.died()
        here.gateway.start()
        event = here.gateway.ask("GET", f"/v1/events/{event_id}").body
        assert bool(event["body_base64"]) == bool(event["headers"]) == (not erased)
        assert here.gateway.ask("DELETE", f"/v1/events/{event_id}").status == 204
        here.destinations.behave = lambda _: Reply()
        here.settle()
        here.gateway.stop()
        assert {one.n for one in here.destinations.attempts if one.taken} == {2}


def test_a_backup_that_is_killed_leaves_no_half_file(tmp_path):
    with scene(tmp_path) as here:
        here.gateway.start()
        here.send(EVENTS)
        target = tmp_path / "copy.db"
        dying = here.gateway.command(
            "backup", str(target), alterations=Alterations(dies_at=("INSERT INTO copied", 1))
        )
        assert dying.wait(20) == -9
        assert not target.exists()
        assert here.gateway.command("backup", str(target)).wait(20) == 0, here.gateway.said()
        assert rows(target, "SELECT count(*) FROM events") == [(EVENTS,)]
        assert {path.name for path in tmp_path.iterdir() if "copy" in path.name} == {"copy.db"}
        assert here.close_account().faults == []


def _webhook(n: int) -> Webhook:
    return Webhook(f"job-{n}", "thing.made", "job", n)


def _store_of_the_first_version(gateway: GatewayProcess, entries) -> list[tuple[object, ...]]:
    """Six events of a key that wait, and the first of them in an attempt; its deliveries."""
    connection = sqlite3.connect(gateway.store, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.executescript(f"{migrations()[0][1]} PRAGMA user_version = 1;")
    for seq, entry in enumerate(entries, start=1):
        webhook, event_id = entry.webhook, f"evt_{seq:032x}"
        connection.execute(
            """INSERT INTO events (seq, id, source, type, dedupe_key, body_sha256, ordering_key, received_at, query,
                                   headers, body, unrouted, id_reused)
               VALUES (?, ?, 'producer', ?, ?, ?, ?, unixepoch() * 1000, x'', '[]', ?, 0, 0)""",
            (seq, event_id, webhook.type, *webhook.identity, webhook.key, webhook.body),
        )
        connection.execute(
            """INSERT INTO deliveries (event_seq, destination, ordering_key, live_since, next_attempt_at, attempts,
                                       leased_at, lease_until)
               VALUES (?1, 'first', 'job', unixepoch() * 1000, iif(?1 = 1, 0, NULL), ?1 = 1, iif(?1 = 1, 0, NULL),
                       iif(?1 = 1, 1, NULL))""",
            (seq,),
        )
        entry.answers.append({"event_id": event_id, "status": "accepted"})
    connection.close()
    return rows(gateway.store, "SELECT * FROM deliveries")


def _ask_for_all(gateway: GatewayProcess):
    try:
        return gateway.ask("POST", "/v1/replays", {"state": "delivered"}).body
    except OSError:
        return None


def _over(gateway: GatewayProcess):
    replays = gateway.ask("GET", "/v1/replays").body["items"]
    return replays if [one["state"] for one in replays] == ["done"] else None


def _counts(gateway: GatewayProcess) -> tuple[int, int]:
    """Events and deliveries."""
    (counts,) = rows(gateway.store, "SELECT (SELECT count(*) FROM events), (SELECT count(*) FROM deliveries)")
    return counts


def _start_and_look(gateway: GatewayProcess, death: Alterations) -> None:
    """Until each lane has looked for what is due: before that an accepted event's delivery is not leased with it."""
    gateway.start(death)
    eventually(lambda: _tasks_of_the_store(gateway) >= TASKS_AT_START)


def _tasks_of_the_store(gateway: GatewayProcess) -> int:
    metrics = gateway.ask("GET", "/metrics").body
    (line,) = [line for line in metrics.splitlines() if line.startswith("gateway_store_commit_events_sum ")]
    return int(float(line.split()[1]))
