"""The commands against servers that answer by a script."""

import json
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.support.live_server import live_server
from tests.support.reconciling import Ended, run

KEYS = {"TRANSCRIBER_API_KEY": "key-of-the-api", "TRANSCRIPTION_WEBHOOK_KEY": "key-of-the-gateway"}
JOB = {"jobId": "a-job-of-a-script-0001", "status": "completed", "sequence": 4}
PAGE = {"items": [JOB], "next_cursor": None}
EMPTY = {"items": [], "next_cursor": None}
APPLIED = {"outcome": "applied"}


@dataclass(frozen=True)
class Answer:
    """`body` of str goes out as it is, as HTML."""

    body: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)

    def response(self) -> Response:
        text, kind = (
            (self.body, "text/html")
            if isinstance(self.body, str)
            else (json.dumps(self.body), "application/json")
        )
        return Response(text, self.status, self.headers, kind)


class Script:
    """Takes a path's answers in their order; the last one stays."""

    def __init__(self, **answers: list[Answer]) -> None:
        self.answers = {name: deque(given) for name, given in answers.items()}
        self.asked: list[tuple[str, float]] = []
        self.url = ""
        self.app = Starlette(
            routes=[
                Route("/v1/jobs", self._answer("list")),
                Route("/v1/jobs/{job_id}", self._answer("job")),
                Route("/webhooks/transcription-jobs", self._answer("webhook"), methods=["POST"]),
                Route("/api/query", self._answer("query"), methods=["POST"]),
            ]
        )

    def _answer(self, name: str) -> Any:
        async def answer(request: Request) -> Response:
            await request.body()
            self.asked.append((name, time.monotonic()))
            given = self.answers[name]
            return (given.popleft() if len(given) > 1 else given[0]).response()

        return answer

    def times(self, name: str) -> list[float]:
        return [at for asked, at in self.asked if asked == name]

    def backfill(self, *arguments: str) -> Ended:
        return run("backfill", "--api", self.url, "--site", self.url, *arguments, **KEYS)

    def compare(self, *arguments: str) -> Ended:
        return run("compare", "--api", self.url, "--convex", self.url, *arguments, **KEYS)


@contextmanager
def scripted(**answers: list[Answer]) -> Iterator[Script]:
    script = Script(**answers)
    with live_server(script.app) as script.url:
        yield script


@pytest.mark.parametrize(("retry_after", "least_seconds"), [("2", 2), ("date", 2)], ids=["seconds", "date"])
@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_asks_for_a_pause_gets_it(status: int, retry_after: str, least_seconds: float) -> None:
    header = formatdate(time.time() + 4, usegmt=True) if retry_after == "date" else retry_after
    busy = Answer({}, status, {"Retry-After": header})
    with scripted(list=[Answer(PAGE), Answer(EMPTY)], webhook=[busy, Answer(APPLIED)]) as script:
        ended = script.backfill()
        first, second = script.times("webhook")
    assert ended.code == 0
    assert ended.last.startswith("1 jobs: 1 applied")
    assert second - first >= least_seconds


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_an_answer_that_may_pass_is_asked_for_again(status: int) -> None:
    broken = Answer("<html>later</html>", status)
    with scripted(
        list=[broken, Answer(PAGE), broken, Answer(EMPTY)], webhook=[broken, Answer(APPLIED)]
    ) as script:
        ended = script.backfill()
    assert (ended.code, ended.err) == (0, "")
    assert ended.last == "1 jobs: 1 applied, 0 duplicate, 0 stale, 0 refused: done"


@pytest.mark.parametrize("command", ["backfill", "compare"])
def test_an_api_that_only_answers_500_ends_it_when_patience_ends(command: str) -> None:
    with scripted(list=[Answer("<html>Internal Server Error</html>", 500)]) as script:
        ended = getattr(script, command)("--patience", "1")
        tries = len(script.times("list"))
    assert ended.code == 1
    assert f"{script.url} answers 500: <html>Internal Server Error</html>" in ended.err
    assert tries > 1


@pytest.mark.parametrize(
    "answer",
    [
        Answer("<html>a page</html>"),
        Answer({"items": [{}], "next_cursor": None}),
        Answer({"items": [None], "next_cursor": None}),
        Answer({"items": []}),
        Answer([]),
        Answer(None),
        Answer("", 302, {"Location": "/v1/jobs/elsewhere"}),
    ],
    ids=["html", "no job", "null", "no cursor", "array", "nothing", "redirect"],
)
@pytest.mark.parametrize("command", ["backfill", "compare"])
def test_what_is_no_transcription_api_is_said_to_be_none(command: str, answer: Answer) -> None:
    with scripted(list=[answer], job=[Answer(EMPTY)]) as script:
        ended = getattr(script, command)()
    assert ended.code == 1
    assert "Is --api the address of the transcription API?" in ended.err
    assert "at " not in ended.err.replace("Stopped at", "")  # no stack


def test_a_webhook_route_that_is_none_is_said_to_be_none() -> None:
    with scripted(list=[Answer(PAGE)], webhook=[Answer("No matching routes found", 404)]) as script:
        ended = script.backfill()
    assert ended.code == 1
    assert "answers 404: No matching routes found" in ended.err
    assert (
        "Stopped at 0 jobs: 0 applied, 0 duplicate, 0 stale, 0 refused; to go on: --cursor jobs:" in ended.err
    )


def test_a_job_that_moved_on_between_the_two_reads_is_not_different() -> None:
    moved = JOB | {"sequence": 5}
    with scripted(
        list=[Answer(PAGE), Answer(EMPTY)],
        job=[Answer(moved)],
        query=[Answer({"value": [moved]})],
    ) as script:
        ended = script.compare()
    assert (ended.code, ended.err) == (0, "")
    assert ended.last == "1 jobs: 1 the same, 0 different"


def test_a_job_that_is_deleted_while_it_is_compared_is_one_job() -> None:
    deleted = JOB | {"sequence": 5, "status": "deleted"}
    with scripted(
        list=[Answer(PAGE), Answer(PAGE | {"items": [deleted]})],
        job=[Answer(deleted)],
        query=[Answer({"value": [JOB]}), Answer({"value": []})],
    ) as script:
        ended = script.compare()
    assert ended.last == "1 jobs: 1 the same, 0 different"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "--api has to be an address"),
        (("--api", "ftp://a"), "--api has to be an address"),
        (("--api", "http://a", "--site", "b"), "--site has to be an address"),
        (("--api", "http://a", "--cursor", "12"), "--cursor has to be one that was printed"),
        (("--api", "http://a", "--patience", "long"), "--patience has to be a number of seconds"),
        (("--everything",), "--everything"),
    ],
)
def test_what_cannot_be_begun_is_said_with_what_can(arguments: tuple[str, ...], said: str) -> None:
    ended = run("backfill", *arguments, **KEYS)
    assert ended.code == 2
    assert said in ended.err
    assert "npm run backfill -- --api URL --site URL" in ended.err


@pytest.mark.parametrize("name", KEYS)
def test_a_key_that_is_not_set_is_named(name: str) -> None:
    keys = {given: key for given, key in KEYS.items() if given != name}
    ended = run("backfill", "--api", "http://a", "--site", "http://b", **keys)
    assert ended.code == 2
    assert f"{name} is not set" in ended.err
