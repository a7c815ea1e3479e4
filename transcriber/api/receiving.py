"""From a request with a recording to a job in the queue, whichever route it came by."""

import asyncio
import sqlite3
from collections.abc import Callable
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request

from transcriber import audio, log
from transcriber.errors import RequestError, SpeechError
from transcriber.intake.submission import Fields
from transcriber.intake.upload import MAX_OVERHEAD_BYTES, Form, read_form, too_large
from transcriber.model import Audio, AudioName, Options, Submission
from transcriber.speech import Engine
from transcriber.store.jobs import Jobs, Snapshot
from transcriber.store.recordings import MIN_FREE_BYTES, Recordings, is_full

F = TypeVar("F", bound=Fields)


class Receiving:
    def __init__(
        self,
        *,
        jobs: Jobs,
        recordings: Recordings,
        engine: Engine,
        max_upload_bytes: int,
        allow_private_urls: bool,
    ) -> None:
        self._jobs = jobs
        self._recordings = recordings
        self._engine = engine
        self._max_upload_bytes = max_upload_bytes
        self._allow_private_urls = allow_private_urls

    async def take(self, request: Request, fields_of: Callable[..., F]) -> tuple[F, Snapshot]:
        """What the form says in the words of its route, and its job: on disk, new or known. Raises RequestError.

        `fields_of` is a class of Fields, or makes one of the same arguments.
        """
        self._require_acceptable(request)
        fields, submission = await self._receive(request, fields_of)
        stored = submission.audio if isinstance(submission.audio, Audio) else None
        try:
            snapshot = await self._jobs.submit(submission)
        except (RequestError, sqlite3.Error):
            if stored:
                self._recordings.remove(stored.name)
            raise
        log.info("job.accepted", job_id=submission.job_id, size_bytes=stored and stored.size_bytes)
        return fields, snapshot

    async def _receive(self, request: Request, fields_of: Callable[..., F]) -> tuple[F, Submission]:
        """The form as a job to be, its recording on disk, or still at its address. Raises RequestError."""
        name = self._recordings.new_name()
        try:
            form = await self._read(request, name)
            fields = fields_of(form, allow_private_urls=self._allow_private_urls)
            self._accept(fields.options)
            source = fields.audio_url or await self._judge(form, name)
        except BaseException as error:
            self._recordings.remove(name)
            if is_full(error):
                raise _no_room() from error
            raise
        if fields.audio_url:
            self._recordings.remove(name)
        return fields, Submission(
            job_id=fields.job_id,
            user_id=fields.user_id,
            options=fields.options,
            audio=source,
            digest=fields.digest(),
        )

    def _accept(self, options: Options) -> None:
        try:
            self._engine.accept(options)
        except SpeechError as error:
            raise RequestError(422, error.code, error.message) from error

    async def _judge(self, form: Form, name: AudioName) -> Audio:
        try:
            extension = await asyncio.to_thread(audio.identify, self._recordings.path(name))
        except SpeechError as error:
            raise RequestError(422, error.code, error.message) from error
        await asyncio.to_thread(self._recordings.keep, name)
        return Audio(name=name, extension=extension, size_bytes=form.file_bytes)

    async def _read(self, request: Request, name: AudioName) -> Form:
        try:
            return await read_form(
                request.stream(),
                content_type=request.headers.get("content-type", ""),
                destination=self._recordings.path(name),
                max_file_bytes=self._max_upload_bytes,
                require_room=self._require_room,
            )
        except ClientDisconnect as error:
            raise RequestError(400, "malformed", "the upload was cut off") from error

    def _require_acceptable(self, request: Request) -> None:
        """Judges by the declared length, so that a body which cannot be taken is not read."""
        length = request.headers.get("content-length", "0")
        announced = int(length) if length.isascii() and length.isdigit() else 0
        if announced > self._max_upload_bytes + MAX_OVERHEAD_BYTES:
            raise too_large(self._max_upload_bytes)
        self._require_room(announced)

    def _require_room(self, size_bytes: int) -> None:
        """Again as a recording is written: its length may not have been announced, and others are written beside it."""
        if self._recordings.free_bytes() < MIN_FREE_BYTES + size_bytes:
            raise _no_room()


def _no_room() -> RequestError:
    return RequestError(
        503, "disk_full", "there is no room for the recording: try again later", {"Retry-After": "60"}
    )
