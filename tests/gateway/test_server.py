"""The server on real sockets: what it bounds, whom it cuts off, and that every answer that is due gets through whole."""

import asyncio
import gc
import inspect
import json
import socket
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field

import pytest
import uvloop
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from gateway.limits import Limits
from gateway.metrics import Metrics
from gateway.protocol import Protocol
from gateway.site import site
from tests.support.accepting import accepting
from tests.support.gateway_app import MAX_BODY_BYTES, signed
from tests.support.gateway_server import serving
from tests.support.store import rows
from tests.support.waiting import eventually

LIMITS = Limits(head_seconds=0.4, body_seconds=0.4, linger_seconds=0.5, stall_seconds=0.5)
LARGE = 20_000_000
GET = b"GET /echo HTTP/1.1\r\nHost: gateway\r\n"


@dataclass
class Application:
    """Answers at once, or when the test says so."""

    gate: threading.Event = field(default_factory=threading.Event)
    disconnected: int = 0
    served: int = 0
    on_request: Callable[[], None] = lambda: None

    async def echo(self, request):
        self.served += 1
        self.on_request()
        try:
            body = await request.body()
        except ClientDisconnect:
            self.disconnected += 1
            raise
        headers = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in request.headers.raw]
        return JSONResponse({"query": request.url.query, "body": body.decode("latin-1"), "headers": headers})

    async def gated(self, request):
        await asyncio.to_thread(self.gate.wait, 10)
        return await self.echo(request)

    async def deaf(self, _):
        return JSONResponse({"read": False}, status_code=413)

    async def large(self, _):
        return Response(b"x" * LARGE)


@contextmanager
def application(limits=LIMITS, *, metrics=None):
    made = Application()

    @asynccontextmanager
    async def lifespan(_):
        yield

    routes = [
        Route(f"/{name}", getattr(made, name), methods=["GET", "POST"])
        for name in ("echo", "gated", "deaf", "large")
    ]
    with serving(Starlette(routes=routes, lifespan=lifespan), limits=limits, metrics=metrics) as served:
        yield served, made
        made.gate.set()


@pytest.fixture(scope="module")
def port():
    with application() as (served, _):
        yield served.port


@pytest.fixture(scope="module")
def patient_port():
    """For what is refused at once: nothing here has to do with time."""
    with application(Limits()) as (served, _):
        yield served.port


def connect(port):
    return closing(socket.create_connection(("127.0.0.1", port), timeout=5))


def everything(connection) -> bytes:
    """What comes until the server ends the connection; an answer cut short by a reset raises."""
    answer = b""
    while more := connection.recv(65_536):
        answer += more
    return answer


def exchange(port, data) -> bytes:
    with connect(port) as connection:
        connection.sendall(data)
        return everything(connection)


def statuses(answer):
    return [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]]


def problem(answer):
    """The problem in the last of the answers."""
    head, _, body = answer.rpartition(b"HTTP/1.1 ")[2].partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head
    assert b"connection: close" in head
    content = json.loads(body)
    assert content["status"] == int(head[:3])
    assert {"type", "title", "detail"} <= set(content)
    return content


def one(path="/echo", *, headers=(), body=b"", method="POST"):
    lines = [f"{method} {path} HTTP/1.1", "Host: gateway", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


LAST = one(headers=["Connection: close"], body=b"last")


# Sizes


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (GET + b"X: " + b"a" * 66_000, 431),
        (b"GET /echo HTTP/1.1\r\nHost: x\r\n" + b"X: %b\r\n" % (b"a" * 6000) * 11 + b"\r\n", 431),
        (GET + b"X: %b\r\n\r\n" % (b"a" * 66_000), 431),
        (GET + b"X: a\r\n" * 100 + b"\r\n", 431),
        (b"GET /" + b"a" * 66_000, 431),
        (b"GET /echo?" + b"a" * 8187 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"\r\n" * 33_000, 431),
        (GET + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"x" * 400_000, 431),
        (GET + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: " + b"x" * 400_000, 431),
    ],
    ids=[
        "endless header",
        "many long",
        "one long",
        "many",
        "endless URL",
        "URL",
        "line ends",
        "chunk",
        "trailer",
    ],
)
def test_a_head_beyond_its_bounds_is_refused_with_a_problem(patient_port, data, status):
    answer = exchange(patient_port, data)
    assert (statuses(answer), problem(answer)["status"]) == ([status], status)


def test_a_head_of_just_the_bounds_is_taken(patient_port):
    long = b"".join(b"X-%04d: %b\r\n" % (number, b"a" * 6500) for number in range(10))
    path = b"GET /echo?" + b"a" * 8186 + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    for data in (
        GET + b"Connection: close\r\n" + long,
        GET + b"Connection: close\r\n" + b"X: a\r\n" * 98,
        path,
    ):
        assert statuses(exchange(patient_port, data + b"\r\n")) == [200]


def test_a_head_is_not_charged_for_the_body_before_it(patient_port):
    body = b"x" * 200_000
    assert statuses(exchange(patient_port, one(body=body) + LAST)) == [200, 200]


def test_a_body_in_tiny_chunks_is_no_head(patient_port):
    chunks = b"1\r\nx\r\n" * 40_000 + b"0\r\n\r\n"
    head = b"POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = exchange(patient_port, head + chunks)
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["body"] == "x" * 40_000


def test_a_refusal_is_logged_without_what_was_sent(patient_port, caplog):
    exchange(patient_port, GET + b"X: a-secret-in-a-header\r\n" * 101 + b"\r\n")
    (line,) = [one for one in caplog.records if one.getMessage() == "request.refused"]
    expected = {"status": 431, "detail": "There are more than 100 headers.", "sender": "127.0.0.1"}
    assert line.fields == expected
    assert "a-secret-in-a-header" not in caplog.text


# Framing


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (["Host: x", "Content-Length: 2", "Content-Length: 2"], 400),
        (["Host: x", "Content-Length: 2", "Content-Length: 3"], 400),
        (["Host: x", "Content-Length: 2, 2"], 400),
        (["Host: x", "Content-Length: +2"], 400),
        (["Host: x", "Content-Length: -2"], 400),
        (["Host: x", "Content-Length: 0x2"], 400),
        (["Host: x", "Content-Length: 2 2"], 400),
        (["Host: x", "Content-Length:"], 400),
        (["Host: x", f"Content-Length: {'9' * 30}"], 400),
        (["Host: x", "Content-Length: 2", "Transfer-Encoding: chunked"], 400),
        (["Host: x", "Transfer-Encoding: chunked", "Content-Length: 2"], 400),
        (["Host: x", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"], 400),
        (["Host: x", "Transfer-Encoding: gzip, chunked"], 501),
        (["Host: x", "Transfer-Encoding: identity"], 501),
        (["Host: x", "Transfer-Encoding : chunked"], 400),
        (["Host: x", "X: a\rb"], 400),
        (["Host: x", "X: a\x00b"], 400),
        (["Host: x", " folded: x"], 400),
        (["Content-Length: 2"], 400),
        (["Host: x", "Host: y"], 400),
        (["Host: x", "Transfer-Encoding: chunked, chunked"], 400),
        (["Host: x", "Transfer-Encoding: xchunked"], 501),
        (["Host: x", "Transfer-Encoding: chunked;q=1"], 501),
        (["Host: x", "Transfer-Encoding: \x0bchunked"], 400),
        (["Host: x", "Transfer-Encoding:"], 400),
        (["Host: x", "Transfer-Encoding:\r\n chunked"], 400),
        (["Host: x", "Content-Length: 2,"], 400),
        (["Host: x", "Content-Length : 2"], 400),
        (["Host : x", "Content-Length: 2"], 400),
        (["Host: x\nContent-Length: 2"], 400),
        (["Host: x", "X: a\r\n b"], 400),
        (["Host: x", "a name: x"], 400),
        (["Host: x", ": no name"], 400),
        (["Host: x", "no colon"], 400),
        (["Host: x", "X: a\x7fb"], 400),
    ],
)
def test_a_request_whose_end_or_host_is_not_certain_is_refused(patient_port, headers, status):
    answer = exchange(patient_port, "\r\n".join(["POST /echo HTTP/1.1", *headers]).encode() + b"\r\n\r\nab")
    assert (statuses(answer), problem(answer)["status"]) == ([status], status)


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET http:// HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT host:80 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /echo HTTP/1.1\nHost: x\nContent-Length: 2\n\nab",
        b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\nab",
        b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\rab",
        b"GET /ec\x00ho HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /echo x HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET\t/echo\tHTTP/1.1\r\nHost: x\r\n\r\n",
        b" GET /echo HTTP/1.1\r\nHost: x\r\n\r\n",
        b"get /echo HTTP/1.1\r\nHost: x\r\n\r\n",
        b"A" * 70_000 + b" /echo HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /echo HTTP/1.10\r\nHost: x\r\n\r\n",
        b"GET http://other:99999/echo HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
def test_what_is_no_request_is_refused_with_a_problem(patient_port, data):
    answer = exchange(patient_port, data)
    assert (statuses(answer), problem(answer)["status"]) == ([400], 400)


@pytest.mark.parametrize(
    "chunks",
    [
        b"-1\r\nab", b"0x2\r\nab", b"f" * 17 + b"\r\nab", b"2 \r\nab", b" 2\r\nab", b"2\nab", b"2\r\nab\n", b"\r\n",
        b"2;a\nb\r\nab", b"2\r\nabcd\r\n", b"2\r\nab\r\n0\n\n", b"0\r\nContent-Length: 5\r\n\r\n",
    ],
)  # fmt: skip
def test_a_body_whose_end_is_not_certain_is_refused_and_nothing_after_it_is_a_request(chunks):
    head = b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    with application(Limits()) as (served, made):
        answer = exchange(served.port, head + chunks + b"\r\n0\r\n\r\n" + LAST)
        assert (statuses(answer), problem(answer)["status"]) == ([400], 400)
        assert (made.served, made.disconnected) == (1, 1)


def test_what_a_hangup_asks_for_is_done_but_not_in_the_middle_of_something_else():
    done, under_way = threading.Event(), []

    async def hang_up(_):
        served.server.hang_up()  # as a signal does, in the middle of this
        under_way.append(done.is_set())
        return Response()

    with serving(site([Route("/", hang_up)]), limits=Limits(), on_hangup=done.set) as served:
        exchange(served.port, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert done.wait(10)
    assert under_way == [False]


def test_a_refusal_is_counted_by_its_status():
    metrics = Metrics(version="test")
    with application(Limits(), metrics=metrics) as (served, _):
        exchange(served.port, b"nonsense\r\n\r\n")
        exchange(served.port, GET + b"X: a\r\n" * 100 + b"\r\n")
        exchange(served.port, b"nonsense\r\n\r\n")
    count = metrics.registry.get_sample_value
    counted = {
        status: count("gateway_requests_refused_total", {"status": status}) for status in ("400", "431")
    }
    assert counted == {"400": 2, "431": 1}


@pytest.mark.parametrize("line", [b"GET /echo", b"GET /echo HTTP/0.9", b"GET /echo HTTP/2.0"])
def test_another_version_of_http_is_refused(patient_port, line):
    answer = exchange(patient_port, line + b"\r\nHost: x\r\n\r\n")
    assert problem(answer)["status"] == 505


def test_a_trailer_is_no_header(patient_port):
    head = b"POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = exchange(patient_port, head + b"2\r\nab\r\n0\r\nwebhook-id: forged\r\n\r\n")
    content = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert content["body"] == "ab"
    assert [name for name, _ in content["headers"]] == ["host", "connection", "transfer-encoding"]


def test_nothing_is_kept_of_trailers_while_they_come_or_after(patient_port):
    """Not while the connection stands: nothing bounds how many lines a stranger could have kept so."""
    head = b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n"
    with connect(patient_port) as connection:
        connection.sendall(head + b"kept-of-a-trailer: 1\r\n" * 1000)
        connection.sendall(b"kept-of-a-trailer: 2\r\n\r\n")
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200")
        protocols = [one for one in gc.get_objects() if type(one) is Protocol]
        assert protocols
        assert b"kept-of-a-trailer" not in {name for one in protocols for name, _ in one.headers or ()}


@pytest.mark.parametrize("protocol", ["h2c", "websocket"])
def test_an_offer_to_speak_another_protocol_is_not_taken_up(patient_port, protocol):
    """Java's client offers h2c with each request, and sends its body all the same."""
    offer = one(headers=["Connection: Upgrade, HTTP2-Settings", f"Upgrade: {protocol}"], body=b"its body")
    answer = exchange(patient_port, offer + one(method="GET") + offer + LAST)
    assert statuses(answer) == [200, 200, 200, 200]
    assert answer.count(b'"body":"its body"') == answer.count(b'["upgrade","%b"]' % protocol.encode()) == 2


# Time


def test_a_connection_that_says_nothing_is_closed_without_an_answer(port):
    with connect(port) as connection:
        assert everything(connection) == b""


@pytest.mark.parametrize("before", [b"", one()], ids=["first", "second"])
@pytest.mark.parametrize("piece", [b"GET /echo HT", GET, GET + b"X: a\r\n"])
def test_a_head_that_does_not_arrive_is_a_408(port, before, piece):
    answer = exchange(port, before + piece)
    assert statuses(answer) == [200] * bool(before) + [408]
    assert "head" in problem(answer)["detail"]


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (GET, b"X: a\r\n"),
        (b"", b"\r\n"),
        (b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n", b"x"),
        (b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    ],
    ids=["head", "line ends", "body", "chunks"],
)
def test_dripping_wins_no_time(port, start, piece):
    with connect(port) as connection:
        began = time.monotonic()
        connection.sendall(start)
        connection.settimeout(0.05)
        answer = b""
        while not answer:
            assert time.monotonic() - began < 3
            connection.sendall(piece)
            try:
                answer = connection.recv(1000)
            except TimeoutError:
                continue
        assert time.monotonic() - began >= 0.3
    assert (statuses(answer), problem(answer)["status"]) == ([408], 408)


def test_a_body_that_nobody_reads_is_not_waited_for_either(port):
    with connect(port) as connection:
        connection.sendall(b"POST /deaf HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nx")
        began = time.monotonic()
        assert statuses(everything(connection)) == [413]
        assert time.monotonic() - began < 3


def test_the_application_is_told_that_a_late_body_will_not_come():
    with application() as (served, made):
        answer = exchange(served.port, b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nx")
        assert "body" in problem(answer)["detail"]
        eventually(lambda: made.disconnected == 1)


def test_whoever_reads_no_answer_is_not_waited_for():
    with application() as (served, _), connect(served.port) as connection:
        connection.sendall(GET.replace(b"echo", b"large") + b"\r\n")
        eventually(lambda: len(served.connections) == 1)
        eventually(lambda: served.connections == [], seconds=5)


def test_whoever_sends_on_and_on_and_reads_no_answer_is_not_waited_for():
    with application() as (served, _), connect(served.port) as connection:
        connection.setblocking(False)
        requests, sent = one(body=b"x" * 1000) * 2000, 0
        while sent < 100_000_000:
            try:
                sent += connection.send(requests[sent % len(one(body=b"x" * 1000)) :])
            except BlockingIOError:
                break
        eventually(lambda: served.connections == [], seconds=10)


# Answers


def test_a_refusal_waits_for_the_answers_before_it():
    with application() as (served, made), connect(served.port) as connection:
        connection.sendall(one("/gated", body=b"first") + one(body=b"second") + b"nonsense\r\n\r\n")
        eventually(lambda: any(len(one.pipeline) == 2 for one in served.connections))
        made.gate.set()
        answer = everything(connection)
        assert statuses(answer) == [200, 200, 400]
        assert answer.index(b"first") < answer.index(b"second") < answer.index(b"problem")


def test_whoever_has_ended_its_side_is_answered_and_not_waited_for():
    with application() as (served, made), connect(served.port) as connection:
        connection.sendall(one("/gated"))
        connection.shutdown(socket.SHUT_WR)
        eventually(lambda: any(one.cycle and not one.cycle.keep_alive for one in served.connections))
        made.gate.set()
        answer = everything(connection)
        assert statuses(answer) == [200]
        assert b"connection: close" in answer


def test_a_broken_body_is_refused_and_not_given_to_the_application():
    with application(Limits()) as (served, made):
        chunked = b"POST %b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\nno\r\n"
        assert statuses(exchange(served.port, chunked % b"/echo")) == [400]
        assert made.disconnected == made.served
        with connect(served.port) as connection:
            connection.sendall(one("/gated") + chunked % b"/echo")
            eventually(lambda: any(one.pipeline for one in served.connections))
            made.gate.set()
            assert statuses(everything(connection)) == [200, 400]
        assert statuses(exchange(served.port, chunked % b"/deaf"))[0] in (400, 413)


def test_no_more_is_read_than_waits_in_line():
    """Else a peer could have thousands of requests gathered while one is at work."""
    many, request = 4000, one(headers=[f"X: {'x' * 500}"])
    with application(Limits()) as (served, made), connect(served.port) as connection:
        sender = threading.Thread(target=connection.sendall, args=(one("/gated") + request * many + LAST,))
        sender.start()
        eventually(lambda: any(one.flow.read_paused for one in served.connections))
        (protocol,) = served.connections
        waiting = []
        made.on_request = lambda: waiting.append(len(protocol.pipeline))
        made.gate.set()
        answer = everything(connection)
        sender.join(10)
        assert answer.count(b"HTTP/1.1 200 OK") == many + 2
        assert max(waiting) * len(request) < 600_000


def test_an_early_answer_reaches_a_client_that_still_sends(patient_port):
    with connect(patient_port) as connection:
        head = f"POST /deaf HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {LARGE}\r\n\r\n"
        connection.sendall(head.encode() + b"x" * LARGE)
        assert statuses(everything(connection)) == [413]


def test_a_connection_is_kept_after_an_early_answer_once_the_body_is_through(patient_port):
    assert statuses(exchange(patient_port, one("/deaf", body=b"x" * 100_000) + LAST)) == [413, 200]


def test_a_stop_lets_the_request_at_work_finish():
    with application() as (served, made), connect(served.port) as connection:
        connection.sendall(one("/gated", body=b"at work"))
        eventually(lambda: len(served.connections) == 1 and served.connections[0].cycle)
        served.server.should_exit = True
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(5)
        made.gate.set()
        answer = everything(connection)
        assert statuses(answer) == [200]
        assert b"connection: close" in answer


# The gateway behind it


def webhook(body, *, headers=(), announced=None):
    lines = [f"{name}: {value}" for name, value in signed(body).items()]
    announced = len(body) if announced is None else announced
    return "\r\n".join(
        [
            "POST /webhooks/producer HTTP/1.1",
            "Host: x",
            *lines,
            f"Content-Length: {announced}",
            *headers,
            "",
            "",
        ]
    ).encode()


def test_a_slow_sender_is_cut_off_counted_and_nothing_is_stored(tmp_path):
    with accepting(tmp_path, limits=LIMITS) as gateway:
        answer = exchange(gateway.port, webhook(b"{}") + b"{")
        assert (statuses(answer), problem(answer)["status"]) == ([408], 408)
        eventually(lambda: gateway.rejected("too_slow") == 1)
        assert rows(gateway.path, "SELECT count(*) FROM events") == [(0,)]


def test_a_request_without_its_signature_is_refused_before_its_body_is_sent(tmp_path):
    with accepting(tmp_path) as gateway, connect(gateway.port) as connection:
        connection.sendall(
            b"POST /webhooks/producer HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\nExpect: 100-continue\r\n\r\n"
        )
        assert statuses(connection.recv(65_536)) == [401]
        assert gateway.rejected("missing_header") == 1


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_is_bounded_while_it_is_read(tmp_path, announced):
    """The client goes on sending, and still gets the whole answer."""
    body = b"x" * (50 * MAX_BODY_BYTES)
    head = webhook(body)
    if not announced:
        head = head.replace(b"Content-Length: %d" % len(body), b"Transfer-Encoding: chunked")
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    with accepting(tmp_path) as gateway:
        answer = exchange(gateway.port, head + body)
        assert (statuses(answer), problem(answer)["status"]) == ([413], 413)
        assert gateway.rejected("too_large") == 1


# What this stands on


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"GET /echo HTTP/1.1\r\nHost:",
        one(body=b"whole"),
        one(body=b"half of it")[:-5],
        one("/deaf", body=b"half of it")[:-5],
        one("/large"),
        one("/gated") + one() + one(),
        GET + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
        GET + b"x: " + b"y" * 70_000 + b"\r\n\r\n",
        one(headers=["Upgrade: h2c", "Connection: Upgrade"], body=b"half of it")[:-5],
    ],
    ids=["nothing", "half a head", "all", "half a body", "unread", "a reader of nothing", "a pipeline", "smuggled", "huge", "offer"],
)  # fmt: skip
def test_a_connection_that_is_lost_is_gone_at_once_without_the_collector(said):
    """A flood of them would have it stop everybody for milliseconds, or fill the memory until it comes by."""
    with application() as (served, made):
        gc.disable()
        try:
            with connect(served.port) as connection:
                eventually(lambda: served.connections)
                protocol = weakref.ref(served.connections[0])
                connection.sendall(said)
                if said.startswith(one("/gated")):
                    eventually(lambda: protocol().pipeline)
            made.gate.set()
            eventually(lambda: protocol() is None)
        finally:
            gc.enable()


def test_what_a_pipeline_that_is_lost_is_still_answered_is_no_error(caplog):
    with application() as (served, made):
        with connect(served.port) as connection:
            eventually(lambda: served.connections)
            (protocol,) = served.connections
            connection.sendall(one("/gated") + one() + one())
            eventually(lambda: protocol.pipeline)
        protocol.loop.call_soon_threadsafe(protocol.drop)
        eventually(lambda: not served.connections)
        made.gate.set()
        eventually(lambda: made.served)
    assert [line.getMessage() for line in caplog.records if line.name == "uvicorn.error"] == []


def test_the_server_runs_on_uvloop():
    with application() as (served, _), connect(served.port):
        eventually(lambda: served.connections)
        assert isinstance(served.connections[0].loop, uvloop.Loop)


def test_uvicorn_still_is_what_the_protocol_was_written_against():
    """These are no public interfaces: where one goes, gateway/protocol.py has to be looked at again."""
    assert set(inspect.signature(RequestResponseCycle.__init__).parameters) == {
        "self", "scope", "transport", "flow", "logger", "access_logger", "access_log", "default_headers",
        "message_event", "expect_100_continue", "keep_alive", "on_response",
    }  # fmt: skip
    assert {
        "connection_made", "connection_lost", "data_received", "pause_writing", "resume_writing", "on_message_begin",
        "on_header", "on_headers_complete", "on_body", "on_message_complete", "on_response_complete",
        "timeout_keep_alive_handler", "_unset_keepalive_if_required", "_start_asgi_task",
    } <= set(vars(HttpToolsProtocol))  # fmt: skip
    assert {"pause_reading", "resume_reading", "drain"} <= set(vars(FlowControl))
    source = inspect.getsource(HttpToolsProtocol)
    for line in (
        "self.pipeline.appendleft((self.cycle, app))",
        "self.pipeline.pop()",
        "self.timeout_keep_alive_task = self.loop.call_later(",
        "transport=self.transport,",
        "flow=self.flow,",
    ):
        assert line in source
