"""What is answered at a port: the webhooks' own application, and the routes beside it."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.ingest import PATH
from gateway.log import emit
from gateway.problem import NOTHING_HERE, problem
from gateway.refusals import Strays
from gateway.turns import Turns, sender_of
from gateway.turnstile import Turnstile

Lifespan = Callable[[Starlette], contextlib.AbstractAsyncContextManager[None]]
READING = ("GET", "HEAD")
"""Methods of those who only look: scanners try any path."""


def site(
    routes: Iterable[BaseRoute], *, strays: Strays | None = None, lifespan: Lifespan | None = None
) -> Starlette:
    """Routes whose every refusal is a problem. `strays` is told of what is sent to a path that is none."""

    async def http_problem(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - registered for nothing else
        if strays is not None and error.status_code == 404 and request.method not in READING:
            strays.note_path(request.scope)
        return _http_problem(error)

    application = Starlette(
        routes=list(routes),
        exception_handlers={HTTPException: http_problem, Exception: _unexpected},
        lifespan=lifespan,
    )
    application.router.redirect_slashes = (
        False  # a redirect would be built from whatever Host the sender names
    )
    return application


def front(webhooks: ASGIApp, others: Starlette, *, turnstile: Turnstile, turns: Turns) -> ASGIApp:
    """Webhooks go straight to their application: the way through Starlette's routing costs more than their verification.

    What is no webhook, or comes from nobody known, begins in its turn, so that no burst of it keeps webhooks waiting; and
    of what is none only so much is answered that webhooks are. Whether the process lives is answered at once: whoever is
    kept waiting for that restarts the gateway.
    """

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await others(scope, receive, send)
            return
        is_webhook = scope["path"].startswith(PATH)
        try:
            if not (is_webhook and sender_of(scope).is_known):
                await turns.wait()
            if not is_webhook and scope["path"] != "/healthz":
                await turnstile.wait()
            await (webhooks if is_webhook else others)(scope, receive, send)
        except Exception as error:
            if is_webhook:  # Starlette has answered for the others
                with contextlib.suppress(RuntimeError):  # its answer has begun
                    await _failed(scope["path"], error)(scope, receive, send)
            raise  # the server logs where it was

    return answer


def until_stopped(app: ASGIApp) -> ASGIApp:
    """`app`; whose request is still at work when the grace time of a stop is over is told to come again."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await app(scope, receive, send)
        except asyncio.CancelledError:
            if scope["type"] != "http":
                raise
            with contextlib.suppress(RuntimeError):  # its answer has begun
                await _stopping()(scope, receive, send)

    return answer


def _stopping() -> Response:
    headers = {"retry-after": "5", "connection": "close"}
    return problem(503, "The gateway is stopping; send it again.", headers=headers)


def _http_problem(error: HTTPException) -> Response:
    details = {404: NOTHING_HERE, 405: "This path does not take this method."}
    return problem(
        error.status_code, details.get(error.status_code, error.detail), headers=dict(error.headers or {})
    )


async def _unexpected(request: Request, error: Exception) -> Response:
    return _failed(request.url.path, error)


def _failed(path: str, error: Exception) -> Response:
    emit("request.failed", level=logging.ERROR, path=path, error=repr(error))
    return problem(500, "The gateway failed to handle this request; its log says why.")
