"""HTTP/1.1 on one connection: uvicorn over httptools, with the bounds on size and time that neither of them has.

Whatever is refused here never reaches the application. Its answer is a problem, it waits for the answers to the
requests before it, and the connection ends with it.
"""

import asyncio
from typing import Any, NoReturn

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from gateway.crowd import Crowd
from gateway.exit import Backpressure, Exit
from gateway.framing import MALFORMED, NOWHERE, Refused, check_framing
from gateway.limits import Limits
from gateway.problem import problem
from gateway.refusals import Refusals
from gateway.turns import SENDER, Sender


class Protocol(HttpToolsProtocol):
    def __init__(self, *args: Any, limits: Limits, crowd: Crowd, refusals: Refusals, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._limits = limits
        self.app_state = {**self.app_state, SENDER: Sender()}
        self._crowd = crowd
        self._refusals = refusals
        self._refusing = False
        self._in_head = False
        self._in_body = False
        self._offered: list[tuple[bytes, bytes]] | None = None
        """The headers of a request that offers to speak another protocol, until it is read without that."""
        self._unused_bytes = 0
        """Received since the last complete head or piece of a body: what the parser may have had to keep."""
        self._deadline: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self._exits: list[asyncio.TimerHandle] = []

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        self._socket = transport
        self.flow = Backpressure(transport, self.pipeline)
        self._exit = Exit(transport, loop=self.loop, leave=self.leave)
        self.transport = self._exit  # type: ignore[assignment]
        self.timeout_keep_alive_task = self.loop.call_later(
            self._limits.head_seconds, self.timeout_keep_alive_handler
        )
        self._crowd.enter(self)

    def data_received(self, data: bytes) -> None:
        if self._refusing or self._exit.is_shut:
            return
        self._unset_keepalive_if_required()
        self._unused_bytes += len(data)
        try:
            self._feed(data)
            if self._unused_bytes > self._limits.head_bytes:
                self._refuse_head()
        except httptools.HttpParserError as error:
            self._refuse(error.__context__ if isinstance(error.__context__, Refused) else MALFORMED)
        except Refused as refused:
            self._refuse(refused)
        else:
            if self._in_head or self._in_body or self._unused_bytes:
                self._wait_for_more(len(data))

    def eof_received(self) -> bool:  # type: ignore[override]  # uvicorn's closes at once
        """Whether the connection stays open: whoever has sent all that it wants may end its side, and is still answered."""
        if self._in_head or self._in_body or self._refusing or self._nothing_is_due():
            return False
        self.cycle.keep_alive = False  # no request can follow
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._crowd.leave(self)
        self._exit.lead_nowhere()
        self._unset_keepalive_if_required()
        self._unset_deadline()
        for timer in [*self._exits, *([self._stalled] if self._stalled else [])]:
            timer.cancel()
        super().connection_lost(exc)
        # Nothing refers to itself from here on, so that all of it is gone with the last request at work, and no flood leaves
        # the collector anything to do.
        self.pipeline.clear()
        self.cycle = None  # type: ignore[assignment]  # as uvicorn has it at first

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stalled = self.loop.call_later(self._limits.stall_seconds, self._socket.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stalled:
            self._stalled.cancel()
            self._stalled = None

    def leave(self) -> None:
        """Ends the connection for a peer that has read its last answer, one that still sends, and one that reads nothing."""
        if self._exit.is_shut:
            return
        self._exit.is_shut = True
        self._exit.flush()
        self._unset_deadline()
        self._exits.append(self.loop.call_later(self._limits.stall_seconds, self._socket.abort))
        if (self._in_body or self._refusing) and not self._socket.is_closing():
            self._socket.write_eof()
            self.flow.resume_reading()
            self._exits.append(self.loop.call_later(self._limits.linger_seconds, self._socket.close))
        else:
            self._socket.close()

    def has_asked(self) -> bool:
        return self.cycle is not None

    def patience_ends(self) -> float | None:
        timers = [self.timeout_keep_alive_task, self._deadline, self._stalled, *self._exits]
        return min((timer.when() for timer in timers if timer is not None), default=None)

    def drop(self) -> None:
        self._socket.abort()

    # What the parser says

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True

    def on_headers_complete(self) -> None:
        if self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT":
            self._offered = self.headers
            return
        if self._offered is not None:
            self.headers[:], self._offered = self._offered, None
        self._check_head()
        super().on_headers_complete()
        self.headers = NOWHERE  # what comes now are trailers, which nobody has asked for
        self._in_head, self._in_body = False, True
        self._progress()
        self._unset_deadline()

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        self._progress()

    def on_message_complete(self) -> None:
        if self._offered is not None:
            return
        super().on_message_complete()
        self._crowd.release(self)
        self._in_body = False
        self._progress()
        self._unset_deadline()

    def _feed(self, data: bytes) -> None:
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = self._without_offer() + data[upgrade.args[0] :]
            else:
                return

    def _without_offer(self) -> bytes:
        """The head again, less its offer to speak another protocol: with it the parser leaves the body unread.

        Some clients make the offer with every request. Nobody has to take it up.
        """
        start = b"%b %b HTTP/1.1\r\n" % (self.parser.get_method(), self.url)
        lines = [b"%b: %b\r\n" % line for line in self._offered or () if line[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return b"".join([start, *lines, b"\r\n"])

    def _wait_for_more(self, received_bytes: int) -> None:
        if self._deadline is None:
            self._set_deadline()
        self._crowd.hold(self, received_bytes)

    def _progress(self) -> None:
        self._unused_bytes = 0

    def _check_head(self) -> None:
        if len(self.url) > self._limits.url_bytes:
            raise Refused(414, f"The URL is longer than {self._limits.url_bytes} bytes.")
        if len(self.headers) > self._limits.headers:
            raise Refused(431, f"There are more than {self._limits.headers} headers.")
        if self._unused_bytes > self._limits.head_bytes:
            head_bytes = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            if head_bytes > self._limits.head_bytes:
                self._refuse_head()
        check_framing(self.headers, self.parser.get_http_version())

    def _refuse_head(self) -> NoReturn:
        raise Refused(431, f"Request line and headers are longer than {self._limits.head_bytes} bytes.")

    # What is refused, and when

    def _refuse(self, refused: Refused) -> None:
        """Queues the answer behind those that are due before it, and reads nothing more."""
        self._refusals.note(refused, client=self.client)
        self._refusing = True
        self._unset_deadline()
        broken = self.cycle if self._in_body else None
        if broken is not None and broken.response_complete:
            self.leave()
        elif broken is not None and broken.response_started:
            self._socket.abort()
        elif broken is not None and not (self.pipeline and self.pipeline[0][0] is broken):
            broken.disconnected = True  # the application is told that there is no more to come
            broken.message_event.set()
            self._answer(refused, at_once=True)
        else:
            if broken is not None:
                self.pipeline.popleft()
            self._answer(refused, at_once=self._nothing_is_due())

    def _answer(self, refused: Refused, *, at_once: bool) -> None:
        answer: Any = problem(refused.status, refused.detail, headers={"connection": "close"})
        self.cycle = RequestResponseCycle(
            scope={"type": "http", "method": "POST"},  # type: ignore[typeddict-item]  # no more of it is looked at
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=False,
            on_response=self.on_response_complete,
        )
        if at_once:
            self._start_asgi_task(self.cycle, answer)
        else:
            self.pipeline.appendleft((self.cycle, answer))

    def _nothing_is_due(self) -> bool:
        return self.cycle is None or self.cycle.response_complete  # type: ignore[redundant-expr]  # None at first

    def _set_deadline(self) -> None:
        seconds = self._limits.body_seconds if self._in_body else self._limits.head_seconds
        self._deadline = self.loop.call_later(seconds, self._on_deadline, seconds)

    def _unset_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _on_deadline(self, seconds: float) -> None:
        if self.flow.read_paused:  # it is not the sender who is slow
            self._set_deadline()
        else:
            part = "body" if self._in_body else "head"
            self._refuse(Refused(408, f"The request's {part} did not arrive within {seconds:g} s."))
