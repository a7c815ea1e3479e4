"""From a request with a recording to a job in the queue, whichever route it came by."""

import asyncio
import errno
import sqlite3
from collections.abc import Callable
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request

from transcriber import audio, log
from transcriber.errors import RequestError, SpeechError
from transcriber.intake.submission import Fields
from transcriber.intake.upload import MAX_OVERHEAD_BYTES, Form, read_form, too_large
from transcriber.model import Audio, AudioName, Submission
from transcriber.speech import Engine
from transcriber.store.jobs import Jobs, Snapshot
from transcriber.store.recordings import Recordings

MIN_FREE_BYTES = 500_000_000

F = TypeVar("F", bound=Fields)


class Receiving:
    def __init__(self, *, jobs: Jobs, recordings: Recordings, engine: Engine, max_upload_bytes: int) -> None:
        self._jobs = jobs
        self._recordings = recordings
        self._engine = engine
        self._max_upload_bytes = max_upload_bytes

    async def take(self, request: Request, fields_of: Callable[[Form], F]) -> tuple[F, Snapshot]:
        """What the form says in the words of its route, and its job: on disk, new or known. Raises RequestError."""
        self._require_room(request)
        fields, submission = await self._receive(request, fields_of)
        try:
            snapshot = await self._jobs.submit(submission)
        except (RequestError, sqlite3.Error):
            self._recordings.remove(submission.audio.name)
            raise
        log.info("job.accepted", job_id=submission.job_id, size_bytes=submission.audio.size_bytes)
        return fields, snapshot

    async def _receive(self, request: Request, fields_of: Callable[[Form], F]) -> tuple[F, Submission]:
        """The upload as a job to be, its recording on disk. Raises RequestError."""
        name = self._recordings.new_name()
        try:
            form = await self._read(request, name)
            fields = fields_of(form)
            return fields, await self._judge(fields, form, name)
        except BaseException as error:
            self._recordings.remove(name)
            if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise _no_room() from error
            raise

    async def _judge(self, fields: Fields, form: Form, name: AudioName) -> Submission:
        try:
            extension = await asyncio.to_thread(audio.identify, self._recordings.path(name))
            stored = Audio(name=name, extension=extension, size_bytes=form.file_bytes)
            self._engine.accept(stored, fields.options)
        except SpeechError as error:
            raise RequestError(422, error.code, error.message) from error
        await asyncio.to_thread(self._recordings.keep, name)
        return Submission(
            job_id=fields.job_id,
            user_id=fields.user_id,
            options=fields.options,
            audio=stored,
            digest=fields.digest(),
        )

    async def _read(self, request: Request, name: AudioName) -> Form:
        try:
            return await read_form(
                request.stream(),
                content_type=request.headers.get("content-type", ""),
                destination=self._recordings.path(name),
                max_file_bytes=self._max_upload_bytes,
            )
        except ClientDisconnect as error:
            raise RequestError(400, "malformed", "the upload was cut off") from error

    def _require_room(self, request: Request) -> None:
        """Judges by the declared length, so that a body which cannot be taken is not read."""
        length = request.headers.get("content-length", "0")
        announced = int(length) if length.isascii() and length.isdigit() else 0
        if announced > self._max_upload_bytes + MAX_OVERHEAD_BYTES:
            raise too_large(self._max_upload_bytes)
        if self._recordings.free_bytes() < MIN_FREE_BYTES + announced:
            raise _no_room()


def _no_room() -> RequestError:
    return RequestError(
        503, "disk_full", "there is no room for the recording: try again later", {"Retry-After": "60"}
    )
