"""One attempt against servers that answer, stall, lie or are not there."""

import asyncio
import contextlib
import json
import random
import socket
import time

import pytest

from gateway.clock import SystemClock
from gateway.config import Destination
from gateway.forward import KEPT_RESPONSE_BYTES, Forwarder, resolve_by_system
from gateway.model import Claim, DeliveryId
from tests.support.raw_server import raw_server, say
from tests.support.store import NOW, A, event

OK = "HTTP/1.1 200 OK\nContent-Length: 2\n\nok"


def claim(number=1, *, attempt=1, **changes):
    return Claim(DeliveryId(number), attempt, A, event(number, **changes), NOW)


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


async def test_an_untrusted_certificate_is_no_answer(tmp_path):
    import ssl  # noqa: PLC0415 - for this test alone

    from tests.support.certificate import self_signed  # noqa: PLC0415 - for this test alone

    certificate, key = self_signed(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    server = await asyncio.start_server(lambda _r, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    outcome = await attempt(f"https://127.0.0.1:{port}")
    server.close()
    assert outcome.kind == "no_answer"
    assert "CERTIFICATE_VERIFY_FAILED" in outcome.error
