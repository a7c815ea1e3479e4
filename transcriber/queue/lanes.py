"""The two lanes of the queue, put together: recordings are fetched in one and transcribed in the other."""

import random
from collections.abc import Callable
from dataclasses import dataclass

import httpx

from transcriber.intake.fetch import Bounds, Fetcher
from transcriber.intake.resolve import Resolve
from transcriber.metrics import Metrics
from transcriber.model import JobId
from transcriber.queue import transcribing
from transcriber.queue.fetching import Fetching
from transcriber.queue.pace import Pace
from transcriber.queue.run import Patience, Runs, Step
from transcriber.queue.transcribing import Transcribing
from transcriber.queue.worker import Worker
from transcriber.settings import Settings
from transcriber.speech import Engine
from transcriber.store.changes import Store
from transcriber.store.work import Work


@dataclass(frozen=True, slots=True)
class Lanes:
    """`transcript_url` makes the address of a job's transcript."""

    settings: Settings
    store: Store
    metrics: Metrics
    patience: Patience
    transcript_url: Callable[[JobId], str]

    def transcribing(self, engine: Engine) -> Worker:
        pace = self._pace()
        self.metrics.watch_pause(engine=engine.name, seconds_left=pace.seconds_left)
        work = Work(self.store, engine=engine.name, to_fetch=False)
        step = Transcribing(
            work=work,
            engine=engine,
            recordings=self.store.recordings,
            metrics=self.metrics,
            pace=pace,
            bounds=transcribing.Bounds(self.settings.max_audio_seconds, self.settings.progress_seconds),
            transcript_url=self.transcript_url,
        )
        return self._worker(work, step, pace)

    def fetching(self, resolve: Resolve) -> Worker:
        fetcher = Fetcher(
            bounds=Bounds(
                max_bytes=self.settings.max_upload_bytes,
                seconds=self.settings.fetch_seconds,
                allow_private=self.settings.allow_private_audio_urls,
            ),
            resolve=resolve,
            tls=httpx.create_ssl_context(),
            free_bytes=self.store.recordings.free_bytes,
            now=self.store.now,
        )
        work = Work(self.store, engine=Fetching.name, to_fetch=True)
        step = Fetching(work=work, fetcher=fetcher, recordings=self.store.recordings)
        return self._worker(work, step, self._pace())

    def _pace(self) -> Pace:
        return Pace(backoff=self.patience.backoff, chance=random.random)

    def _worker(self, work: Work, step: Step, pace: Pace) -> Worker:
        runs = Runs(
            work=work,
            step=step,
            metrics=self.metrics,
            pace=pace,
            patience=self.patience,
            chance=random.random,
            now=self.store.now,
        )
        return Worker(work=work, runs=runs, step=step, pace=pace, metrics=self.metrics, now=self.store.now)
