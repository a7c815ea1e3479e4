"""What the gateway's code can answer, and what its contract says: the same statuses, headers and words."""

import ast
import asyncio
import json
import socket
from contextlib import closing
from pathlib import Path
from typing import get_args

import httpx
import pytest

from gateway import app
from gateway.answer import refusal
from gateway.clock import SystemClock
from gateway.metrics import Metrics
from gateway.model import Rejected, RejectionReason
from gateway.protocol import Limits
from gateway.site import front, site, until_stopped
from gateway.turns import Turns
from gateway.turnstile import Turnstile
from openapi.document import FOLDER, operations, read, resolved
from openapi.page import RENAMED
from tests.support.contract import ALWAYS_THERE
from tests.support.gateway_app import SOURCES, configuration, open_store
from tests.support.gateway_server import serving

DOCUMENT = read(FOLDER / "gateway.yaml")
OTHER = DOCUMENT["components"]["responses"]["Refused"]
EXAMPLES = {
    name: one["value"] for name, one in OTHER["content"]["application/problem+json"]["examples"].items()
}
GET = b"GET /healthz HTTP/1.1\r\n"
HOST = b"Host: gateway\r\n"
PATIENCE = Limits(head_seconds=0.3)
SENT = {
    "malformed": b"nonsense\r\n\r\n",
    "host": GET + HOST + HOST + b"\r\n",
    "method": b"PUT /healthz HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n",
    "slow": GET,
    "url": b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    "headers": GET + HOST + b"X: x\r\n" * 101 + b"\r\n",
    "head": GET + HOST + b"X: " + b"x" * 70_000 + b"\r\n\r\n",
    "coding": GET + HOST + b"Transfer-Encoding: gzip\r\n\r\n",
    "version": b"GET /healthz HTTP/2.0\r\n" + HOST + b"\r\n",
}


def answered() -> set[int]:
    """Every status that a refusal is made with, wherever that is in the code."""
    found = set()
    for path in Path("gateway").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                first = (
                    node.args[0] if node.args and node.func.id in ("problem", "Refused", "Refusal") else None
                )
                if isinstance(first, ast.Constant):
                    found.add(first.value)
    return found | {refused(reason).status_code for reason in get_args(RejectionReason)}


def refused(reason):
    return refusal(Rejected(reason, "the body is longer than 1048576 bytes", retry_after_seconds=5))


def worded(problem):
    """Without a title that later Pythons have another word for."""
    return {
        key: value
        for key, value in problem.items()
        if key != "title" or str(problem["status"]) not in RENAMED
    }


def documented(operation):
    return {int(status) for status in operation.responses if status.isdigit()}


def test_every_status_that_the_code_answers_with_is_documented_and_no_other():
    named = {status for one in operations(DOCUMENT) if not one.is_webhook for status in documented(one)}
    named |= {one["status"] for one in EXAMPLES.values()}
    assert {status for status in named if status >= 400} == answered() | {404, 405}


@pytest.mark.parametrize("reason", get_args(RejectionReason))
def test_whatever_a_webhook_is_refused_for_is_documented_with_its_headers(reason):
    by_method = {one.method: one for one in operations(DOCUMENT) if one.path == "/webhooks/{source}"}
    answer = refused(reason)
    response = by_method["get" if reason == "method" else "post"].responses[str(answer.status_code)]
    headers = {name: resolved(DOCUMENT, one) for name, one in response.get("headers", {}).items()}
    given = set(answer.headers) - {"content-type", "content-length"}
    assert {name.lower() for name, one in headers.items() if one.get("required")} == given
    assert answer.headers["content-type"] in response["content"]
    example = response["content"]["application/problem+json"]["example"]
    said = json.loads(answer.body)
    assert (said["status"], said["type"]) == (example["status"], example["type"])
    if answer.status_code in (401, 404, 405, 413):
        assert worded(said) == worded(example)


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    folder, metrics = tmp_path_factory.mktemp("gateway"), Metrics(version="test")
    config = configuration(SOURCES, folder)
    store = open_store(config, folder / "gateway.db", metrics)
    created = app.create(config, store=store, clock=SystemClock(), metrics=metrics)
    with serving(created.app, limits=PATIENCE) as served:
        yield served.port


@pytest.mark.parametrize("name", sorted(SENT))
def test_what_any_route_may_answer_is_answered_in_the_words_of_the_contract(port, name):
    with closing(socket.create_connection(("127.0.0.1", port), timeout=5)) as connection:
        connection.sendall(SENT[name])
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    said = json.loads(body)
    said["detail"] = said["detail"].replace(f"{PATIENCE.head_seconds:g} s", f"{Limits().head_seconds:g} s")
    assert worded(said) == worded(EXAMPLES[name])
    names = {line.partition(b":")[0].decode().lower() for line in head.split(b"\r\n")[1:]}
    assert names <= ALWAYS_THERE | {name.lower() for name in OTHER["headers"]}


@pytest.mark.parametrize(
    ("name", "error"), [("fault", ValueError("made-up")), ("stopping", asyncio.CancelledError())]
)
async def test_a_fault_and_a_stop_are_answered_in_the_words_of_the_contract(name, error):
    async def fails(_scope, _receive, _send):
        raise error

    webhooks = front(fails, site([]), turnstile=Turnstile(per_second=1000, most_waiting=0), turns=Turns(1))
    transport = httpx.ASGITransport(until_stopped(webhooks), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        answer = await client.post("/webhooks/producer")
    assert answer.json() == EXAMPLES[name]
    assert ("retry-after" in answer.headers) == (name == "stopping")


def test_every_answer_of_any_route_is_tried_here():
    assert {*SENT, "fault", "stopping"} == set(EXAMPLES)
