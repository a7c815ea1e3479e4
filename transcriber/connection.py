"""HTTP/1.1 on one connection: uvicorn over h11, with the bound on time that it does not have."""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from transcriber.api.problems import problem

HEAD_SECONDS = 30.0


class Protocol(H11Protocol):
    """Ends a connection whose next request has no complete head in time: silent ones would use up what may be open.

    How long a body may take is the application's to say, and an answer takes as long as it takes.
    """

    def __init__(self, *args: Any, head_seconds: float = HEAD_SECONDS, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_seconds = head_seconds
        self._head_due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        self._expect_head()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._forget_head()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's words for it
        """What is no sound HTTP is refused as all else is: with a problem, where uvicorn's own answer is bare text."""
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):  # it has its answer
            self.transport.close()
            return
        refusal = problem(400, "refused", "the request is no sound HTTP/1.1", {"Connection": "close"})
        answer = (
            h11.Response(status_code=400, headers=refusal.raw_headers, reason=b"Bad Request"),
            h11.Data(data=bytes(refusal.body)),
            h11.EndOfMessage(),
        )
        for event in answer:
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _expect_head(self) -> None:
        self._forget_head()
        self._head_due = self.loop.call_later(self._head_seconds, self._give_up)

    def _forget_head(self) -> None:
        if self._head_due is not None:
            self._head_due.cancel()

    def _give_up(self) -> None:
        if self.conn.their_state is h11.IDLE:
            self.timeout_keep_alive_handler()
