"""Who may ask, and how a request ends that is not granted."""

import asyncio
import hashlib
import hmac
from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Scope

from gateway.errors import StoreUnavailable
from gateway.metrics import TokenFault
from gateway.problem import problem

ANSWER_SECONDS = 20.0
"""Longer than a body may take. A change that is not on disk by then may be made all the same."""

Handler = Callable[[Request], Awaitable[Response]]


class Refusal(Exception):
    """The request is not granted. The message is a sentence for whoever sent it."""

    def __init__(self, status: int, detail: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})


class Guard:
    def __init__(self, token: str | None, *, note: Callable[[Scope, TokenFault], None]) -> None:
        """`note` is told of every request with no token, or the wrong one."""
        self._note = note
        self.take_token(token)

    def take_token(self, token: str | None) -> None:
        self._token = None if token is None else _digest(token)

    def route(self, path: str, **handlers: Handler) -> Route:
        """Every method of a path with its handler, which is reached with the token only."""

        async def endpoint(request: Request) -> Response:
            return await self._answer(request, handlers[request.method])

        route = Route(path, endpoint, methods=list(handlers))
        route.methods = set(handlers)  # without the HEAD that comes with every GET
        return route

    async def _answer(self, request: Request, handler: Handler) -> Response:
        try:
            self._demand_token(request)
            async with asyncio.timeout(ANSWER_SECONDS):
                return await handler(request)
        except Refusal as refusal:
            return problem(refusal.status, refusal.detail, headers=refusal.headers)
        except (StoreUnavailable, TimeoutError) as error:
            reason = str(error) or "the store takes too long"
            return problem(503, f"{reason[0].upper()}{reason[1:]}.", headers={"retry-after": "5"})

    def _demand_token(self, request: Request) -> None:
        if self._token is None:
            raise Refusal(
                403,
                "The admin API is off: no admin token is set (server.admin_token or GATEWAY_ADMIN_TOKEN).",
            )
        given = request.headers.get("authorization", "")
        scheme, _, token = given.partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(_digest(token.strip()), self._token):
            self._note(request.scope, "wrong" if given else "missing")
            raise Refusal(401, "The admin token is missing or wrong.", headers={"www-authenticate": "Bearer"})


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
