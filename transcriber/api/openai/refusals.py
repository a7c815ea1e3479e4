"""Why there is no transcript, so that OpenAI's and Groq's SDKs raise their own errors and repeat only what may help."""

import json
from typing import Literal

from starlette.responses import Response

from transcriber.api import problems
from transcriber.api.answers import job_path
from transcriber.api.openai.call import Call
from transcriber.errors import RequestError
from transcriber.store.jobs import Snapshot

RETRY_SECONDS = 30
# Of a failed job, by its error's code. All others are faults of what was sent: 422.
_STATUSES = {
    "engine_not_ready": 503,
    "engine_timeout": 503,
    "engine_unavailable": 503,
    "engine_unreachable": 503,
    "engine_unreadable": 502,
    "engine_refused": 502,
    "engine_unauthorized": 502,
    "gave_up": 500,
    "internal": 500,
}
# The SDKs repeat every 408, 409, 429 and 5xx twice unless this header says otherwise.
_FINAL = {"x-should-retry": "false"}


def problem(error: RequestError) -> Response:
    """The problem document of every route, and in its member `error` OpenAI's form of it."""
    headers = {**_FINAL, **error.headers} if error.status == 409 else error.headers
    in_their_words = {
        "message": error.detail,
        "type": _type(error.status),
        "param": None,
        "code": error.code,
    }
    return problems.problem(error.status, error.code, error.detail, headers, error=in_their_words)


def unsuccessful(call: Call, snapshot: Snapshot) -> RequestError:
    """For a job that is over without a transcript."""
    if snapshot.status != "failed":
        return _ended(call, "cancelled" if snapshot.status == "cancelled" else "deleted")
    failure = json.loads(snapshot.data)["error"]
    status = _STATUSES.get(failure["code"], 422)
    headers = {"Location": job_path(call.job_id)}
    if status == 503 and not call.repeatable:
        headers["Retry-After"] = str(RETRY_SECONDS)
    elif status >= 500:
        headers |= _FINAL  # the same call again is the same failed job, or fails the same way
    return RequestError(status, failure["code"], failure["message"], headers)


def interrupted(call: Call, reason: Literal["stopping", "unknown"]) -> RequestError:
    if reason == "unknown":
        return _ended(call, "deleted")
    retry = "send the same again" if call.repeatable else f"read it at {job_path(call.job_id)}"
    return RequestError(
        503,
        "stopping",
        f"the service is stopping, and job {call.job_id} goes on when it starts again: then {retry}",
        {
            "Location": job_path(call.job_id),
            "Retry-After": "5",
            **({} if call.repeatable else _FINAL),  # as a new job would do the same work twice
        },
    )


def _ended(call: Call, status: Literal["cancelled", "deleted"]) -> RequestError:
    return RequestError(409, f"job_{status}", f"job {call.job_id} was {status} meanwhile")


def _type(status: int) -> str:
    if status == 429:
        return "rate_limit_error"
    return "server_error" if status >= 500 else "invalid_request_error"
