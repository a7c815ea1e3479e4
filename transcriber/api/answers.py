"""Answers that more than one route gives."""

from collections.abc import Mapping

from starlette.responses import Response

from transcriber import results
from transcriber.model import JobId, Transcript


def job_path(job_id: JobId) -> str:
    return f"/v1/jobs/{job_id}"


def json_answer(data: str, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(data, status_code=status, headers=dict(headers or {}), media_type="application/json")


def readable(heard: Transcript, form: results.Readable) -> Response:
    """The transcript as people read it."""
    match form:
        case "text":
            return Response(heard.text, media_type="text/plain")
        case "srt":
            return Response(results.srt(heard), media_type="application/x-subrip; charset=utf-8")
        case "vtt":
            return Response(results.vtt(heard), media_type="text/vtt")
