"""A signature that is known makes a duplicate, whatever the id says."""

from dataclasses import replace

import pytest

from gateway.config import Retention
from tests.support.store import NOW, accept, event

DAY = 86_400_000
SIGNATURE = b"s" * 32
OTHER = b"o" * 32


def signed(number, signature=SIGNATURE, **changes):
    return event(number, signature=signature, **changes)


def copy_of(number, *, new, **changes):
    """The same request under another id."""
    return replace(signed(number), id=event(new).id, dedupe_key=f"msg_{new}", **changes)


def said(accepted):
    return [(one.status, one.event_id) for one in accepted]


async def test_a_known_signature_under_another_id_is_a_duplicate_with_the_first_ones_id(store):
    await accept(store, signed(1))
    again = await accept(store, copy_of(1, new=2))
    assert said(again) == [("duplicate", event(1).id)]
    assert await store.event(event(2).id) is None


async def test_a_known_signature_is_a_duplicate_without_any_id_too(store):
    await accept(store, signed(1, dedupe_key=None))
    (again,) = await accept(store, replace(copy_of(1, new=2), dedupe_key=None))
    assert (again.status, again.event_id) == ("duplicate", event(1).id)


async def test_two_bodies_with_a_signature_each_are_two_events(store):
    accepted = await accept(store, signed(1), signed(2, OTHER))
    assert [one.status for one in accepted] == ["accepted", "accepted"]


async def test_a_known_id_with_another_signature_and_body_is_a_new_event_and_marked(store):
    await accept(store, signed(1))
    (reused,) = await accept(store, signed(2, OTHER, dedupe_key="msg_1"))
    assert (reused.status, reused.id_reused) == ("accepted", True)


async def test_copies_under_ids_of_their_own_at_the_same_moment_yield_one_event(store):
    copies = [copy_of(1, new=100 + number) for number in range(50)]
    accepted = await accept(store, *copies)
    assert sorted(one.status for one in accepted) == ["accepted"] + ["duplicate"] * 49
    assert len({one.event_id for one in accepted}) == 1
    assert await store.event(accepted[0].event_id) is not None


async def test_a_signature_of_one_source_says_nothing_of_another(store):
    accepted = await accept(store, signed(1), copy_of(1, new=2, source="other"))
    assert [one.status for one in accepted] == ["accepted", "accepted"]


async def test_a_signature_is_no_id_and_an_id_no_signature(store):
    await accept(store, signed(1))
    (one,) = await accept(store, event(2, dedupe_key=SIGNATURE.hex()))
    (other,) = await accept(store, signed(3, b"msg_1".ljust(32), source="producer"))
    assert (one.status, other.status) == ("accepted", "accepted")


async def test_without_a_guard_the_same_body_under_another_id_is_another_event(store):
    accepted = await accept(store, event(1), replace(event(1), id=event(2).id, dedupe_key="msg_2"))
    assert [one.status for one in accepted] == ["accepted", "accepted"]


async def test_signatures_are_known_after_the_store_is_opened_again(open_store):
    async with open_store() as store:
        await accept(store, signed(1))
    async with open_store() as store:
        assert said(await accept(store, copy_of(1, new=2))) == [("duplicate", event(1).id)]


async def test_a_signature_is_known_as_long_as_ids_are_and_not_longer(store):
    retention = Retention(dedupe_days=60)
    await accept(store, signed(1, destinations=()))
    await store.prune(retention, now=NOW + 60 * DAY, limit=100)
    assert said(await accept(store, copy_of(1, new=2))) == [("duplicate", event(1).id)]
    await store.prune(retention, now=NOW + 60 * DAY + 1, limit=100)
    assert said(await accept(store, copy_of(1, new=3))) == [("accepted", event(3).id)]


async def test_the_signature_of_a_duplicate_is_known_from_then_on(store):
    """A producer that rotates its secret signs the same delivery anew; a copy of that is no new event."""
    await accept(store, signed(1))
    again = replace(signed(1, OTHER), id=event(2).id)
    assert said(await accept(store, again)) == [("duplicate", event(1).id)]
    copied = replace(again, id=event(3).id, dedupe_key="msg_3")
    assert said(await accept(store, copied)) == [("duplicate", event(1).id)]


async def test_a_duplicate_and_its_copy_at_the_same_moment_have_the_id_of_the_event_that_is_there(store):
    await accept(store, signed(1))
    again = replace(signed(1, OTHER), id=event(2).id)
    copied = replace(again, id=event(3).id, dedupe_key="msg_3")
    assert said(await accept(store, again, copied)) == [("duplicate", event(1).id)] * 2


@pytest.mark.parametrize("at_once", [True, False])
async def test_where_a_known_id_is_a_duplicate_the_changed_body_is_known_by_its_signature_too(store, at_once):
    """`same_id = "duplicate"`: the body changes between attempts, and each of them could be sent again."""
    await accept(store, signed(1), same_id_is_duplicate=True)
    changed = signed(2, OTHER, dedupe_key="msg_1")
    copied = replace(changed, id=event(3).id, dedupe_key="msg_3")
    if at_once:
        answers = await accept(store, changed, copied, same_id_is_duplicate=True)
    else:
        answers = [
            *await accept(store, changed, same_id_is_duplicate=True),
            *await accept(store, copied, same_id_is_duplicate=True),
        ]
    assert said(answers) == [("duplicate", event(1).id)] * 2
