"""What is told to requests that a stop cuts short."""

import asyncio
import json
import logging

import pytest
from starlette.types import Message, Receive, Scope, Send

from transcriber.api.access_log import AccessLog


async def cut_short(*, after: list[Message]) -> list[Message]:
    """All that is sent of an answer whose application has sent `after`, and then goes on until it is cancelled."""
    sent: list[Message] = []
    reached = asyncio.Event()

    async def application(_scope: Scope, _receive: Receive, send: Send) -> None:
        for message in after:
            await send(message)
        reached.set()
        await asyncio.Event().wait()

    async def receive() -> Message:
        raise AssertionError("nothing more is read")

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v1/jobs"}
    request = asyncio.create_task(AccessLog(application)(scope, receive, send))
    await reached.wait()
    request.cancel()
    await request
    return sent


def test_a_request_that_a_stop_cuts_short_is_told_to_come_again(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "transcriber")
    start, body = asyncio.run(cut_short(after=[]))
    assert start["status"] == 503
    assert (b"retry-after", b"5") in start["headers"]
    assert json.loads(body["body"])["code"] == "stopping"
    (line,) = [record for record in caplog.records if record.message == "http.answered"]
    assert line.fields["status"] == 503


def test_an_answer_that_has_begun_gets_no_second_one() -> None:
    begun: Message = {"type": "http.response.start", "status": 200, "headers": []}
    assert asyncio.run(cut_short(after=[begun])) == [begun]
