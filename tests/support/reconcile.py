"""Holds what producers were told, what the store holds and what destinations received against each other."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import pairwise
from pathlib import Path

from tests.support.noting_destination import Attempt
from tests.support.producers import Ledger
from tests.support.store import rows

CUT_OFF = {"interrupted", "timeout", "no_answer"}
"""What the gateway notes where it cannot know whether the destination has taken the event."""
FINAL_REFUSAL = 409
"""What the configurations here name in `dead_on`."""


@dataclass(frozen=True, slots=True)
class StoredEvent:
    seq: int
    id: str
    type: str
    message_id: str
    digest: bytes
    key: str | None
    id_reused: bool


@dataclass(slots=True)
class StoredDelivery:
    event: StoredEvent
    destination: str
    state: str
    attempts: int
    leased: bool
    history: dict[int, str] = field(default_factory=dict)
    """Attempt → outcome."""


@dataclass(slots=True)
class Account:
    """How it came out. Every list names what must not be."""

    accepted: int = 0
    delivered: int = 0
    pending: int = 0
    dead: int = 0
    unrouted: int = 0
    attempts: int = 0
    interrupted: int = 0
    """Attempts that a stop or a kill cut off."""
    repeated: int = 0
    """Attempts at what the destination had taken, or refused for good, already."""
    explained: int = 0
    """Of these, after an attempt of which the gateway could not know the end, or by a replay."""
    lost: list[str] = field(default_factory=list)
    invented: list[str] = field(default_factory=list)
    disordered: list[str] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)
    untrue: list[str] = field(default_factory=list)
    """Records that say something else than what happened."""

    @property
    def faults(self) -> list[str]:
        return [*self.lost, *self.invented, *self.disordered, *self.unexplained, *self.untrue]


def reconcile(
    store: Path,
    ledger: Ledger,
    attempts: Sequence[Attempt],
    *,
    routes: dict[str, str],
    replays: Sequence[str | None] = (),
) -> Account:
    """`routes`: destination → the glob of the types it wants. `replays`: the keys of which all was asked for again; None: of all.

    To be called when no producer waits for an answer any more, and with the gateway stopped.
    """
    account = Account(accepted=len(ledger.entries), attempts=len(attempts))
    events = _events(store)
    deliveries = _deliveries(store, events)
    _check_answers(account, ledger, events)
    _check_deliveries(account, events, deliveries, routes)
    received: dict[tuple[str, str], list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        received[attempt.event_id, attempt.destination].append(attempt)
    for pair in received.keys() - deliveries.keys():
        account.invented.append(f"{pair} was received, but there is no such delivery")
    for pair, delivery in deliveries.items():
        _check_history(account, delivery, received[pair])
        asked = sum(key is None or key == delivery.event.key for key in replays)
        _check_repeats(account, delivery, received[pair], replays=asked)
    _check_order(account, deliveries.values(), attempts)
    return account


def _events(store: Path) -> dict[str, StoredEvent]:
    found = rows(
        store,
        "SELECT seq, id, type, dedupe_key, body_sha256, ordering_key, id_reused FROM events ORDER BY seq",
    )
    return {row[1]: StoredEvent(*row[:6], bool(row[6])) for row in found}


def _deliveries(store: Path, events: dict[str, StoredEvent]) -> dict[tuple[str, str], StoredDelivery]:
    by_row, found = {}, {}
    for number, event_id, *columns in rows(
        store,
        """SELECT d.id, e.id, d.destination, d.state, d.attempts, d.lease_until IS NOT NULL
           FROM deliveries d JOIN events e ON e.seq = d.event_seq""",
    ):
        delivery = StoredDelivery(events[event_id], *columns)
        by_row[number] = found[event_id, delivery.destination] = delivery
    for number, attempt, outcome in rows(store, "SELECT delivery_id, number, outcome FROM attempts"):
        by_row[number].history[attempt] = outcome
    return found


def _check_answers(account: Account, ledger: Ledger, events: dict[str, StoredEvent]) -> None:
    """What was answered 200 is stored, once, under the id that was told; and nothing else is."""
    stored: dict[tuple[str, bytes], str] = {}
    firsts: set[str] = set()
    for event in events.values():
        identity = (event.message_id, event.digest)
        if identity in stored:
            account.invented.append(f"{event.id} is {stored[identity]} a second time")
        if identity not in ledger.entries:
            account.invented.append(f"{event.id} was never sent")
        stored[identity] = event.id
        if event.id_reused != (event.message_id in firsts):
            account.untrue.append(f"{event.id} says of its id that it was used before: {event.id_reused}")
        firsts.add(event.message_id)
    _check_order_of_acceptance(account, ledger, events)
    for identity, entry in ledger.entries.items():
        told = {str(answer["event_id"]) for answer in entry.answers}
        if not told:
            account.untrue.append(f"{entry.webhook} was never answered")
        elif identity not in stored:
            account.lost.append(f"{told} was answered, but is not stored")
        elif told != {stored[identity]}:
            account.untrue.append(f"{stored[identity]} was answered as {told}")
        if sum(status != "duplicate" for status in entry.statuses) > 1:
            account.untrue.append(f"{told} was answered as {entry.statuses}")


def _check_order_of_acceptance(account: Account, ledger: Ledger, events: dict[str, StoredEvent]) -> None:
    """A producer sends the next of a key once the last one was answered."""
    last: dict[str, int] = defaultdict(int)
    for event in events.values():
        entry = ledger.entries.get((event.message_id, event.digest))
        if entry is None or event.key is None:
            continue
        if entry.webhook.n <= last[event.key]:
            account.disordered.append(f"{event.key}: {entry.webhook.n} was stored after {last[event.key]}")
        last[event.key] = entry.webhook.n


def _check_deliveries(
    account: Account,
    events: dict[str, StoredEvent],
    deliveries: dict[tuple[str, str], StoredDelivery],
    routes: dict[str, str],
) -> None:
    wanted = {
        (event.id, name)
        for event in events.values()
        for name, glob in routes.items()
        if fnmatchcase(event.type, glob)
    }
    account.lost += [f"{pair} has no delivery" for pair in wanted - deliveries.keys()]
    account.invented += [f"{pair} is a delivery that nobody wants" for pair in deliveries.keys() - wanted]
    account.unrouted = len(events.keys() - {event_id for event_id, _ in wanted})
    states = [delivery.state for delivery in deliveries.values()]
    account.delivered, account.pending, account.dead = (
        states.count(state) for state in ("delivered", "pending", "dead")
    )


def _check_history(account: Account, delivery: StoredDelivery, received: Sequence[Attempt]) -> None:
    """Every attempt is recorded once, and as what it was."""
    pair = f"({delivery.event.id}, {delivery.destination})"
    account.interrupted += sum(outcome == "interrupted" for outcome in delivery.history.values())
    expected = set(range(1, delivery.attempts + 1)) - ({delivery.attempts} if delivery.leased else set())
    if set(delivery.history) != expected:
        account.untrue.append(
            f"{pair} made {delivery.attempts} attempts, of which {sorted(delivery.history)} are recorded"
        )
    by_number = {attempt.number: attempt for attempt in received}
    for number, outcome in delivery.history.items():
        attempt = by_number.get(number)
        if outcome == "success" and (attempt is None or not attempt.taken):
            account.lost.append(f"{pair} is recorded as taken by attempt {number}, which was {attempt}")
        if outcome not in CUT_OFF | {"success"} and attempt is not None and attempt.taken:
            account.untrue.append(f"{pair} was taken by attempt {number}, recorded as {outcome}")
    if delivery.state == "delivered" and "success" not in delivery.history.values():
        account.lost.append(f"{pair} is delivered without an attempt that was")
    if delivery.state == "dead" and not any(one.status == FINAL_REFUSAL for one in received):
        account.lost.append(f"{pair} is dead, but was never refused for good")


def _check_repeats(
    account: Account, delivery: StoredDelivery, received: Sequence[Attempt], *, replays: int
) -> None:
    """An attempt after one that was final needs a reason, and always a higher number."""
    pair = f"({delivery.event.id}, {delivery.destination})"
    left = replays
    for before, after in pairwise(received):
        if after.number <= before.number:
            account.unexplained.append(f"{pair} got attempt {after.number} after {before.number}")
        if not _is_final(before):
            continue
        account.repeated += 1
        if delivery.history.get(before.number) in CUT_OFF:
            account.explained += 1
        elif left:
            left -= 1
            account.explained += 1
        else:
            outcome = delivery.history.get(before.number)
            account.unexplained.append(f"{pair} got attempt {after.number} after {before.number}, {outcome}")


def _check_order(account: Account, deliveries: Iterable[StoredDelivery], attempts: Sequence[Attempt]) -> None:
    """No attempt at an event of a key before every earlier one of it was over."""
    lines: dict[tuple[str, str], list[StoredEvent]] = defaultdict(list)
    for delivery in deliveries:
        if delivery.event.key is not None:
            lines[delivery.destination, delivery.event.key].append(delivery.event)
    places = {}
    for (destination, _), line in lines.items():
        line.sort(key=lambda event: event.seq)
        places.update({(destination, event.id): place for place, event in enumerate(line)})
    over: dict[tuple[str, str], int] = defaultdict(int)
    for attempt in attempts:
        place = places.get((attempt.destination, attempt.event_id))
        if place is None or attempt.key is None:
            continue
        line_name = (attempt.destination, attempt.key)
        if place > over[line_name]:
            account.disordered.append(
                f"{attempt.key}: {attempt.event_id} came to {attempt.destination} before an earlier one was over"
            )
        if place == over[line_name] and _is_final(attempt):
            over[line_name] += 1


def _is_final(attempt: Attempt) -> bool:
    return attempt.taken or attempt.status == FINAL_REFUSAL
