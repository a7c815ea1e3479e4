"""The one shape of a refusal: RFC 9457 problem details."""

from http import HTTPStatus

from starlette.responses import JSONResponse

NOTHING_HERE = "There is nothing at this path."


class Problem(JSONResponse):
    media_type = "application/problem+json"


def problem(status: int, detail: str, *, headers: dict[str, str] | None = None) -> Problem:
    """`detail` is a sentence for whoever sent the request: what was wrong and what to do; never a secret."""
    content = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return Problem(content, status_code=status, headers=headers)
