"""The routes under /v1: jobs in, jobs out."""

import hashlib
import json
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from transcriber import results
from transcriber.api.access import Access
from transcriber.api.answers import job_path, json_answer, readable
from transcriber.api.asked import body, limit, position
from transcriber.api.receiving import Receiving
from transcriber.errors import RequestError
from transcriber.intake.submission import Fields, is_job_id, job_id_of, new_job_id
from transcriber.model import OVER, STATUSES, JobId, Status, attempts_data, transcript_data
from transcriber.store.jobs import Jobs, Snapshot

POLL_SECONDS = 1
RETRY_FIELDS = ("job_id",)


class Api:
    """`stop` ends the run of a job that is over."""

    def __init__(
        self,
        *,
        jobs: Jobs,
        receiving: Receiving,
        stop: Callable[[JobId], None],
        access: Access,
    ) -> None:
        self._jobs = jobs
        self._receiving = receiving
        self._stop = stop
        self._access = access

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
        self._access.check(request)
        fields, snapshot = await self._receiving.take(request, Fields)
        return _accepted(fields.job_id, snapshot.data)

    async def get(self, request: Request) -> Response:
        self._access.check(request)
        job_id = _job_id(request)
        snapshot = _known(await self._jobs.find(job_id), job_id)
        headers = {"ETag": _etag(snapshot), "Cache-Control": "private, no-cache"}
        if snapshot.status not in OVER:
            headers["Retry-After"] = str(POLL_SECONDS)
        if _matches(request.headers.get("if-none-match", ""), headers["ETag"]):
            return Response(status_code=304, headers=headers)
        return json_answer(snapshot.data, headers=headers)

    async def attempts(self, request: Request) -> Response:
        self._access.check(request)
        job_id = _job_id(request)
        attempts = await self._jobs.attempts(job_id)
        if attempts is None:
            raise _unknown(job_id)
        return json_answer(attempts_data(attempts))

    async def transcript(self, request: Request) -> Response:
        self._access.check(request)
        job_id, form = _job_id(request), _format(request.query_params.get("format", "json"))
        found = await self._jobs.heard(job_id)
        if found is None:
            raise _unknown(job_id)
        snapshot, heard = found
        if heard is None:
            status = 410 if snapshot.status == "deleted" else 409
            raise RequestError(
                status, "no_transcript", f"job {job_id} is {snapshot.status}: it has no transcript"
            )
        return json_answer(transcript_data(heard)) if form == "json" else readable(heard, form)

    async def cancel(self, request: Request) -> Response:
        self._access.check(request)
        job_id = _job_id(request)
        answer = await self._jobs.cancel(job_id)
        if answer is None:
            raise _unknown(job_id)
        snapshot, ended_now = answer
        self._stop(job_id)
        return json_answer(snapshot.data, status=202 if ended_now else 200)

    async def retry(self, request: Request) -> Response:
        self._access.check(request)
        job_id = _job_id(request)
        asked_for = (await body(request, RETRY_FIELDS)).get("job_id")
        new_id = new_job_id() if asked_for is None else job_id_of(asked_for)
        snapshot = _known(await self._jobs.retry(job_id, new_id), job_id)
        # only here: the job itself, in GET and in events, has no such field
        return _accepted(
            new_id, json.dumps({**json.loads(snapshot.data), "retryOf": job_id}, ensure_ascii=False)
        )

    async def delete(self, request: Request) -> Response:
        self._access.check(request)
        job_id = _job_id(request)
        snapshot = _known(await self._jobs.delete(job_id), job_id)
        self._stop(job_id)
        return json_answer(snapshot.data)

    async def page(self, request: Request) -> Response:
        self._access.check_list(request)
        query = request.query_params
        found = await self._jobs.page(
            user_id=query.get("user_id"),
            status=_status(query.get("status")),
            before=position(query.get("cursor")),
            limit=limit(query.get("limit")),
        )
        cursor = "null" if found.next_before is None else f'"{found.next_before}"'
        return json_answer(f'{{"items":[{",".join(found.items)}],"next_cursor":{cursor}}}')


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


def _accepted(job_id: JobId, data: str) -> Response:
    return json_answer(
        data, status=202, headers={"Location": job_path(job_id), "Retry-After": str(POLL_SECONDS)}
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


def _format(value: str) -> results.Format:
    for form in results.FORMATS:
        if value == form:
            return form
    raise RequestError(400, "bad_format", "format must be json, text, srt or vtt")
