"""One log line a request, whatever became of it, and an answer where the server stops and waits for none any longer."""

import asyncio
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from transcriber import log
from transcriber.api.problems import problem


class AccessLog:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.monotonic(), 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except asyncio.CancelledError:
            # the server alone cancels a request, and would answer 500 and log a crash if this went on
            if not status:
                await _stopping(scope, receive, watched)
        finally:
            log.info(
                "http.answered",
                method=scope["method"],
                path=scope["path"][:200],
                status=status or None,
                duration_ms=round((time.monotonic() - began) * 1000, 1),
            )


_stopping = problem(
    503, "stopping", "the service is stopping: send the same again once it runs", {"Retry-After": "5"}
)
