"""Every refusal as one document: application/problem+json, RFC 9457."""

import http
import json
from collections.abc import Awaitable, Callable, Mapping

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route

from transcriber import log
from transcriber.errors import RequestError
from transcriber.metrics import Metrics

_CODES = {404: "not_found", 405: "method_not_allowed"}


def problem(
    status: int, code: str, detail: str, headers: Mapping[str, str] | None = None, **extensions: object
) -> Response:
    document = {
        "type": "about:blank",
        "title": http.HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        **extensions,
    }
    return Response(
        json.dumps(document, ensure_ascii=False).encode("utf-8", "replace"),
        status_code=status,
        headers=dict(headers or {}),
        media_type="application/problem+json",
    )


def on_request_error(metrics: Metrics) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def answer(_: Request, error: Exception) -> Response:
        if not isinstance(error, RequestError):
            raise error
        metrics.refused(error.code)
        return problem(error.status, error.code, error.detail, error.headers)

    return answer


async def on_http_exception(request: Request, error: Exception) -> Response:
    """What the router refuses."""
    if not isinstance(error, HTTPException):
        raise error
    status = error.status_code
    detail = {
        404: f"there is nothing at {request.url.path[:200]}",
        405: f"{request.method} is not possible at {request.url.path[:200]}",
    }.get(status, error.detail)
    headers = {"Allow": _allowed(request)} if status == 405 else error.headers
    return problem(status, _CODES.get(status, "refused"), detail, headers)


def store_unavailable(error: Exception) -> RequestError:
    """For when database or recordings cannot be used now: their disk is full, or gone. The cause is in the log."""
    log.error("store.failed", error)
    detail = "the store does not answer: try again later"
    return RequestError(503, "store_unavailable", detail, {"Retry-After": "30"})


def on_store_error(metrics: Metrics) -> Callable[[Request, Exception], Awaitable[Response]]:
    refuse = on_request_error(metrics)

    async def answer(request: Request, error: Exception) -> Response:
        return await refuse(request, store_unavailable(error))

    return answer


async def on_crash(_: Request, __: Exception) -> Response:
    """The cause is in the log."""
    return problem(500, "internal", "the service failed unexpectedly")


def _allowed(request: Request) -> str:
    """The methods of every route at this path: the router itself names those of the first only."""
    here = [
        route
        for route in request.app.routes
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE
    ]
    return ", ".join(sorted({method for route in here for method in route.methods or ()}))
