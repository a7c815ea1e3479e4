"""The events over a real database: written once, delivered to each webhook in order, kept, replayed, erased, forgotten."""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.transcriber.conftest import job_id
from transcriber.errors import RequestError
from transcriber.model import Audio, Failure, JobId, Options, Submission, Transcript, WebhookName
from transcriber.results import fit
from transcriber.store import history as kept
from transcriber.store.changes import Notice, Store
from transcriber.store.database import Database
from transcriber.store.history import Filter, History, Record
from transcriber.store.jobs import Jobs
from transcriber.store.outbox import NOBODY, Event, Outbox
from transcriber.store.recordings import Recordings
from transcriber.store.retention import Retention
from transcriber.store.work import Work

A, B, C = WebhookName("a"), WebhookName("b"), WebhookName("c")
ALL = ["*"]
SCHEMA_1 = Path("transcriber/store/migrations/0001_jobs_and_outbox.sql")
HEARD = Transcript(
    text="a most peculiar sentence", language="en", duration_seconds=1.0, segments=(), words=None
)


class Post:
    """Jobs and events without worker and senders: the test takes their parts."""

    def __init__(self, folder: Path, *, keeps_taken: bool = True) -> None:
        (folder / "audio").mkdir(exist_ok=True)
        self.ms = 1_000_000
        self.recordings = Recordings(folder / "audio")
        self.database = Database(folder)
        store = Store(self.database, self.recordings, lambda: self.ms)
        self.jobs = Jobs(store, max_queued=100)
        self.work = Work(store, engine="bench", to_fetch=False)
        self.outbox = Outbox(database=self.database, now=lambda: self.ms, keeps_taken=keeps_taken)
        self.history = History(store)
        self.retention = Retention(store)

    async def configure(self, *names: WebhookName, **event_types: list[str]) -> None:
        """Webhooks of these names, which want everything; those by keyword want what is said."""
        every = dict.fromkeys(names, ALL) | {WebhookName(name): types for name, types in event_types.items()}
        await self.outbox.configure(list(every.items()))

    async def submit(self) -> JobId:
        name = self.recordings.new_name()
        self.recordings.path(name).write_bytes(b"sound")
        identity = JobId(job_id())
        audio = Audio(name=name, extension="wav", size_bytes=5)
        await self.jobs.submit(Submission(identity, "ada", Options(), audio, digest=identity))
        return identity

    async def complete(self) -> JobId:
        identity = await self.submit()
        await self.work.claim()
        await self.work.complete(identity, HEARD, fit(HEARD, ""))
        return identity

    async def claim(self, webhook: WebhookName) -> list[Event]:
        return await self.outbox.claim(webhook, limit=100)

    async def take(self, webhook: WebhookName) -> list[Event]:
        """Every event that waits for the webhook, taken at the first attempt."""
        taken: list[Event] = []
        while events := await self.claim(webhook):
            for event in events:
                await self.outbox.taken(event, 200)
                taken.append(event)
        return taken

    async def fail(self, event: Event, *, seconds: float = 0) -> None:
        await self.outbox.postpone(event, seconds, status=500, error="answered 500")

    async def events(self, **wanted: object) -> list[Record]:
        """Newest first."""
        return (await self.history.page(Filter(**wanted), before=None, limit=100)).items

    async def waiting(self) -> dict[str, int]:
        return {backlog.webhook: backlog.waiting for backlog in await self.outbox.backlogs()}

    async def bodies(self, identity: JobId) -> list[tuple[str, bool]]:
        """The step of each event and whether its body is there."""
        return [(event.step, not event.erased) for event in reversed(await self.events(job_id=identity))]


@pytest.fixture
def post(tmp_path: Path) -> Iterator[Post]:
    post = Post(tmp_path)
    yield post
    post.database.close()


def everything_in(folder: Path) -> str:
    return "".join(path.read_text("latin-1") for path in folder.rglob("*") if path.is_file())


def steps(events: list[Event]) -> list[str]:
    return [event.step for event in events]


async def test_each_webhook_gets_every_event_once_in_order_under_the_same_id(post: Post) -> None:
    await post.configure(A, B)
    identity = await post.complete()
    of_a, of_b = await post.take(A), await post.take(B)
    assert steps(of_a) == ["queued", "started", "completed"]
    assert [(event.webhook_id, event.body) for event in of_a] == [
        (event.webhook_id, event.body) for event in of_b
    ]
    assert len(await post.events(job_id=identity)) == 3
    assert await post.take(A) == []


async def test_a_webhook_that_fails_holds_back_neither_another_webhook_nor_another_job(post: Post) -> None:
    await post.configure(A, B)
    stuck, free = await post.complete(), await post.complete()
    for event in await post.claim(A):
        await post.fail(event, seconds=60 if event.job_id == stuck else 0)
    assert {event.job_id for event in await post.take(A)} == {free}
    assert len(await post.take(B)) == 6
    assert await post.outbox.next_due_at(A) == post.ms + 60_000
    post.ms += 60_000
    assert steps(await post.take(A)) == ["queued", "started", "completed"]


async def test_an_event_on_its_way_is_not_claimed_again_nor_overtaken(post: Post) -> None:
    await post.configure(A)
    await post.complete()
    (first,) = await post.claim(A)
    assert await post.claim(A) == []
    assert await post.outbox.next_due_at(A) is None
    await post.outbox.wake(A)
    assert await post.claim(A) == []
    await post.outbox.resume(A)
    (again,) = await post.claim(A)
    assert (again.webhook_id, again.attempt) == (first.webhook_id, 2)


async def test_what_waits_longest_is_claimed_first(post: Post) -> None:
    await post.configure(A)
    identities = [await post.submit() for _ in range(3)]
    claimed = [event.job_id for _ in identities for event in await post.outbox.claim(A, limit=1)]
    assert claimed == identities


async def test_a_webhook_gets_the_types_it_asks_for_and_no_others(post: Post) -> None:
    await post.configure(a=["*.completed", "*.failed"], b=["transcription.job.queue?"])
    await post.complete()
    assert steps(await post.take(A)) == ["completed"]
    assert steps(await post.take(B)) == ["queued"]
    (started,) = [event for event in await post.events() if event.step == "started"]
    assert started.deliveries == ()
    assert await post.events(state="waiting") == []


async def test_progress_is_replaced_only_while_no_webhook_has_tried_it(post: Post) -> None:
    await post.configure(A, B)
    identity = await post.submit()
    await post.work.claim()
    await post.take(A)
    await post.work.progress(identity, 10)
    await post.work.progress(identity, 20)
    (tried,) = await post.claim(A)
    assert json.loads(tried.body)["data"]["progress"] == 20
    await post.work.progress(identity, 30)
    of_b = await post.take(B)
    assert [json.loads(event.body)["data"]["progress"] for event in of_b] == [0, 0, 20, 30]
    assert (of_b[2].webhook_id, of_b[2].body) == (tried.webhook_id, tried.body)


async def test_taken_progress_is_forgotten_and_other_events_are_kept(post: Post) -> None:
    await post.configure(A, B)
    identity = await post.submit()
    await post.work.claim()
    await post.work.progress(identity, 10)
    await post.take(A)
    assert [event.step for event in await post.events()] == ["progress", "started", "queued"]
    await post.take(B)
    assert [event.step for event in await post.events()] == ["started", "queued"]
    await post.work.progress(identity, 20)
    (later,) = await post.take(A)
    assert later.sequence == 4


async def test_what_was_written_for_nobody_goes_to_whoever_is_configured_later(post: Post) -> None:
    await post.configure()
    await post.complete()
    assert await post.waiting() == {NOBODY: 3}
    await post.configure(a=ALL, b=["*.completed"])
    assert await post.waiting() == {A: 3, B: 1}
    assert steps(await post.take(A)) == ["queued", "started", "completed"]
    assert steps(await post.take(B)) == ["completed"]


async def test_a_webhook_that_is_no_longer_configured_keeps_what_waits_and_gets_nothing_new(
    post: Post,
) -> None:
    await post.configure(A, B)
    await post.submit()
    await post.configure(A)
    await post.submit()
    assert await post.waiting() == {A: 2, B: 1}
    await post.configure(A, B)
    assert len(await post.take(B)) == 1


async def test_what_waits_is_dropped_only_for_a_webhook_that_is_no_longer_configured(post: Post) -> None:
    await post.configure(A, B)
    await post.complete()
    await post.take(A)
    with pytest.raises(RequestError, match="is configured") as caught:
        await post.history.discard(B)
    assert caught.value.status == 409
    await post.configure(A)
    assert await post.history.discard(B) == 3
    assert await post.waiting() == {A: 0}
    assert await post.events(state="waiting") == []
    assert await post.history.discard(C) is None
    assert await post.history.discard(NOBODY) is None


async def test_a_replayed_event_goes_out_again_under_its_id_in_order_of_its_job(post: Post) -> None:
    await post.configure(A, B)
    await post.complete()
    queued, started, completed = await post.take(A)
    await post.take(B)
    for event in (completed, queued):
        assert await post.history.replay(event.webhook_id, [A])
    again = await post.take(A)
    assert [(event.webhook_id, event.body) for event in again] == [
        (event.webhook_id, event.body) for event in (queued, completed)
    ]
    assert [event.attempt for event in again] == [2, 2]
    assert await post.take(B) == []
    assert started.webhook_id not in {event.webhook_id for event in again}


async def test_a_replay_does_not_overtake_the_event_on_its_way_but_goes_before_later_ones(post: Post) -> None:
    await post.configure(A)
    identity = await post.submit()
    (queued,) = await post.take(A)
    await post.work.claim()
    await post.work.fail(identity, Failure("x", "y"))
    (started,) = await post.claim(A)
    await post.history.replay(queued.webhook_id, None)
    assert await post.claim(A) == []
    await post.outbox.taken(started, 200)
    assert steps(await post.take(A)) == ["queued", "failed"]


async def test_a_replay_is_for_those_who_want_the_event_or_those_named(post: Post) -> None:
    await post.configure(a=ALL, b=["*.completed"])
    await post.submit()
    (queued,) = await post.take(A)
    record = await post.history.replay(queued.webhook_id, None)
    assert record is not None
    assert [delivery.webhook for delivery in record.deliveries] == [A]
    record = await post.history.replay(queued.webhook_id, [B])
    assert record is not None
    assert [delivery.webhook for delivery in record.deliveries] == [A, B]
    assert len(await post.take(B)) == 1
    with pytest.raises(RequestError, match="no webhook 'c' is configured"):
        await post.history.replay(queued.webhook_id, [A, C])
    assert await post.history.replay("msg_unknown", None) is None
    await post.take(A)
    await post.history.replay(queued.webhook_id, [A])
    await post.configure(b=["*.completed"])
    with pytest.raises(RequestError, match="no configured webhook wants"):
        await post.history.replay(queued.webhook_id, None)
    assert await post.waiting() == {A: 1, B: 0}


async def test_many_are_replayed_by_job_webhook_and_time(post: Post) -> None:
    await post.configure(A, B)
    first = await post.complete()
    post.ms += 1_000
    await post.complete()
    await post.take(A)
    await post.take(B)
    replay = post.history.replay_many
    assert await replay(Filter(), dry_run=True) == 6
    assert await replay(Filter(since=post.ms), dry_run=True) == 3
    assert await replay(Filter(until=post.ms), dry_run=True) == 3
    assert await post.events(state="waiting") == []
    assert await replay(Filter(job_id=first, webhook=A), dry_run=False) == 3
    assert await post.waiting() == {A: 3, B: 0}
    assert await replay(Filter(job_id=first, webhook=A), dry_run=False) == 0
    assert steps(await post.take(A)) == ["queued", "started", "completed"]
    await post.configure(a=ALL, c=["*.completed"])
    assert await replay(Filter(webhook=C), dry_run=False) == 2
    assert steps(await post.take(C)) == ["completed", "completed"]
    with pytest.raises(RequestError, match="no webhook 'b' is configured"):
        await replay(Filter(webhook=B), dry_run=False)


async def test_a_replay_of_more_events_than_one_transaction_bears_does_nothing(post: Post) -> None:
    await post.configure(A)
    identity = await post.submit()
    await post.take(A)

    def many(connection: sqlite3.Connection) -> None:
        connection.executemany(
            "INSERT INTO events (webhook_id, job_id, sequence, step, written_at, taken_at, body)"
            " VALUES (?, ?, ?, 'started', 1, 1, '{}')",
            [(f"msg_{n}", identity, n + 2) for n in range(kept.MAX_REPLAYED)],
        )

    await post.database.transaction(many)
    with pytest.raises(RequestError, match="more than 10000"):
        await post.history.replay_many(Filter(), dry_run=False)
    assert await post.waiting() == {A: 0}
    assert await post.history.replay_many(Filter(until=2), dry_run=False) == kept.MAX_REPLAYED


async def test_the_list_is_newest_first_page_by_page_and_filtered(post: Post) -> None:
    await post.configure(A, B)
    first, second = await post.complete(), await post.complete()
    await post.take(A)
    page = await post.history.page(Filter(), before=None, limit=4)
    rest = await post.history.page(Filter(), before=page.next_before, limit=4)
    assert [event.sequence for event in page.items + rest.items] == [3, 2, 1, 3, 2, 1]
    assert [event.job_id for event in page.items + rest.items] == [second] * 3 + [first] * 3
    assert rest.next_before is None
    assert len(await post.events(webhook=A, state="taken")) == 6
    assert await post.events(webhook=A, state="waiting") == []
    assert len(await post.events(webhook=B, state="waiting", job_id=first)) == 3
    assert await post.events(webhook=C) == []


async def test_only_the_first_waiting_event_of_a_job_shows_when_it_is_due(post: Post) -> None:
    await post.configure(A)
    identity = await post.submit()
    await post.jobs.cancel(identity)

    async def due() -> list[int | None]:
        return [event.deliveries[0].next_attempt_at for event in reversed(await post.events())]

    assert await due() == [post.ms, None]
    (event,) = await post.claim(A)
    assert await due() == [None, None]
    await post.fail(event, seconds=7)
    assert await due() == [post.ms + 7_000, None]
    await post.configure(B)
    assert await due() == [None, None]


async def test_a_deletion_erases_what_was_taken_at_once_and_the_rest_once_it_is(tmp_path: Path) -> None:
    post = Post(tmp_path)
    await post.configure(A, B)
    identity = await post.complete()
    await post.take(A)
    (queued,) = await post.claim(B)
    await post.outbox.taken(queued, 200)
    await post.jobs.delete(identity)
    assert await post.bodies(identity) == [
        ("queued", False),
        ("started", True),
        ("completed", True),
        ("deleted", True),
    ]
    of_b = await post.take(B)
    assert "peculiar" in of_b[1].body
    assert [is_there for _, is_there in await post.bodies(identity)] == [False, False, False, True]
    with pytest.raises(RequestError, match="was erased") as caught:
        await post.history.replay(queued.webhook_id, None)
    assert caught.value.status == 410
    assert await post.history.replay_many(Filter(webhook=B), dry_run=True) == 1
    post.database.close()
    assert "peculiar" not in everything_in(tmp_path)


async def test_what_is_discarded_of_a_deleted_job_is_erased(post: Post) -> None:
    await post.configure(A)
    identity = await post.complete()
    await post.jobs.delete(identity)
    await post.configure(B)
    await post.history.discard(A)
    assert [is_there for _, is_there in await post.bodies(identity)] == [False, False, False, True]


async def test_events_are_forgotten_once_they_were_taken_before_a_time_and_never_while_they_wait(
    post: Post,
) -> None:
    await post.configure(A, B)
    identity = await post.submit()
    await post.take(A)
    assert await post.retention.forget_some(taken_before=post.ms + 1) == 0
    await post.take(B)
    assert await post.retention.forget_some(taken_before=post.ms - 1) == 0
    assert await post.retention.forget_some(taken_before=post.ms) == 1
    assert await post.events() == []
    assert await post.jobs.find(identity) is not None


async def test_with_no_days_an_event_is_forgotten_when_the_last_webhook_has_taken_it(tmp_path: Path) -> None:
    post = Post(tmp_path, keeps_taken=False)
    await post.configure(A, B)
    await post.submit()
    await post.take(A)
    assert len(await post.events()) == 1
    await post.take(B)
    assert await post.events() == []
    post.database.close()


def test_whoever_listens_hears_although_another_heard_before() -> None:
    notice = Notice()
    first, second = notice.listen(), notice.listen()
    notice.set()
    first.clear()
    assert second.is_set()


def old_database(folder: Path, *, tried: bool) -> None:
    """A database of schema 1 in which a job's three events wait, the first of them tried or not."""
    connection = sqlite3.connect(folder / "transcriber.db")
    connection.executescript(SCHEMA_1.read_text() + "PRAGMA user_version = 1;")
    data = '{"status":"completed","userId":"ada"}'
    connection.execute(
        "INSERT INTO jobs (job_id, data, changed_at, digest, options, extension, size_bytes)"
        " VALUES ('a-job', ?, 7, 'd', '{}', 'wav', 5)",
        (data,),
    )
    for sequence, step in enumerate(("queued", "started", "completed"), start=1):
        connection.execute(
            "INSERT INTO outbox VALUES (?, 'a-job', ?, ?, 7, ?, ?, 9999999999999)",
            (f"msg_{9 - sequence}", sequence, step, f"body {sequence}", 4 if tried and sequence == 1 else 0),
        )
    connection.commit()
    connection.close()


@pytest.mark.parametrize(("tried", "attempts"), [(True, [5, 1, 1]), (False, [1, 1, 1])])
async def test_what_waited_in_the_old_table_goes_out_unchanged(
    tmp_path: Path, tried: bool, attempts: list[int]
) -> None:
    old_database(tmp_path, tried=tried)
    post = Post(tmp_path)
    default = WebhookName("default")
    await post.configure(default)
    sent = await post.take(default)
    assert [(event.webhook_id, event.sequence, event.body) for event in sent] == [
        ("msg_8", 1, "body 1"),
        ("msg_7", 2, "body 2"),
        ("msg_6", 3, "body 3"),
    ]
    assert [event.attempt for event in sent] == attempts
    assert await post.waiting() == {default: 0}
    post.database.close()


async def test_what_was_tried_before_stays_for_its_webhook_and_the_rest_is_for_whoever_is_configured(
    tmp_path: Path,
) -> None:
    for tried, left in ((True, {A: 0, "default": 3}), (False, {A: 3})):
        folder = tmp_path / str(tried)
        folder.mkdir()
        old_database(folder, tried=tried)
        post = Post(folder)
        await post.configure(A)
        assert await post.waiting() == left
        post.database.close()
