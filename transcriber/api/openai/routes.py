"""OpenAI's transcription route on the same queue: a job whose end the caller waits for."""

import sqlite3
from collections.abc import Callable
from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from transcriber import log
from transcriber.api.access import Access
from transcriber.api.answers import job_path
from transcriber.api.openai import refusals
from transcriber.api.openai.call import Call
from transcriber.api.openai.shapes import answer
from transcriber.api.problems import store_unavailable
from transcriber.api.receiving import Receiving
from transcriber.api.waiting import Waiting
from transcriber.errors import RequestError
from transcriber.metrics import Metrics
from transcriber.model import JobId
from transcriber.store.jobs import Jobs

# The second is where Groq's SDK looks below its base_url.
PATHS = ("/v1/audio/transcriptions", "/openai/v1/audio/transcriptions")
CALLER_GONE = 499  # nobody reads it; the access log does


class OpenAi:
    """`stop` ends the run of a job that is over."""

    def __init__(
        self,
        *,
        jobs: Jobs,
        receiving: Receiving,
        waiting: Waiting,
        stop: Callable[[JobId], None],
        access: Access,
        metrics: Metrics,
    ) -> None:
        self._jobs = jobs
        self._receiving = receiving
        self._waiting = waiting
        self._stop = stop
        self._access = access
        self._metrics = metrics

    def routes(self) -> list[Route]:
        return [Route(path, self.transcribe, methods=["POST"]) for path in PATHS]

    async def transcribe(self, request: Request) -> Response:
        try:
            return await self._transcribe(request)
        except RequestError as error:
            return self._refuse(error)
        except (sqlite3.Error, OSError) as error:
            return self._refuse(store_unavailable(error))

    def _refuse(self, error: RequestError) -> Response:
        self._metrics.refused(error.code)
        return refusals.problem(error)

    async def _transcribe(self, request: Request) -> Response:
        self._access.check(request)
        key = request.headers.get("idempotency-key")
        call, _ = await self._receiving.take(request, partial(Call, idempotency_key=key))
        outcome = await self._waiting.end_of(call.job_id, request)
        if outcome == "caller_gone":
            await self._abandon(call)
            return Response(status_code=CALLER_GONE)
        if isinstance(outcome, str):
            raise refusals.interrupted(call, outcome)
        heard = await self._jobs.transcript(call.job_id)
        if heard is None:
            raise refusals.unsuccessful(call, outcome)
        response = answer(heard, call)
        response.headers["Location"] = job_path(call.job_id)
        return response

    async def _abandon(self, call: Call) -> None:
        """A job that its caller cannot come back to has nobody to work for."""
        log.info("job.caller_gone", job_id=call.job_id, kept=call.repeatable)
        if not call.repeatable:
            await self._jobs.cancel(call.job_id)
            self._stop(call.job_id)
