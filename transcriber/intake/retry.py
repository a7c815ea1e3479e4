"""Reads what a retry may say: the id of the job that it makes."""

import json
from collections.abc import AsyncIterator

from starlette.requests import ClientDisconnect

from transcriber.errors import RequestError
from transcriber.intake.submission import job_id_of
from transcriber.intake.upload import timely
from transcriber.model import JobId

MAX_BYTES = 4_096


async def read_retry(body: AsyncIterator[bytes]) -> JobId | None:
    """The `job_id` of the JSON object that `body` is, if it is anything; None without one. Raises RequestError."""
    content = await _read(body)
    if not content:
        return None
    try:
        fields = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _malformed() from error
    if not isinstance(fields, dict):
        raise _malformed()
    for name in fields.keys() - {"job_id"}:
        raise RequestError(
            422, "unknown_field", f"the field {name[:100]!r} is unknown: a retry has job_id only"
        )
    value = fields.get("job_id")
    return None if value is None else job_id_of(value)


async def _read(body: AsyncIterator[bytes]) -> bytes:
    content = b""
    try:
        async for chunk in timely(body):
            content += chunk
            if len(content) > MAX_BYTES:
                raise RequestError(400, "malformed", f"the body is longer than {MAX_BYTES} bytes")
    except ClientDisconnect as error:
        raise RequestError(400, "malformed", "the body was cut off") from error
    return content


def _malformed() -> RequestError:
    return RequestError(
        400, "malformed", 'the body is no JSON object: send {"job_id": "…"}, or no body at all'
    )
