"""One log line a request, whatever became of it."""

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from transcriber import log


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
        finally:
            log.info(
                "http.answered",
                method=scope["method"],
                path=scope["path"][:200],
                status=status or None,
                duration_ms=round((time.monotonic() - began) * 1000, 1),
            )
