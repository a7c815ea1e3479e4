"""One attempt against servers that answer, stall, lie or are not there."""

import asyncio
import contextlib
import gzip
import ipaddress
import json
import random
import socket
import ssl
import time
from datetime import UTC, datetime, timedelta

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.clock import SystemClock
from gateway.config import Destination
from gateway.connection import MAX_HEAD_BYTES
from gateway.forward import KEPT_RESPONSE_BYTES, Forwarder
from gateway.model import Claim, DeliveryId, Webhook
from gateway.resolver import resolve_by_system
from tests.support.certificate import self_signed
from tests.support.raw_server import raw_server, say
from tests.support.store import NOW, A, event

EVENT_LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
"""The gateway is served on uvloop; where there is none, on asyncio's own."""

OK = "HTTP/1.1 200 OK\nContent-Length: 2\n\nok"


def claim(number=1, *, attempt=1, **changes):
    return Claim(
        delivery_id=DeliveryId(number),
        attempt=attempt,
        destination=A,
        event=event(number, **changes),
        tries=attempt - 1,
        again=attempt > 1,
        queued_at=NOW,
        live_since=NOW,
    )


async def attempt(url, one=None, *, resolve=resolve_by_system, **settings):
    destination = Destination(
        name=A, url=url, **{"allow_private_address": True, "timeout_seconds": 5, **settings}
    )
    forwarder = Forwarder(destination, clock=SystemClock(), resolve=resolve)
    try:
        return await forwarder.forward(one or claim())
    finally:
        await forwarder.close()


async def test_a_2xx_is_a_success_and_the_destination_got_what_was_stored():
    async with raw_server(say("HTTP/1.1 204 No Content\n\n")) as server:
        outcome = await attempt(f"{server.url}/in?x=1", bearer_token="made-up")
    assert (outcome.kind, outcome.status, outcome.error) == ("success", 204, None)
    (request,) = server.requests
    assert request.line == "POST /in?x=1 HTTP/1.1"
    assert request.body == b'{"n": 1}'
    assert request.values("host") == [f"127.0.0.1:{server.port}"]
    assert request.values("authorization") == ["Bearer made-up"]
    assert request.values("webhook-id") == [event(1).id]
    assert request.values("content-type") == ["application/json"]
    added_by_the_library = {"accept", "accept-encoding", "user-agent", "cookie"}
    assert not added_by_the_library & {name.lower() for name, _ in request.headers}


@pytest.mark.parametrize(
    ("answer", "kind", "status"),
    [
        ("HTTP/1.1 302 Found\nLocation: /elsewhere\nContent-Length: 0\n\n", "redirect", 302),
        ("HTTP/1.1 404 Not Found\nContent-Length: 0\n\n", "client_error", 404),
        ("HTTP/1.1 503 Busy\nContent-Length: 0\nRetry-After: 7\n\n", "server_error", 503),
    ],
)
async def test_other_answers_are_named_and_redirects_are_not_followed(answer, kind, status):
    async with raw_server(say(answer)) as server:
        outcome = await attempt(server.url)
    assert (outcome.kind, outcome.status, outcome.error) == (kind, status, f"answered {status}")
    assert len(server.requests) == 1
    assert outcome.retry_after == ("7" if status == 503 else None)


@pytest.mark.parametrize("status", ["000", "099", "600", "999"])
async def test_a_status_of_no_known_class_is_an_answer_that_is_no_success(status):
    async with raw_server(say(f"HTTP/1.1 {status} Odd\nContent-Length: 0\n\n")) as server:
        outcome = await attempt(server.url)
    assert (outcome.kind, outcome.status) == ("server_error", int(status))


async def test_what_a_destination_says_of_the_secrets_it_was_sent_is_not_kept():
    said = "you sent Bearer made-up-token and made-up-header, application/json"
    async with raw_server(say(f"HTTP/1.1 500 Oh\nContent-Length: {len(said)}\n\n{said}")) as server:
        outcome = await attempt(server.url, bearer_token="made-up-token", headers={"x-key": "made-up-header"})
    assert outcome.response == b"you sent Bearer [secret] and [secret], application/json"


async def test_a_long_answer_is_kept_to_a_bound_and_not_read_on():
    async with raw_server(say("HTTP/1.1 200 OK\nContent-Length: 100000000\n\n" + "x" * 200_000)) as server:
        outcome = await attempt(server.url)
    assert outcome.kind == "success"
    assert outcome.response == b"x" * KEPT_RESPONSE_BYTES


async def test_a_server_that_never_answers_is_a_timeout_within_its_time():
    async def never(_request, _writer):
        await asyncio.sleep(3600)

    started = time.monotonic()
    async with raw_server(never) as server:
        outcome = await attempt(server.url, timeout_seconds=0.2)
    assert outcome.kind == "timeout"
    assert time.monotonic() - started < 3


async def test_a_server_that_drips_its_header_is_a_timeout_all_the_same():
    async def drip(_request, writer):
        for letter in b"HTTP/1.1 200 OK\r\nX-Drip: " + b"a" * 1000:
            writer.write(bytes([letter]))
            await writer.drain()
            await asyncio.sleep(0.02)

    async with raw_server(drip) as server:
        outcome = await attempt(server.url, timeout_seconds=0.3)
    assert outcome.kind == "timeout"


async def test_an_answer_whose_body_is_cut_counts_by_its_status_because_the_event_was_taken():
    async def cut(_request, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        await writer.drain()
        writer.close()

    async with raw_server(cut) as server:
        outcome = await attempt(server.url)
    assert (outcome.kind, outcome.status, outcome.response) == ("success", 200, b"half")


async def test_an_answer_whose_body_stalls_counts_by_its_status():
    async with raw_server(say("HTTP/1.1 500 Oops\nContent-Length: 10\n\nhalf")) as server:
        outcome = await attempt(server.url, timeout_seconds=0.2)
    assert (outcome.kind, outcome.status) == ("server_error", 500)


@pytest.mark.parametrize(
    "answer", ["SSH-2.0-OpenSSH_9.2\n", "HTTP/1.1 200\x00OK\n\n", "HTTP/1.1 999999 Odd\n\n", "\n\n\n"]
)
async def test_an_answer_that_is_not_http_is_no_answer(answer):
    async def odd(_request, writer):
        writer.write(answer.replace("\n", "\r\n").encode())
        await writer.drain()
        writer.close()

    async with raw_server(odd) as server:
        outcome = await attempt(server.url)
    assert outcome.kind == "no_answer"
    assert outcome.error


async def test_a_refused_connection_and_an_unknown_name_are_no_answer():
    async with raw_server(say(OK)) as server:
        port = server.port
    refused = await attempt(f"http://127.0.0.1:{port}")
    unknown = await attempt("http://no-such-host.invalid")
    assert (refused.kind, unknown.kind) == ("no_answer", "no_answer")
    assert "does not resolve" in unknown.error


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "169.254.169.254", "10.0.0.1", "[::ffff:127.0.0.1]"]
)
async def test_a_private_address_is_refused_before_anything_is_sent(host):
    async with raw_server(say(OK)) as server:
        outcome = await attempt(f"http://{host}:{server.port}", allow_private_address=False)
        assert server.connections == 0
    assert outcome.kind == "address_refused"
    assert "not a public address" in outcome.error


def resolves_to(*addresses):
    async def resolve(_host, _port):
        return list(addresses)

    return resolve


async def test_a_name_is_resolved_once_and_the_judged_address_is_the_one_connected_to():
    asked = []

    async def resolve(host, _port):
        asked.append(host)
        return ["127.0.0.1"]

    async with raw_server(say(OK)) as server:
        outcome = await attempt(f"http://convex.example:{server.port}", resolve=resolve)
    assert outcome.kind == "success"
    assert asked == ["convex.example"]
    assert server.requests[0].values("host") == [f"convex.example:{server.port}"]


async def test_an_address_that_takes_no_connection_gives_way_to_the_next():
    async with raw_server(say(OK)) as server:
        url = f"http://convex.example:{server.port}"
        outcome = await attempt(url, resolve=resolves_to("127.0.0.77", "::1", "127.0.0.1"))
    assert outcome.kind == "success"
    assert len(server.requests) == 1


async def test_of_several_addresses_only_the_allowed_are_tried():
    async with raw_server(say(OK)) as server:
        url = f"http://convex.example:{server.port}"
        outcome = await attempt(
            url, resolve=resolves_to("127.0.0.1", "10.0.0.1"), allow_private_address=False
        )
        assert server.connections == 0
    assert outcome.kind == "address_refused"


async def test_a_name_without_an_address_is_refused():
    outcome = await attempt("http://convex.example", resolve=resolves_to())
    assert (outcome.kind, outcome.error) == ("address_refused", "convex.example: has no address")


async def test_a_payload_that_yields_nothing_is_sent_nowhere():
    async with raw_server(say(OK)) as server:
        outcome = await attempt(server.url, payload="data")
        assert server.connections == 0
    assert outcome.kind == "payload"
    assert "yields nothing" in outcome.error


async def test_a_payload_is_sent_as_json_in_place_of_the_body():
    one = claim(body=json.dumps({"data": {"jobId": "j", "text": "é"}}).encode())
    async with raw_server(say(OK)) as server:
        outcome = await attempt(server.url, one, payload="data")
    assert outcome.kind == "success"
    assert json.loads(server.requests[0].body) == {"jobId": "j", "text": "é"}


async def test_new_secrets_are_sent_from_the_next_attempt_on():
    async with raw_server(say(OK)) as server:
        destination = Destination(
            name=A, url=server.url, allow_private_address=True, bearer_token="old", payload="n"
        )
        forwarder = Forwarder(destination, clock=SystemClock())
        await forwarder.forward(claim(1))
        forwarder.take_secrets(Destination(name=A, url="http://elsewhere.invalid", bearer_token="new"))
        await forwarder.forward(claim(2))
        await forwarder.close()
    assert [request.values("authorization") for request in server.requests] == [
        ["Bearer old"],
        ["Bearer new"],
    ]
    assert [request.body for request in server.requests] == [b"1", b"2"]


async def test_an_address_that_swallows_the_connection_gives_way_to_the_next_within_the_time():
    with socket.socket() as full, contextlib.ExitStack() as waiting:
        async with raw_server(say(OK)) as server:
            full.bind(("127.0.0.2", server.port))
            full.listen(0)
            for _ in range(3):  # fills its backlog: the next one's SYN gets no answer
                one = waiting.enter_context(socket.socket())
                one.setblocking(False)
                one.connect_ex(("127.0.0.2", server.port))
            url = f"http://convex.example:{server.port}"
            outcome = await attempt(url, resolve=resolves_to("127.0.0.2", "127.0.0.1"), timeout_seconds=1)
    assert outcome.kind == "success"


async def test_after_a_bad_spell_of_hangs_resets_and_cut_answers_attempts_succeed_again():
    """Requests cancelled by their time-out must not use up what later ones need."""
    chance = random.Random(3)
    healthy = asyncio.Event()

    async def moody(_request, writer):
        mood = 1 if healthy.is_set() else chance.random()
        if mood < 0.3:
            await asyncio.sleep(3)
        elif mood < 0.4:
            writer.transport.abort()
            return
        elif mood < 0.6:
            await asyncio.sleep(chance.uniform(0.015, 0.025))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
        await writer.drain()
        if not healthy.is_set() and chance.random() < 0.3:
            await asyncio.sleep(chance.uniform(0, 0.03))
        writer.write(b"ok")
        await writer.drain()

    async with raw_server(moody) as server:
        destination = Destination(
            name=A, url=server.url, allow_private_address=True, timeout_seconds=0.02, max_in_flight=4
        )
        forwarder = Forwarder(destination, clock=SystemClock())
        for _ in range(50):  # more at once than any bound that a pool could be given
            await asyncio.gather(*(forwarder.forward(claim(n)) for n in range(8)))
        healthy.set()
        await asyncio.sleep(0.1)  # lets the requests that hang end
        kinds = [(await forwarder.forward(claim(n))).kind for n in range(20)]
        await forwarder.close()
    assert kinds.count("success") >= 15, kinds  # 20 ms are little on a busy machine


async def test_connections_are_used_again():
    destination = Destination(name=A, url="", allow_private_address=True, max_in_flight=2)
    async with raw_server(say(OK)) as server:
        forwarder = Forwarder(
            Destination(
                name=A, url=server.url, allow_private_address=True, max_in_flight=destination.max_in_flight
            ),
            clock=SystemClock(),
        )
        for number in range(10):
            assert (await forwarder.forward(claim(number))).kind == "success"
        await forwarder.close()
    assert server.connections == 1


def sends(*pieces, close=True):
    """Answers with `pieces`, each on its way before the next is written."""

    async def answer(_request, writer):
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        if close:
            writer.close()

    return answer


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
GZIPPED = gzip.compress(b"x" * 10_000_000)


@pytest.mark.parametrize(
    ("pieces", "response"),
    [
        pytest.param([b"HTTP/1.0 200 OK\r\n\r\nto the", b" end"], b"to the end", id="HTTP/1.0"),
        pytest.param([CHUNKED, b"4\r\nhalf\r\n", b"0\r\n\r\n"], b"half", id="chunks"),
        pytest.param([CHUNKED, b"4\r\nhalf\r\nzz\r\n"], b"half", id="broken chunks"),
        pytest.param([CHUNKED, b"4\r\nhalf\r\n0\r\nX-Trailer: 1\r\n\r\n"], b"half", id="a trailer"),
        pytest.param([b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok garbage"], b"ok", id="garbage after it"),
        pytest.param(
            [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 500 No\r\nContent-Length: 1\r\n\r\nx"],
            b"ok",
            id="a second answer",
        ),
        pytest.param([b"HTTP/1.1 200 OK\r\nX: \xff\xfe\r\nContent-Length: 2\r\n\r\nok"], b"ok", id="no ASCII"),
        pytest.param(
            [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", OK.replace("\n", "\r\n").encode()],
            b"ok",
            id="announcements",
        ),
        pytest.param(
            [b"HTTP/1.1 200 OK\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nok"],
            b"ok",
            id="an offer to upgrade",
        ),
        pytest.param(
            [b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(GZIPPED), GZIPPED],
            GZIPPED[:KEPT_RESPONSE_BYTES],
            id="a bomb",
        ),
    ],
)  # fmt: skip
async def test_answers_that_are_odd_but_sound_count(pieces, response):
    async with raw_server(sends(*pieces)) as server:
        outcome = await attempt(server.url)
    assert (outcome.kind, outcome.status, outcome.response) == ("success", 200, response)


@pytest.mark.parametrize(
    ("pieces", "error"),
    [
        pytest.param([], "without an answer", id="closed"),
        pytest.param([b"HTTP/1.1 20"], "without an answer", id="cut in the head"),
        pytest.param([b"HTTP/1.1 100 Continue\r\n\r\n"], "without an answer", id="closed after an announcement"),
        pytest.param([b"HTTP/1.1 101 Other\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"], "unasked", id="upgraded"),
        pytest.param(
            [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok"],
            "not HTTP",
            id="two lengths",
        ),
        pytest.param([b"HTTP/1.1 200 OK\r\nX: a\nb\r\n\r\n"], "not HTTP", id="a broken line"),
    ],
)  # fmt: skip
async def test_a_connection_that_ends_before_there_is_a_status_is_no_answer(pieces, error):
    async with raw_server(sends(*pieces)) as server:
        outcome = await attempt(server.url)
    assert (outcome.kind, outcome.status) == ("no_answer", None)
    assert error in outcome.error


@pytest.mark.parametrize("line", [b"X: " + b"a" * 1000 + b"\r\n", b"a" * 1000], ids=["lines", "one line"])
@pytest.mark.parametrize("start", [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 200 OK\r\n"])
async def test_a_head_without_end_is_given_up(start, line):
    sent = 0

    async def endless(_request, writer):
        nonlocal sent
        writer.write(start + b"X-First: ")
        while sent < 100 * MAX_HEAD_BYTES:
            writer.write(line)
            sent += len(line)
            await writer.drain()

    async with raw_server(endless) as server:
        outcome = await attempt(server.url)
    assert outcome.kind == "no_answer"
    assert f"over {MAX_HEAD_BYTES} bytes" in outcome.error
    assert sent < 100 * MAX_HEAD_BYTES


async def test_announcements_without_end_are_given_up():
    async def endless(_request, writer):
        while not writer.is_closing():
            writer.write(b"HTTP/1.1 103 Hints\r\n\r\n" * 100)
            await writer.drain()

    async with raw_server(endless) as server:
        outcome = await attempt(server.url)
    assert outcome.kind == "no_answer"
    assert f"over {MAX_HEAD_BYTES} bytes" in outcome.error


async def test_of_several_retry_after_the_first_is_kept():
    answer = "HTTP/1.1 503 Busy\nContent-Length: 0\nRetry-After: 7\nX: 1\nretry-after: 9\n\n"
    async with raw_server(say(answer)) as server:
        outcome = await attempt(server.url)
    assert outcome.retry_after == "7"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nRetry-After: 9\r\n\r\n",
        b"HTTP/1.1 103 Hints\r\nRetry-After: 9\r\n\r\nHTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
    ],
    ids=["trailer", "announcement"],
)
async def test_what_is_no_header_of_the_answer_is_not_taken_for_one(answer):
    async with raw_server(sends(answer)) as server:
        outcome = await attempt(server.url)
    assert (outcome.status, outcome.retry_after) == (503, None)


@contextlib.asynccontextmanager
async def reads_only_heads(answer):
    """Gives `answer` when it has read a request's head; yields its address and a list with an entry for each connection."""
    connections, over = [], asyncio.Event()

    async def serve(reader, writer):
        connections.append(asyncio.current_task())
        await reader.readuntil(b"\r\n\r\n")
        reader._transport.pause_reading()  # noqa: SLF001 - else it reads on by itself
        answer(writer)
        await over.wait()
        writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", connections
    finally:
        over.set()
        server.close()
        await asyncio.gather(*connections)


TOO_LARGE = b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"
LARGE = b"x" * 20_000_000
"""More than what lies between two sockets can take."""


@pytest.mark.parametrize("end", ["stays", "closes"])
async def test_an_answer_given_before_the_body_is_read_counts_and_ends_the_connection(end):
    """As servers do that refuse a body for its length: they answer, and read no more."""

    def refuse(writer):
        writer.write(TOO_LARGE)
        if end == "closes":
            writer.close()  # with bytes unread: the peer sees a reset after the answer

    async with reads_only_heads(refuse) as (url, connections):
        forwarder = Forwarder(Destination(name=A, url=url, allow_private_address=True), clock=SystemClock())
        outcomes = [await forwarder.forward(claim(body=LARGE)) for _ in range(2)]
        await forwarder.close()
        assert [outcome.status for outcome in outcomes] == [413, 413], outcomes
        assert len(connections) == 2


async def test_a_peer_that_says_its_end_in_the_middle_of_a_request_ends_the_attempt_at_once():
    async with reads_only_heads(lambda writer: writer.write_eof()) as (url, _):
        outcome = await attempt(url, claim(body=LARGE))
    assert outcome.kind == "no_answer"
    assert outcome.duration_ms < 4000


@pytest.mark.parametrize(
    "header",
    [(b"x-a", b"1\r\nx-b: 2"), (b"x-a: 1\r\nx-b", b"2"), (b"x a", b"1"), (b"", b"1"), (b"x-a", b"\x00")],
)
async def test_a_header_that_would_break_out_of_its_line_is_not_sent(header):
    async with raw_server(say(OK)) as server:
        outcome = await attempt(server.url, claim(webhook=Webhook(headers=(header,), query=b"", body=b"{}")))
        assert server.requests == []
    assert outcome.kind == "no_answer"
    assert "header" in outcome.error


async def test_headers_are_sent_byte_for_byte_with_what_http_needs_and_nothing_else():
    headers = ((b"X-Mixed", b"caf\xe9"), (b"x-twice", b"1"), (b"x-twice", b"2"), (b"x-empty", b""))
    async with raw_server(say(OK)) as server:
        await attempt(server.url, claim(webhook=Webhook(headers=headers, query=b"", body=b"")))
        host = f"127.0.0.1:{server.port}"
    (request,) = server.requests
    own = [header for header in request.headers if header[0].startswith(("webhook-", "x-gateway-"))]
    rest = [header for header in request.headers if header not in own and header[0] != "traceparent"]
    assert rest == [
        ("host", host),
        *((name.decode(), value.decode("latin-1")) for name, value in headers),
        ("content-length", "0"),
    ]


async def test_cookies_are_not_kept():
    async with raw_server(say("HTTP/1.1 200 OK\nSet-Cookie: a=b\nContent-Length: 0\n\n")) as server:
        forwarder = Forwarder(
            Destination(name=A, url=server.url, allow_private_address=True), clock=SystemClock()
        )
        for number in range(2):
            await forwarder.forward(claim(number))
        await forwarder.close()
    assert [request.values("cookie") for request in server.requests] == [[], []]


async def test_proxies_of_the_environment_are_not_used(monkeypatch):
    async with raw_server(say(OK)) as proxy, raw_server(say(OK)) as server:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        outcome = await attempt(server.url)
        assert (outcome.kind, proxy.connections, server.connections) == ("success", 0, 1)


async def test_an_ipv6_address_is_connected_to_and_named_in_brackets():
    heard = []

    async def answer(reader, writer):
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(OK.replace("\n", "\r\n").encode())
        writer.close()

    server = await asyncio.start_server(answer, "::1", 0)
    port = server.sockets[0].getsockname()[1]
    outcome = await attempt(f"http://[::1]:{port}/in")
    server.close()
    assert outcome.kind == "success"
    assert f"\r\nhost: [::1]:{port}\r\n".encode() in heard[0]


async def test_a_mapped_address_is_connected_to_where_that_is_allowed():
    async with raw_server(say(OK)) as server:
        outcome = await attempt(f"http://[::ffff:127.0.0.1]:{server.port}")
    assert outcome.kind == "success"


def certificate(folder, *, names=(), addresses=()):
    """Paths of a certificate that signs itself, for `names` and `addresses`, and of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "made-up")])
    alternatives = [x509.DNSName(name) for name in names]
    alternatives += [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "certificate.pem").write_bytes(signed.public_bytes(pem))
    (folder / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "certificate.pem", folder / "key.pem"


@contextlib.asynccontextmanager
async def tls_server(certificate_file, key_file):
    """Yields its port and the server names that it was asked for."""
    asked = []

    async def answer(reader, writer):
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"content-length:")
                )
                await reader.readexactly(length)
                writer.write(OK.replace("\n", "\r\n").encode())

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate_file, key_file)
    context.sni_callback = lambda _socket, name, _context: asked.append(name)
    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1], asked
    finally:
        server.close()


async def test_a_certificate_for_the_hosts_name_is_taken_and_the_connection_used_again(tmp_path, monkeypatch):
    files = certificate(tmp_path, names=["convex.example"])
    monkeypatch.setenv("SSL_CERT_FILE", str(files[0]))
    async with tls_server(*files) as (port, asked):
        destination = Destination(name=A, url=f"https://convex.example:{port}", allow_private_address=True)
        forwarder = Forwarder(destination, clock=SystemClock(), resolve=resolves_to("127.0.0.1"))
        outcomes = [await forwarder.forward(claim(number, body=b"x" * 100_000)) for number in range(3)]
        await forwarder.close()
    assert [outcome.kind for outcome in outcomes] == ["success"] * 3, outcomes
    assert asked == ["convex.example"]


async def test_a_trusted_certificate_for_another_name_is_no_answer(tmp_path, monkeypatch):
    files = certificate(tmp_path, names=["other.example"], addresses=["127.0.0.1"])
    monkeypatch.setenv("SSL_CERT_FILE", str(files[0]))
    async with tls_server(*files) as (port, _):
        outcome = await attempt(f"https://convex.example:{port}", resolve=resolves_to("127.0.0.1"))
    assert outcome.kind == "no_answer"
    assert "Hostname mismatch" in outcome.error


async def test_a_literal_address_is_verified_as_an_address(tmp_path, monkeypatch):
    files = certificate(tmp_path, addresses=["127.0.0.1"])
    monkeypatch.setenv("SSL_CERT_FILE", str(files[0]))
    async with tls_server(*files) as (port, asked):
        outcome = await attempt(f"https://127.0.0.1:{port}")
    assert outcome.kind == "success", outcome
    assert asked in ([], [None])


async def test_an_untrusted_certificate_is_no_answer(tmp_path):
    async with tls_server(*self_signed(tmp_path)) as (port, _):
        outcome = await attempt(f"https://127.0.0.1:{port}")
    assert outcome.kind == "no_answer"
    assert "CERTIFICATE_VERIFY_FAILED" in outcome.error
