"""Everything around the transcriber that fails at random, until it is told to be fair."""

import asyncio
import random
from collections.abc import Sequence

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from tests.support.audio_host import SOUND, AudioHost, Reply
from tests.support.groq_server import Answer, GroqServer, error
from tests.support.webhook_receiver import WebhookReceiver


class StormyGroq(GroqServer):
    """Mostly right; slow, broken, limited or out of order as the dice say, until it is `fair`."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        self._chance = chance
        self.fair = False

    async def _transcribe(self, request: Request) -> Response:
        if not self.fair:
            self.answers.append(self._any())
            await asyncio.sleep(self._chance.choice((0, 0, 0.05, 0.3)))
        try:
            return await super()._transcribe(request)
        except ClientDisconnect:
            return Response()  # killed while it sent

    def _any(self) -> Answer:
        roll = self._chance.random()
        if roll < 0.05:
            return error(500)
        if roll < 0.08:
            return Answer(body="<html>", media_type="text/html")
        if roll < 0.1:
            return Answer(body='{"text": ')
        if roll < 0.12:
            return error(429, retry_after="1")
        if roll < 0.16:
            return error(400)
        return Answer()


class StormyReceiver(WebhookReceiver):
    """Answers with one of `statuses`, late or at once, as the dice say, until it is `fair`."""

    def __init__(self, chance: random.Random, statuses: Sequence[int]) -> None:
        super().__init__()
        self._chance = chance
        self._statuses = statuses
        self.fair = False

    async def _take(self, request: Request) -> Response:
        if not self.fair:
            self.answers.append((self._chance.choice(self._statuses), {}))
            await asyncio.sleep(self._chance.choice((0, 0, 0, 0.2)))
        try:
            return await super()._take(request)
        except ClientDisconnect:
            return Response()  # killed while it sent


class StormyHost(AudioHost):
    """Mostly gives its recording, slowly or at once; refuses, or gives something else as the dice say, until it is `fair`."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        self._chance = chance
        self.fair = False

    async def _serve(self, request: Request) -> Response:
        if not self.fair:
            self.replies.append(self._any())
            await asyncio.sleep(self._chance.choice((0, 0, 0.05, 0.3)))
        return await super()._serve(request)

    def _any(self) -> Reply:
        roll = self._chance.random()
        if roll < 0.1:
            return Reply(503)
        if roll < 0.13:
            return Reply(404)
        if roll < 0.16:
            return Reply(body=SOUND[: len(SOUND) // 2])
        return Reply()
