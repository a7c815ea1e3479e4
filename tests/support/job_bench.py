"""The store of a transcriber without worker and sender: the test takes both parts, and moves the clock."""

import itertools
from pathlib import Path

from transcriber.model import Attempt, Audio, JobId, Options, Submission, Transcript
from transcriber.results import fit
from transcriber.store.changes import Store
from transcriber.store.database import Database
from transcriber.store.jobs import Jobs
from transcriber.store.outbox import NOBODY, Event, Outbox
from transcriber.store.recordings import Recordings
from transcriber.store.recovery import recover
from transcriber.store.work import Work

HEARD = Transcript(text="hello", language="en", duration_seconds=1.0, segments=(), words=None)


class Clock:
    def __init__(self) -> None:
        self.ms = 1_000_000

    def __call__(self) -> int:
        return self.ms


class Bench:
    """Jobs and outbox without worker and sender: the test takes both parts."""

    def __init__(self, folder: Path, *, engine: str = "bench", database: type[Database] = Database) -> None:
        (folder / "audio").mkdir(exist_ok=True)
        self.clock = Clock()
        self._numbers = itertools.count()
        self.recordings = Recordings(folder / "audio")
        self.database = database(folder)
        self.store = store = Store(self.database, self.recordings, self.clock)
        self.jobs = Jobs(store, max_queued=1000)
        self.work = Work(store, engine=engine, to_fetch=False)
        self.fetching = Work(store, engine="fetch", to_fetch=True)
        self.outbox = Outbox(database=self.database, now=self.clock)

    async def submit(self, user_id: str = "ada", *, prompt: str = "names", sound: bytes = b"sound") -> JobId:
        name = self.recordings.new_name()
        self.recordings.path(name).write_bytes(sound)
        identity = JobId(f"a-job-of-the-bench-{next(self._numbers):06}")
        audio = Audio(name=name, extension="wav", size_bytes=len(sound))
        await self.jobs.submit(Submission(identity, user_id, Options(prompt=prompt), audio, digest=identity))
        return identity

    async def recover(self) -> int:
        """As a process does that finds what another left."""
        return await recover(self.store)

    async def claim(self) -> JobId | None:
        assignment = await self.work.claim()
        return assignment and assignment.job.job_id

    async def complete(self, identity: JobId) -> None:
        await self.work.complete(identity, HEARD, fit(HEARD, ""))

    async def attempts(self, identity: JobId) -> list[Attempt]:
        attempts = await self.jobs.attempts(identity)
        assert attempts is not None
        return attempts

    async def send_all(self) -> list[Event]:
        """Every waiting event, taken at the first attempt."""
        sent: list[Event] = []
        while events := await self.due():
            for event in events:
                await self.outbox.taken(event, 200)
                sent.append(event)
        return sent

    async def due(self) -> list[Event]:
        """What a sender would send now; with no webhook configured, events wait for nobody."""
        return await self.outbox.claim(NOBODY, limit=100)

    async def data(self, identity: JobId) -> str:
        snapshot = await self.jobs.find(identity)
        assert snapshot is not None
        return snapshot.data


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]
