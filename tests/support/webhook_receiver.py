"""A server that takes webhooks, verifies each with the official library, and keeps them in order of arrival."""

import asyncio
import json
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from standardwebhooks import Webhook
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.support.live_server import live_server

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwAbCdEfGhIjK="


@dataclass(frozen=True)
class Received:
    """`status` is what was answered; `at` is a monotonic time."""

    webhook_id: str
    timestamp: str
    signature: str
    body: str
    status: int
    at: float
    traceparent: str

    @property
    def event(self) -> dict[str, Any]:
        event: dict[str, Any] = json.loads(self.body)
        return event

    @property
    def data(self) -> dict[str, Any]:
        data: dict[str, Any] = self.event["data"]
        return data

    @property
    def type(self) -> str:
        return str(self.event["type"])


class WebhookReceiver:
    """Answers with `answers` in their order, a status and headers each, then 200 for ever.

    What does not verify is answered 401 and kept in `forged`. While it is `holding`, it answers nothing.
    """

    def __init__(self, secret: str = SECRET) -> None:
        self.url = ""
        self._verifier = Webhook(secret)
        self.app = Starlette(routes=[Route("/hook", self._take, methods=["POST"])])
        self.reset()

    def reset(self) -> None:
        """As if new: for servers that serve many tests."""
        self.answers: deque[tuple[int, dict[str, str]]] = deque()
        self.refused_jobs: set[str] = set()
        self.received: list[Received] = []
        self.forged: list[str] = []
        self.holding = False
        self.arrived = 0

    def taken(self, job_id: str | None = None) -> list[Received]:
        """What was answered with success."""
        return [
            webhook
            for webhook in self.received
            if 200 <= webhook.status < 300 and job_id in {None, webhook.data["jobId"]}
        ]

    def types(self, job_id: str | None = None) -> list[str]:
        """Of what was taken, without the common beginning."""
        return [webhook.type.removeprefix("transcription.job.") for webhook in self.taken(job_id)]

    async def _take(self, request: Request) -> Response:
        body = await request.body()
        self.arrived += 1
        while self.holding and not await request.is_disconnected():
            await asyncio.sleep(0.005)
        try:
            event = self._verifier.verify(body, dict(request.headers))
        except Exception as error:  # noqa: BLE001 (the library raises many things; a test asks for none)
            self.forged.append(repr(error))
            return Response(status_code=401)
        status, headers = self.answers.popleft() if self.answers else (200, {})
        if event["data"]["jobId"] in self.refused_jobs:
            status = 500
        self.received.append(
            Received(
                webhook_id=request.headers["webhook-id"],
                timestamp=request.headers["webhook-timestamp"],
                signature=request.headers["webhook-signature"],
                body=body.decode(),
                status=status,
                at=time.monotonic(),
                traceparent=request.headers["traceparent"],
            )
        )
        return Response(status_code=status, headers=headers)


@contextmanager
def webhook_receiver(secret: str = SECRET) -> Iterator[WebhookReceiver]:
    receiver = WebhookReceiver(secret)
    with live_server(receiver.app) as url:
        receiver.url = f"{url}/hook"
        yield receiver
