"""The commands against servers that answer by a script."""

import json
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
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
    """`body` of str goes out as it is, as HTML. A header may be made when it is sent."""

    body: Any
    status: int = 200
    headers: Mapping[str, Callable[[], str]] = field(default_factory=dict)

    def response(self) -> Response:
        text, kind = (
            (self.body, "text/html")
            if isinstance(self.body, str)
            else (json.dumps(self.body), "application/json")
        )
        headers = {name: value() for name, value in self.headers.items()}
        return Response(text, self.status, headers, kind)


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


def in_seconds(seconds: float) -> Callable[[], str]:
    """A date, whole seconds as they are in headers."""
    return lambda: formatdate(time.time() + seconds, usegmt=True)


@pytest.mark.parametrize("retry_after", [lambda: "2", in_seconds(3.5)], ids=["seconds", "date"])
@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_asks_for_a_pause_gets_it(status: int, retry_after: Callable[[], str]) -> None:
    busy = Answer({}, status, {"Retry-After": retry_after})
    with scripted(list=[Answer(PAGE), Answer(EMPTY)], webhook=[busy, Answer(APPLIED)]) as script:
        ended = script.backfill()
        first, second = script.times("webhook")
    assert ended.code == 0
    assert ended.last.startswith("1 jobs: 1 applied")
    assert second - first >= 2


@pytest.mark.parametrize("retry_after", [lambda: "0", in_seconds(-60)], ids=["0", "past"])
def test_a_server_that_asks_for_no_pause_is_not_flooded(retry_after: Callable[[], str]) -> None:
    busy = Answer({}, 503, {"Retry-After": retry_after})
    with scripted(list=[busy]) as script:
        ended = script.backfill("--patience", "2")
        tries = len(script.times("list"))
    assert ended.code == 1
    assert 2 <= tries <= 5


@pytest.mark.parametrize("command", ["backfill", "compare"])
def test_a_server_that_takes_connections_and_says_nothing_is_waited_for_as_long_as_was_said(
    command: str,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        other = "--site" if command == "backfill" else "--convex"
        began = time.monotonic()
        ended = run(command, "--api", url, other, url, "--patience", "2", **KEYS)
    assert ended.code == 1
    assert f"{url} does not answer: nothing in 2 s" in ended.err
    assert time.monotonic() - began < 15  # one attempt alone would take 30


def test_an_address_that_nobody_may_ask_is_not_waited_for() -> None:
    url = "http://127.0.0.1:6000"  # a port that `fetch` refuses
    ended = run("backfill", "--api", url, "--site", url, **KEYS)
    assert ended.code == 1
    assert f"{url} cannot be asked: bad port" in ended.err


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_an_answer_that_may_pass_is_asked_for_again(status: int) -> None:
    broken = Answer("<html>later</html>", status)
    with scripted(
        list=[broken, Answer(PAGE), broken, Answer(EMPTY)], webhook=[broken, Answer(APPLIED)]
    ) as script:
        ended = script.backfill()
    said = f"{script.url} answers {status}: <html>later</html>; trying for up to 300 s\n"
    assert (ended.code, ended.err) == (0, said)
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
        Answer("", 302, {"Location": lambda: "/v1/jobs/elsewhere"}),
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


@pytest.mark.parametrize(
    ("cursor", "said"),
    [("12", "gives the cursor jobs:12, a second time"), ("abc", "gives the cursor abc, which is none")],
    ids=["again", "unknown"],
)
@pytest.mark.parametrize("command", ["backfill", "compare"])
def test_a_cursor_that_leads_nowhere_ends_it(command: str, cursor: str, said: str) -> None:
    page = Answer(PAGE | {"next_cursor": cursor})
    with scripted(list=[page], webhook=[Answer(APPLIED)], query=[Answer({"value": [JOB]})]) as script:
        ended = getattr(script, command)()
    assert ended.code == 1
    assert f"{script.url} {said}" in ended.err


@pytest.mark.parametrize("command", ["backfill", "compare"])
def test_a_list_that_is_closed_is_opened_with_the_key(command: str) -> None:
    closed = Answer({"code": "list_closed", "detail": "the list is closed"}, 403)
    with scripted(list=[closed]) as script:
        ended = getattr(script, command)()
    assert ended.code == 1
    assert "answers 403: list_closed: the list is closed\nTRANSCRIBER_API_KEY has to be" in ended.err


def test_a_deleted_job_that_nobody_registered_is_done_and_another_is_refused() -> None:
    unknown = Answer({"code": "unknown_job", "detail": "not registered"}, 404)
    deleted = PAGE | {"items": [JOB | {"status": "deleted"}]}
    with scripted(list=[Answer(EMPTY), Answer(deleted)], webhook=[unknown]) as script:
        ended = script.backfill()
    assert (ended.code, ended.err) == (0, "")
    assert ended.last == "1 jobs: 0 applied, 1 duplicate, 0 stale, 0 refused: done"
    with scripted(list=[Answer(PAGE), Answer(EMPTY)], webhook=[unknown]) as script:
        ended = script.backfill()
    assert (ended.code, ended.err) == (1, f"{JOB['jobId']} is refused: unknown_job: not registered\n")


def test_a_function_that_fails_is_quoted_and_not_called_again() -> None:
    failed = {"status": "error", "errorMessage": "Server Error\nUncaught Error: too many bytes"}
    with scripted(list=[Answer(PAGE)], query=[Answer(failed, 560)]) as script:
        ended = script.compare()
        calls = len(script.times("query"))
    assert (ended.code, calls) == (1, 1)
    assert f"at {script.url} failed: Server Error Uncaught Error: too many bytes\n" in ended.err
    assert "--convex" not in ended.err


def test_the_jobs_that_an_answer_left_out_are_asked_for_until_none_comes() -> None:
    jobs = [JOB | {"jobId": f"a-job-of-a-script-000{number}"} for number in range(9)]
    shown = [Answer({"value": [job]}) for job in jobs[:8]] + [Answer({"value": []})]
    listed = [Answer(PAGE | {"items": jobs}), Answer(EMPTY)]
    with scripted(list=listed, job=[Answer(jobs[8])], query=shown) as script:
        ended = script.compare()
        asked = [name for name, _ in script.asked]
    assert asked[: asked.index("job")].count("query") == 9  # at the first look
    assert (ended.code, ended.err) == (1, f"{jobs[8]['jobId']} is not in Convex\n")
    assert ended.last == "9 jobs: 8 the same, 1 different"


def test_zero_is_zero_with_and_without_a_sign() -> None:
    job = JOB | {"result": {"segments": [{"start": -0.0}]}}
    shown = JOB | {"result": {"segments": [{"start": 0}]}}
    with scripted(
        list=[Answer(PAGE | {"items": [job]}), Answer(EMPTY)], query=[Answer({"value": [shown]})]
    ) as script:
        ended = script.compare()
    assert (ended.code, ended.err) == (0, "")


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
        (("--api", "http://somebody:word@a"), "--api has to be an address without a user"),
        (("--api", "http://a?key=word"), "--api has to be an address without a user"),
        (("--api", "http://a#word"), "--api has to be an address without a user"),
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


@pytest.mark.parametrize("word", ["wörd", "wo rd", "wo\nrd"], ids=["not ASCII", "space", "line break"])
@pytest.mark.parametrize("name", KEYS)
def test_what_cannot_be_a_key_is_named_and_not_repeated(name: str, word: str) -> None:
    ended = run("backfill", "--api", "http://a", "--site", "http://b", **KEYS | {name: word})
    assert ended.code == 2
    assert f"{name} is no key" in ended.err
    assert word not in ended.err
