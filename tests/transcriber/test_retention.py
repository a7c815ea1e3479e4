"""What is kept only for a time, and who is asked before it goes: the clock."""

import asyncio
import json
import sqlite3
from contextlib import closing
from importlib import resources
from pathlib import Path

import pytest

from tests.support.groq_server import GroqServer
from tests.support.job_bench import Bench
from tests.support.waiting import eventually
from tests.support.webhook_receiver import WebhookReceiver
from tests.transcriber.conftest import running
from transcriber.model import Failure, JobId
from transcriber.queue.keeping import DAY_MS, TOMBSTONE_DAYS, Keeper
from transcriber.store.history import Filter, History
from transcriber.store.retention import JOBS_AT_ONCE, Retention

EVENT_DAYS = 7


class Kept:
    """A bench with a keeper, whose two clocks move together unless somebody sets the one on the wall."""

    def __init__(self, bench: Bench, *, days: int = 30) -> None:
        self.bench = bench
        self.steady_ms = 5_000
        self.keeper = Keeper(
            retention=Retention(bench.store),
            retention_days=days,
            event_days=EVENT_DAYS,
            now=bench.clock,
            steady=lambda: self.steady_ms,
        )

    async def after(self, days: float, *, more_ms: int = 0) -> None:
        """So much later, a round."""
        self.steady_ms += round(days * DAY_MS) + more_ms
        self.bench.clock.ms += round(days * DAY_MS) + more_ms
        await self.keeper.round()

    async def status(self, identity: JobId) -> str | None:
        snapshot = await self.bench.jobs.find(identity)
        return snapshot and snapshot.status


@pytest.fixture
def kept(bench: Bench) -> Kept:
    return Kept(bench)


async def completed(bench: Bench) -> JobId:
    identity = await bench.submit()
    assert await bench.claim() == identity
    await bench.complete(identity)
    return identity


async def test_a_finished_job_is_deleted_after_its_days_as_if_it_were_asked_for(kept: Kept) -> None:
    bench = kept.bench
    ended = {"completed": await completed(bench), "failed": await bench.submit()}
    await bench.claim()
    await bench.work.fail(ended["failed"], Failure("x", "y"))
    ended["cancelled"] = await bench.submit()
    await bench.jobs.cancel(ended["cancelled"])
    before = {status: json.loads(await bench.data(identity)) for status, identity in ended.items()}
    await bench.send_all()
    await kept.after(30)
    assert [await kept.status(identity) for identity in ended.values()] == list(ended)
    written = bench.store.written.listen()
    await kept.after(0, more_ms=1)
    assert written.is_set()
    sent = {event.job_id: event for event in await bench.send_all()}
    for status, identity in ended.items():
        tombstone = await bench.data(identity)
        assert json.loads(tombstone) == before[status] | {
            "status": "deleted",
            "sequence": before[status]["sequence"] + 1,
            "result": None,
        }
        assert sent[identity].step == "deleted"
        assert sent[identity].body.endswith(f'"data":{tombstone}}}')
        assert await bench.jobs.transcript(identity) is None
    assert list(bench.recordings.folder.iterdir()) == []


async def test_an_unfinished_job_is_never_touched(kept: Kept) -> None:
    waiting, in_hand = await kept.bench.submit("ada"), await kept.bench.submit("bob")
    await kept.bench.claim()
    await kept.after(10_000)
    assert {await kept.status(waiting), await kept.status(in_hand)} == {"queued", "processing"}


async def test_more_jobs_than_one_transaction_takes_go_in_one_round(kept: Kept) -> None:
    identities = [await kept.bench.submit() for _ in range(JOBS_AT_ONCE + 1)]
    for identity in identities:
        await kept.bench.jobs.cancel(identity)
    await kept.after(31)
    assert {await kept.status(identity) for identity in identities} == {"deleted"}


async def test_zero_days_keep_everything(bench: Bench) -> None:
    kept = Kept(bench, days=0)
    identity = await completed(bench)
    await kept.after(10_000)
    assert await kept.status(identity) == "completed"


@pytest.mark.parametrize("days", [365, -365])
async def test_a_clock_that_was_set_deletes_nothing(
    kept: Kept, caplog: pytest.LogCaptureFixture, days: int
) -> None:
    identity = await completed(kept.bench)
    sent = await kept.bench.send_all()
    kept.bench.clock.ms += days * DAY_MS
    await kept.after(40)
    assert await kept.status(identity) == "completed"
    assert len((await History(kept.bench.store).page(Filter(), before=None, limit=9)).items) == len(sent)
    assert [record.getMessage() for record in caplog.records] == ["retention.refused"]


async def test_a_tombstone_goes_with_time_once_its_events_are_gone(kept: Kept) -> None:
    bench = kept.bench
    identity = await completed(bench)
    await bench.jobs.delete(identity)
    await kept.after(TOMBSTONE_DAYS, more_ms=1)
    assert await kept.status(identity) == "deleted"
    await bench.send_all()
    await kept.after(EVENT_DAYS, more_ms=-1)
    assert await kept.status(identity) == "deleted"
    await kept.after(0, more_ms=1)
    assert await kept.status(identity) is None
    assert (await bench.jobs.census()).by_status["deleted"] == 0


async def test_a_tombstone_goes_although_a_job_was_made_of_it(kept: Kept) -> None:
    bench = kept.bench
    first = await bench.submit()
    await bench.jobs.cancel(first)
    again = JobId("a-job-made-of-another")
    await bench.jobs.retry(first, again)
    await bench.jobs.delete(first)
    await bench.send_all()
    await kept.after(TOMBSTONE_DAYS, more_ms=1)
    assert await kept.status(first) is None
    assert await kept.status(again) == "queued"


def test_the_service_deletes_at_its_start_and_tells(
    environment: dict[str, str], groq: GroqServer, receiver: WebhookReceiver
) -> None:
    with running(environment) as api:
        identity = api.post().json()["jobId"]
        api.until(identity, "completed")
        eventually(lambda: receiver.types(identity)[-1:] == ["completed"])
        folder = api.data_dir
    with closing(sqlite3.connect(folder / "transcriber.db")) as tool:
        tool.execute("UPDATE jobs SET changed_at = changed_at - ?", (31 * DAY_MS,))
        tool.commit()
    with running(environment) as api:
        eventually(lambda: receiver.types(identity)[-1:] == ["deleted"])
        assert api.job(identity)["status"] == "deleted"
    assert len(groq.asked) == 1


def test_a_database_of_before_is_brought_up_to_date_with_its_jobs(tmp_path: Path) -> None:
    _make_old(tmp_path)
    bench = Bench(tmp_path)
    try:
        asyncio.run(_go_on(bench))
    finally:
        bench.database.close()


def _make_old(folder: Path) -> None:
    """As the first release left it: a job of each status, one of them in hand."""
    script = (resources.files("transcriber.store") / "migrations/0001_jobs_and_outbox.sql").read_text()
    with closing(sqlite3.connect(folder / "transcriber.db")) as old:
        old.executescript(f"{script} PRAGMA user_version = 1;")
        for status in ("completed", "queued", "processing", "failed"):
            job = {
                "jobId": f"an-old-job-{status}",
                "userId": "ada",
                "status": status,
                "progress": 0,
                "sequence": 1,
                "result": None,
                "error": None,
                "timestamps": {"createdAt": 1, "startedAt": None, "completedAt": None},
            }
            old.execute(
                "INSERT INTO jobs (job_id, data, changed_at, digest, options, audio, extension, size_bytes, in_hand)"
                " VALUES (?, ?, 1, '', '{}', 'a', 'wav', 5, 1)",
                (job["jobId"], json.dumps(job)),
            )
        old.execute("UPDATE jobs SET in_hand = 0 WHERE status = 'queued'")
        old.commit()


async def _go_on(bench: Bench) -> None:
    assert (await bench.jobs.census()).by_status == {
        "queued": 1,
        "processing": 1,
        "completed": 1,
        "failed": 1,
        "cancelled": 0,
        "deleted": 0,
    }
    assert await bench.recover() == 1
    new = await bench.submit()
    taken = [await bench.claim() for _ in range(4)]
    assert taken == ["an-old-job-queued", "an-old-job-processing", new, None]
    await bench.jobs.delete(JobId("an-old-job-completed"))
    counts = (await bench.jobs.census()).by_status
    assert (counts["deleted"], counts["completed"], counts["queued"]) == (1, 0, 0)
