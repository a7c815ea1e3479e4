"""The routes under /v1: jobs in, jobs out."""

import asyncio
import errno
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import get_args

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from transcriber import audio, log, results
from transcriber.errors import RequestError, SpeechError
from transcriber.intake.submission import Fields, is_job_id, new_job_id
from transcriber.intake.upload import MAX_OVERHEAD_BYTES, Form, read_form, too_large
from transcriber.model import (
    OVER,
    STATUSES,
    Audio,
    AudioName,
    JobId,
    Status,
    Submission,
    attempts_data,
    transcript_data,
)
from transcriber.speech import Engine
from transcriber.store.jobs import Jobs, Snapshot
from transcriber.store.recordings import Recordings

POLL_SECONDS = 1
MIN_FREE_BYTES = 500_000_000
MAX_LIMIT = 100
DEFAULT_LIMIT = 20
MAX_CURSOR_DIGITS = 18  # SQLite's integers have 64 bits


@dataclass(frozen=True, slots=True)
class Access:
    """`api_key` opens the list; with `require_key` everything here asks for it. Empty: no key opens anything."""

    api_key: str
    require_key: bool


class Api:
    """`stop` ends the run of a job that is over."""

    def __init__(
        self,
        *,
        jobs: Jobs,
        recordings: Recordings,
        engine: Engine,
        stop: Callable[[JobId], None],
        access: Access,
        max_upload_bytes: int,
    ) -> None:
        self._jobs = jobs
        self._recordings = recordings
        self._engine = engine
        self._stop = stop
        self._access = access
        self._max_upload_bytes = max_upload_bytes

    def routes(self) -> list[Route]:
        return [
            Route("/v1/jobs", self.create, methods=["POST"]),
            Route("/v1/jobs", self.page, methods=["GET"]),
            Route("/v1/jobs/{job_id}", self.get, methods=["GET"]),
            Route("/v1/jobs/{job_id}", self.delete, methods=["DELETE"]),
            Route("/v1/jobs/{job_id}/attempts", self.attempts, methods=["GET"]),
            Route("/v1/jobs/{job_id}/transcript", self.transcript, methods=["GET"]),
            Route("/v1/jobs/{job_id}/cancel", self.cancel, methods=["POST"]),
            Route("/v1/jobs/{job_id}/retry", self.retry, methods=["POST"]),
        ]

    async def create(self, request: Request) -> Response:
        self._authorize(request)
        self._require_room(request)
        submission = await self._receive(request)
        try:
            snapshot = await self._jobs.submit(submission)
        except RequestError:
            self._recordings.remove(submission.audio.name)
            raise
        log.info("job.accepted", job_id=submission.job_id, size_bytes=submission.audio.size_bytes)
        return _accepted(submission.job_id, snapshot.data)

    async def get(self, request: Request) -> Response:
        self._authorize(request)
        job_id = _job_id(request)
        snapshot = _known(await self._jobs.find(job_id), job_id)
        headers = {"ETag": _etag(snapshot), "Cache-Control": "private, no-cache"}
        if snapshot.status not in OVER:
            headers["Retry-After"] = str(POLL_SECONDS)
        if _matches(request.headers.get("if-none-match", ""), headers["ETag"]):
            return Response(status_code=304, headers=headers)
        return _json(snapshot.data, headers=headers)

    async def attempts(self, request: Request) -> Response:
        self._authorize(request)
        job_id = _job_id(request)
        attempts = await self._jobs.attempts(job_id)
        if attempts is None:
            raise _unknown(job_id)
        return _json(attempts_data(attempts))

    async def transcript(self, request: Request) -> Response:
        self._authorize(request)
        job_id, form = _job_id(request), request.query_params.get("format", "json")
        if form not in get_args(results.Format):
            raise RequestError(400, "bad_format", "format must be json, text, srt or vtt")
        snapshot = _known(await self._jobs.find(job_id), job_id)
        heard = await self._jobs.transcript(job_id)
        if heard is None:
            status = 410 if snapshot.status == "deleted" else 409
            raise RequestError(
                status, "no_transcript", f"job {job_id} is {snapshot.status}: it has no transcript"
            )
        match form:
            case "text":
                return Response(heard.text, media_type="text/plain")
            case "srt":
                return Response(results.srt(heard), media_type="application/x-subrip; charset=utf-8")
            case "vtt":
                return Response(results.vtt(heard), media_type="text/vtt")
            case _:
                return _json(transcript_data(heard))

    async def cancel(self, request: Request) -> Response:
        self._authorize(request)
        job_id = _job_id(request)
        answer = await self._jobs.cancel(job_id)
        if answer is None:
            raise _unknown(job_id)
        snapshot, ended_now = answer
        self._stop(job_id)
        return _json(snapshot.data, status=202 if ended_now else 200)

    async def retry(self, request: Request) -> Response:
        self._authorize(request)
        job_id, new_id = _job_id(request), new_job_id()
        snapshot = _known(await self._jobs.retry(job_id, new_id), job_id)
        # only here: the job itself, in GET and in events, has no such field
        return _accepted(
            new_id, json.dumps({**json.loads(snapshot.data), "retryOf": job_id}, ensure_ascii=False)
        )

    async def delete(self, request: Request) -> Response:
        self._authorize(request)
        job_id = _job_id(request)
        snapshot = _known(await self._jobs.delete(job_id), job_id)
        self._stop(job_id)
        return _json(snapshot.data)

    async def page(self, request: Request) -> Response:
        if not self._access.api_key:
            raise RequestError(403, "list_closed", "the list is closed: set TRANSCRIBER_API_KEY to open it")
        self._require_key(request)
        query = request.query_params
        found = await self._jobs.page(
            user_id=query.get("user_id"),
            status=_status(query.get("status")),
            before=_position(query.get("cursor")),
            limit=_limit(query.get("limit")),
        )
        cursor = "null" if found.next_before is None else f'"{found.next_before}"'
        return _json(f'{{"items":[{",".join(found.items)}],"next_cursor":{cursor}}}')

    async def _receive(self, request: Request) -> Submission:
        """The upload as a job to be, its recording on disk. Raises RequestError."""
        name = self._recordings.new_name()
        try:
            return await self._judge(*await self._read(request, name), name)
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

    async def _read(self, request: Request, name: AudioName) -> tuple[Fields, Form]:
        try:
            form = await read_form(
                request.stream(),
                content_type=request.headers.get("content-type", ""),
                destination=self._recordings.path(name),
                max_file_bytes=self._max_upload_bytes,
            )
        except ClientDisconnect as error:
            raise RequestError(400, "malformed", "the upload was cut off") from error
        return Fields(form), form

    def _require_room(self, request: Request) -> None:
        """Judges by the declared length, so that a body which cannot be taken is not read."""
        length = request.headers.get("content-length", "0")
        announced = int(length) if length.isascii() and length.isdigit() else 0
        if announced > self._max_upload_bytes + MAX_OVERHEAD_BYTES:
            raise too_large(self._max_upload_bytes)
        if self._recordings.free_bytes() < MIN_FREE_BYTES + announced:
            raise _no_room()

    def _authorize(self, request: Request) -> None:
        if self._access.require_key:
            self._require_key(request)

    def _require_key(self, request: Request) -> None:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        right = hmac.compare_digest(key.strip().encode(), self._access.api_key.encode())
        if scheme.lower() != "bearer" or not right:
            raise RequestError(
                401,
                "unauthorized",
                "send Authorization: Bearer and the API key",
                {"WWW-Authenticate": "Bearer"},
            )


def _job_id(request: Request) -> JobId:
    """Raises RequestError, 404, for what cannot be an id: there is no such job."""
    value: str = request.path_params["job_id"]
    if not is_job_id(value):
        raise _unknown(value[:128])
    return JobId(value)


def _known(snapshot: Snapshot | None, job_id: JobId) -> Snapshot:
    if snapshot is None:
        raise _unknown(job_id)
    return snapshot


def _unknown(job_id: str) -> RequestError:
    return RequestError(404, "unknown_job", f"there is no job {job_id!r}")


def _no_room() -> RequestError:
    return RequestError(
        503, "disk_full", "there is no room for the recording: try again later", {"Retry-After": "60"}
    )


def _json(data: str, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(data, status_code=status, headers=dict(headers or {}), media_type="application/json")


def _accepted(job_id: JobId, data: str) -> Response:
    return _json(
        data, status=202, headers={"Location": f"/v1/jobs/{job_id}", "Retry-After": str(POLL_SECONDS)}
    )


def _etag(snapshot: Snapshot) -> str:
    return f'"{hashlib.sha256(snapshot.data.encode()).hexdigest()[:32]}"'


def _matches(if_none_match: str, etag: str) -> bool:
    """By weak comparison, as RFC 9110 has it for If-None-Match."""
    candidates = {candidate.strip().removeprefix("W/") for candidate in if_none_match.split(",")}
    return etag in candidates or "*" in candidates


def _status(value: str | None) -> Status | None:
    for status in STATUSES:
        if value == status:
            return status
    if value is None:
        return None
    raise RequestError(400, "bad_query", f"status must be one of {', '.join(STATUSES)}")


def _limit(value: str | None) -> int:
    if value is None:
        return DEFAULT_LIMIT
    if not (value.isascii() and value.isdigit() and len(value) <= 3 and 1 <= int(value) <= MAX_LIMIT):
        raise RequestError(400, "bad_query", f"limit must be a whole number from 1 to {MAX_LIMIT}")
    return int(value)


def _position(cursor: str | None) -> int | None:
    if cursor is None:
        return None
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= MAX_CURSOR_DIGITS):
        raise RequestError(400, "bad_query", "cursor must be the next_cursor of an earlier page")
    return int(cursor)
