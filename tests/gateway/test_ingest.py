"""POST /webhooks/{source} over real sockets: every answer, and that nothing is stored or lost that should not be."""

import asyncio
import gzip
import json
import logging
import socket
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.ingest import ANSWER_SECONDS
from gateway.limits import Limits
from tests.support.accepting import accepting
from tests.support.clock import ManualClock
from tests.support.gateway_app import (
    KEY,
    MAX_BODY_BYTES,
    SECRET,
    SOURCES,
    fresh_id,
    problem_of,
    recording_destination,
    running_gateway,
    signed,
)
from tests.support.store import rows
from tests.support.waiting import eventually

MORE_SOURCES = f"""
{SOURCES}
[[sources]]
name = "changing"
preset = "standard-webhooks"
secrets = ["{SECRET}"]
same_id = "duplicate"

[[sources]]
name = "open"
verify = {{ kind = "none" }}
"""


@pytest.fixture(scope="module")
def destination():
    with recording_destination() as recording:
        yield recording


@pytest.fixture(scope="module")
def gateway(tmp_path_factory, destination):
    text = f"""{MORE_SOURCES}
    [[destinations]]
    name = "app"
    url = "{destination.url}/in"
    event_types = ["wanted.*"]
    allow_private_address = true
    """
    with running_gateway(tmp_path_factory.mktemp("gateway"), text) as running:
        yield running


def send(gateway, data: bytes, *, wait: float = 5) -> bytes:
    """What the gateway answers to `data`, until it has no more to say for a moment or closes."""
    with closing(socket.create_connection(("127.0.0.1", gateway.port), timeout=wait)) as connection:
        connection.sendall(data)
        answer = connection.recv(65_536)
        connection.settimeout(0.1)
        try:
            while more := connection.recv(65_536):
                answer += more
        except (TimeoutError, ConnectionResetError):
            pass
        return answer


def request(path="/webhooks/producer", *, method="POST", headers=(), body=b"") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: gateway", *headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def lines(headers):
    return [f"{name}: {value}" for name, value in headers.items()]


def stored(gateway) -> int:
    ((number,),) = rows(gateway.path, "SELECT count(*) FROM events")
    return number


def test_a_new_event_is_accepted_and_reaches_its_destination(gateway, destination):
    body = b'{"type": "wanted.thing", "data": {"jobId": "j1"}}'
    response = gateway.post(body)
    assert response.status_code == 200
    assert response.json() == {"event_id": response.json()["event_id"], "status": "accepted"}
    event_id = response.json()["event_id"]
    (received,) = eventually(
        lambda: [one for one in destination.received if one.values("webhook-id") == [event_id]]
    )
    assert received.body == body
    assert received.values("webhook-signature") == []


def test_the_same_webhook_again_is_a_duplicate_of_the_first(gateway):
    message_id = fresh_id()
    first = gateway.post(message_id=message_id).json()
    before = stored(gateway)
    again = gateway.post(message_id=message_id)
    assert (again.status_code, again.json()) == (200, {"event_id": first["event_id"], "status": "duplicate"})
    assert stored(gateway) == before


def test_a_known_id_with_another_body_is_a_new_event_and_marked(gateway):
    message_id = fresh_id()
    first = gateway.post(b'{"n": 1}', message_id=message_id).json()
    second = gateway.post(b'{"n": 2}', message_id=message_id).json()
    assert (second["id_reused"], second["status"]) == (True, "unrouted")
    assert second["event_id"] != first["event_id"]


def test_a_known_id_with_another_body_is_a_duplicate_where_bodies_change_between_attempts(gateway):
    message_id = fresh_id()
    first = gateway.post(b'{"n": 1}', source="changing", message_id=message_id).json()
    second = gateway.post(b'{"n": 2}', source="changing", message_id=message_id).json()
    assert second == {"event_id": first["event_id"], "status": "duplicate"}


def test_what_is_over_a_sources_rate_is_answered_429_until_its_time_has_come(tmp_path):
    clock = ManualClock(round(time.time() * 1000))
    with accepting(tmp_path, SOURCES + "rate_per_second = 3\n", clock=clock) as gateway:

        def post(**headers):
            sent = {**signed(b"{}", at=clock.wall_ms() // 1000), **headers}
            return httpx.post(
                f"http://127.0.0.1:{gateway.port}/webhooks/producer", content=b"{}", headers=sent
            )

        assert [post(**{"webhook-signature": "v1,AAAA"}).status_code for _ in range(5)] == [401] * 5
        assert [post().status_code for _ in range(3)] == [200] * 3
        refused = post()
        assert (problem_of(refused)["status"], refused.headers["retry-after"]) == (429, "1")
        assert gateway.rejected("rate_limited") == 1
        clock.advance(0.4)
        assert [post().status_code for _ in range(2)] == [200, 429]
        clock.advance(60)
        assert [post().status_code for _ in range(4)] == [200, 200, 200, 429]


def test_a_rate_below_one_a_second_says_how_long_to_wait(tmp_path):
    clock = ManualClock(round(time.time() * 1000))
    with accepting(tmp_path, SOURCES + "rate_per_second = 0.1\n", clock=clock) as gateway:
        url = f"http://127.0.0.1:{gateway.port}/webhooks/producer"
        sent = [httpx.post(url, content=b"{}", headers=signed(b"{}")) for _ in range(2)]
        assert [one.status_code for one in sent] == [200, 429]
        assert sent[1].headers["retry-after"] == "10"


def test_an_event_that_nobody_wants_is_stored_all_the_same(gateway):
    response = gateway.post(b'{"type": "unwanted"}')
    assert response.json()["status"] == "unrouted"
    shown = gateway.admin(f"/v1/events/{response.json()['event_id']}").json()
    assert (shown["state"], shown["deliveries"], shown["type"]) == ("unrouted", [], "unwanted")


def test_forty_simultaneous_copies_are_one_event_with_one_id_delivered_once(gateway, destination):
    body, message_id = b'{"type": "wanted.copies"}', fresh_id()
    headers = signed(body, message_id=message_id)

    def post(_):
        return gateway.client.post(f"{gateway.url}/webhooks/producer", content=body, headers=headers).json()

    with ThreadPoolExecutor(40) as pool:
        answers = list(pool.map(post, range(40)))
    assert len({answer["event_id"] for answer in answers}) == 1
    assert sorted(answer["status"] for answer in answers) == ["accepted"] + ["duplicate"] * 39
    gateway.post(b'{"type": "wanted.marker"}')
    eventually(lambda: any(b"wanted.marker" in one.body for one in destination.received))
    assert [one.body for one in destination.received].count(body) == 1


UNAUTHENTIC = {
    "missing": lambda headers: {**headers, "webhook-signature": None},
    "empty": lambda headers: {**headers, "webhook-signature": ""},
    "forged": lambda headers: {**headers, "webhook-signature": "v1,AAAA"},
    "other version": lambda headers: {
        **headers,
        "webhook-signature": headers["webhook-signature"].replace("v1", "v2"),
    },
    "no time": lambda headers: {**headers, "webhook-timestamp": "now"},
    "old": lambda _: signed(b"{}", at=int(time.time()) - 301),
    "new": lambda _: signed(b"{}", at=int(time.time()) + 400),
    "other secret": lambda _: signed(b"{}", key=b"another"),
    "other body": lambda _: signed(b"{ }"),
    "token": lambda _: {"authorization": f"Bearer {SECRET}"},
}


def test_every_failure_to_authenticate_has_the_same_answer_and_stores_nothing(gateway):
    before, answers = stored(gateway), set()
    for change in UNAUTHENTIC.values():
        headers = {name: value for name, value in change(signed(b"{}")).items() if value is not None}
        response = gateway.client.post(f"{gateway.url}/webhooks/producer", content=b"{}", headers=headers)
        problem_of(response)
        answers.add((response.status_code, response.content, tuple(response.headers)))
    assert len(answers) == 1
    assert answers.pop()[0] == 401
    assert stored(gateway) == before


@pytest.mark.parametrize("expect", [[], ["Expect: 100-continue"]])
def test_without_a_signature_the_answer_comes_before_the_body(gateway, expect):
    answer = send(gateway, request(headers=["Content-Length: 60000", *expect]))
    assert status(answer) == 401


def test_a_client_that_waits_for_100_continue_gets_it_when_its_headers_are_there(gateway):
    body = b"{}"
    head = request(headers=[*lines(signed(body)), "Content-Length: 2", "Expect: 100-continue"])
    with closing(socket.create_connection(("127.0.0.1", gateway.port), timeout=5)) as connection:
        connection.sendall(head)
        assert connection.recv(1000).startswith(b"HTTP/1.1 100")
        connection.sendall(body)
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "name",
    [
        "nobody",
        "Producer",
        "producer%20",
        "produc%C3%A9r",
        "a%2Fb",
        "a/b",
        "%00",
        "..",
        "producer/",
        "%FF",
        "☃".encode().hex(),
        "",
    ],
)
def test_an_unknown_source_is_a_404_that_repeats_nothing(gateway, name):
    before = gateway.count("gateway_webhooks_rejected_total", source="unknown", reason="unknown_source")
    answer = send(gateway, request(f"/webhooks/{name}", headers=["Content-Length: 0"]))
    assert status(answer) == 404
    assert b"application/problem+json" in answer
    after = gateway.count("gateway_webhooks_rejected_total", source="unknown", reason="unknown_source")
    assert after == before + 1


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"])
def test_every_method_but_post_is_a_405_that_names_post(gateway, method):
    response = gateway.client.request(method, f"{gateway.url}/webhooks/producer")
    assert (response.status_code, response.headers["allow"]) == (405, "POST")
    if method != "HEAD":
        problem_of(response)


def test_an_announced_body_that_is_too_large_is_refused_before_it_is_sent(gateway):
    answer = send(gateway, request(headers=[*lines(signed(b"")), f"Content-Length: {MAX_BODY_BYTES + 1}"]))
    assert status(answer) == 413
    assert b"application/problem+json" in answer


def test_an_unannounced_body_is_refused_as_soon_as_it_is_too_large(gateway):
    chunk = b"8000\r\n" + b"x" * 0x8000 + b"\r\n"
    head = request(headers=[*lines(signed(b"")), "Transfer-Encoding: chunked"])
    assert status(send(gateway, head + chunk * 3)) == 413


def test_a_body_of_just_the_limit_is_taken(gateway):
    assert gateway.post(b"x" * MAX_BODY_BYTES).status_code == 200
    assert gateway.post(b"x" * (MAX_BODY_BYTES + 1)).status_code == 413


def test_a_chunked_body_is_taken_as_one(gateway):
    body = b'{"a": 1}'
    response = gateway.client.post(
        f"{gateway.url}/webhooks/producer", content=iter([body[:3], body[3:]]), headers=signed(body)
    )
    assert response.status_code == 200


def test_a_client_that_goes_away_in_the_middle_of_its_body_stores_nothing(gateway):
    before = stored(gateway)
    refused = gateway.count("gateway_webhooks_rejected_total", source="producer", reason="too_slow")
    with closing(socket.create_connection(("127.0.0.1", gateway.port))) as connection:
        connection.sendall(request(headers=[*lines(signed(b"{}")), "Content-Length: 2"], body=b"{"))
    eventually(
        lambda: (
            gateway.count("gateway_webhooks_rejected_total", source="producer", reason="too_slow") > refused
        )
    )
    assert stored(gateway) == before


def test_neither_a_body_nor_the_store_is_waited_for_longer_than_producers_wait():
    assert 1 < Limits().body_seconds <= 15
    assert ANSWER_SECONDS == 1


BODIES = {
    "empty": b"",
    "not UTF-8": b"\xff\xfe\x00\x80",
    "no JSON": b"{",
    "deep": b"[" * 30_000 + b"]" * 30_000,
    "NaN": b'{"type": NaN}',
    "huge number": b'{"type": ' + b"9" * 10_000 + b"}",
    "half a surrogate pair": b'{"type": "\\ud800", "data": {"jobId": "\\udfff"}}',
    "surrogate as UTF-8": b'{"type": "\xed\xa0\x80"}',
    "long type": json.dumps({"type": "t" * 201, "data": {"jobId": "k" * 257}}).encode(),
    "type of another kind": b'{"type": {"a": 1}, "data": {"jobId": [1]}}',
    "infinite key": b'{"data": {"jobId": 1e999}}',
    "gzip": gzip.compress(b'{"type": "wanted.gzip"}'),
    "null byte": b'{"type": "a\\u0000b", "data": {"jobId": "\\u0000"}}',
    "UTF-16": '{"type": "x"}'.encode("utf-16"),
    "byte order mark": b'\xef\xbb\xbf{"type": "bom"}',
    "an array": b"[1, 2]",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_verified_body_is_never_refused_for_its_content_and_kept_byte_for_byte(gateway, body):
    response = gateway.post(body)
    assert response.status_code == 200, response.text
    shown = gateway.admin(f"/v1/events/{response.json()['event_id']}")
    assert shown.status_code == 200
    ((kept,),) = rows(gateway.path, f"SELECT body FROM events WHERE id = '{response.json()['event_id']}'")  # noqa: S608 - an id the gateway made
    assert kept == body


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=300), query=st.binary(max_size=30))
def test_no_bytes_in_body_and_query_are_refused_when_rightly_signed(gateway, body, query):
    headers = [*lines(signed(body)), f"Content-Length: {len(body)}", "Connection: close"]
    encoded = "".join(f"%{byte:02x}" for byte in query)
    assert status(send(gateway, request(f"/webhooks/producer?{encoded}", headers=headers, body=body))) == 200


def test_type_and_ordering_key_that_do_not_fit_are_null(gateway):
    event_id = gateway.post(BODIES["long type"]).json()["event_id"]
    shown = gateway.admin(f"/v1/events/{event_id}").json()
    assert (shown["type"], shown["ordering_key"]) == (None, None)


@pytest.mark.parametrize(
    ("key", "expected"),
    [("7", "7"), ('"7"', "7"), ("1.5", "1.5"), ("true", None), ("null", None), ('""', None), ("1e999", None)],
)
def test_an_ordering_key_is_a_string_or_a_number(gateway, key, expected):
    event_id = gateway.post(b'{"data": {"jobId": %s}}' % key.encode()).json()["event_id"]
    assert gateway.admin(f"/v1/events/{event_id}").json()["ordering_key"] == expected


def test_ids_too_long_to_keep_are_told_apart_all_the_same(gateway):
    first, second, again = (
        gateway.post(b"{}", message_id=digit * 513).json()["status"] for digit in ("1", "2", "1")
    )
    assert (first, second, again) == ("unrouted", "unrouted", "duplicate")


def test_whoever_ends_its_side_after_the_webhook_is_answered(gateway):
    body = b'{"half": "closed"}'
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as connection:
        connection.sendall(request(headers=[*lines(signed(body)), f"Content-Length: {len(body)}"], body=body))
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200 OK")


def test_an_open_source_tells_webhooks_apart_by_their_bodies(gateway):
    first, second, third = (
        gateway.client.post(f"{gateway.url}/webhooks/open", content=body).json()
        for body in (b"1", b"1", b"2")
    )
    assert (first["status"], second["status"], third["status"]) == ("unrouted", "duplicate", "unrouted")


def test_pipelined_webhooks_are_answered_in_their_order(gateway):
    def one(body):
        return request(headers=[*lines(signed(body)), f"Content-Length: {len(body)}"], body=body)

    answer = send(gateway, one(b"1") + request("/healthz", method="GET") + one(b"2"))
    assert answer.count(b"HTTP/1.1 200 OK") == 3
    assert answer.index(b"event_id") < answer.index(b'"ok"') < answer.rindex(b"event_id")


@pytest.mark.parametrize(
    "extra",
    [
        ["Content-Length: 2", "Content-Length: 3"],
        ["Content-Length: -1"],
        ["Content-Length: 2x"],
        ["Content-Length: 2", "Transfer-Encoding: chunked, identity"],
        ["Bad Header: x"],
        ["\x00: x"],
    ],
)
def test_what_is_no_sound_http_is_a_400_and_stores_nothing(gateway, extra):
    before = stored(gateway)
    answer = send(gateway, request(headers=[*lines(signed(b"{}")), *extra], body=b"{}"))
    assert status(answer) == 400
    assert stored(gateway) == before


def test_what_was_received_is_shown_to_the_admin_as_it_was(gateway):
    body = b"\x00\xff"
    headers = [
        *lines(signed(body)),
        "X-Odd: caf\xe9",
        "X-Twice: 1",
        "X-Twice: 2",
        "Content-Length: 2",
        "Connection: close",
    ]
    answer = send(gateway, request("/webhooks/producer?a=%20&b", headers=headers, body=body))
    event_id = json.loads(answer.rpartition(b"\r\n")[2])["event_id"]
    shown = gateway.admin(f"/v1/events/{event_id}").json()
    assert (shown["query"], shown["body_base64"]) == ("a=%20&b", "AP8=")
    assert ["x-odd", "caf\xe9"] in shown["headers"]
    assert [value for name, value in shown["headers"] if name == "x-twice"] == ["1", "2"]


def test_a_store_that_cannot_write_is_a_503_and_a_later_retry_loses_and_doubles_nothing(tmp_path):
    with running_gateway(tmp_path) as gateway:
        body, message_id = b'{"n": 1}', fresh_id()
        other = sqlite3.connect(gateway.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")  # as a backup tool or a person with sqlite3 might
        started = time.monotonic()
        refused = gateway.post(body, message_id=message_id)
        assert time.monotonic() - started < 2
        problem_of(refused)
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) > 0
        other.execute("ROLLBACK")
        other.close()
        answer = gateway.post(body, message_id=message_id)
        assert answer.status_code == 200
        assert stored(gateway) == 1
        assert gateway.count("gateway_webhooks_rejected_total", source="producer", reason="unavailable") == 1


def test_every_request_is_counted_under_exactly_one_outcome(tmp_path):
    with running_gateway(tmp_path, MORE_SOURCES) as gateway:
        known = fresh_id()
        gateway.post(b"1", message_id=known)
        gateway.post(b"1", message_id=known)
        gateway.post(b"2", message_id=known)
        gateway.post(b"x" * (MAX_BODY_BYTES + 1))
        gateway.post(source="nobody")
        gateway.client.get(f"{gateway.url}/webhooks/open")
        for change in UNAUTHENTIC.values():
            headers = {name: value for name, value in change(signed(b"{}")).items() if value is not None}
            gateway.client.post(f"{gateway.url}/webhooks/producer", content=b"{}", headers=headers)
        counted = gateway.webhooks()
        assert counted == {
            ("producer", "unrouted"): 1,
            ("producer", "duplicate"): 1,
            ("producer", "id_reused"): 1,
            ("producer", "rejected"): 1 + len(UNAUTHENTIC),
            ("unknown", "rejected"): 1,
            ("open", "rejected"): 1,
        }
        reasons = {
            "missing_header": 2,
            "malformed": 1,
            "too_old": 1,
            "too_new": 1,
            "bad_signature": 5,
            "too_large": 1,
        }
        for reason, number in reasons.items():
            assert (
                gateway.count("gateway_webhooks_rejected_total", source="producer", reason=reason) == number
            ), reason
        assert (
            gateway.count("gateway_webhooks_rejected_total", source="unknown", reason="unknown_source") == 1
        )
        assert gateway.count("gateway_webhooks_rejected_total", source="open", reason="method") == 1
        assert gateway.count("gateway_secret_used_total", source="producer", secret="0") == 3


async def test_the_log_says_what_happened_and_never_secrets_or_bodies(gateway, caplog):
    caplog.set_level(logging.DEBUG)
    body = b'{"type": "t", "data": {"text": "a private sentence"}}'
    await asyncio.to_thread(gateway.post, body)
    await asyncio.to_thread(gateway.post, body, source="A-Token-In-Place-Of-A-Name")
    await asyncio.to_thread(gateway.post, body, source="0f1e2d3c4b5a69788796a5b4c3d2e1f0")
    forged = signed(body, key=b"x")
    await asyncio.to_thread(
        gateway.client.post, f"{gateway.url}/webhooks/producer", content=body, headers=forged
    )
    ours = [one for one in caplog.records if one.name == "gateway"]
    assert {"webhook.accepted", "webhook.rejected"} <= {one.getMessage() for one in ours}
    text = "".join(f"{one.getMessage()}{one.__dict__}" for one in ours)
    for secret in (
        "a private sentence",
        SECRET,
        KEY.decode(),
        forged["webhook-signature"],
        "A-Token-In-Place-Of-A-Name",
        "0f1e2d3c4b5a69788796a5b4c3d2e1f0",
    ):
        assert secret not in text


def test_the_log_has_the_name_that_no_source_has_where_it_could_be_ones(tmp_path, caplog):
    expected = {
        "biling": "biling",
        "a" * 31: "a" * 31,
        "a" * 32: None,  # as long as a secret
        "b?token=made-up": "b",
        "Biling": None,
        "biling/": None,
        "biling%0a": None,
        "": None,
    }
    with running_gateway(tmp_path) as gateway:
        answers = [gateway.post(source=asked) for asked in expected]
    assert {answer.status_code for answer in answers} == {404}
    lines = [one.fields for one in caplog.records if one.getMessage() == "webhook.rejected"]
    assert [line["name"] for line in lines] == list(expected.values())
    assert {(line["source"], line["sender"]) for line in lines} == {("unknown", "127.0.0.1")}
    assert "made-up" not in str(lines)


DAY = 86_400


def post(gateway, headers, body=b"{}"):
    head = request(headers=[*lines(headers), f"Content-Length: {len(body)}", "Connection: close"], body=body)
    answer = send(gateway, head)
    return status(answer), answer.lower()


@pytest.mark.parametrize(("by_seconds", "reason"), [(DAY, "too_old"), (-DAY, "too_new"), (301, "too_old")])
def test_an_honest_producer_is_asked_to_come_again_while_the_gateways_clock_is_wrong(
    tmp_path, by_seconds, reason
):
    clock = ManualClock(int(time.time()) * 1000)
    with accepting(tmp_path, clock=clock) as gateway:
        clock.set_wall(by_seconds)
        found, answer = post(gateway, signed(b"{}"))
        assert found == 503
        assert b"\r\nretry-after: " in answer
        assert b"application/problem+json" in answer
        assert (gateway.rejected("unavailable"), gateway.rejected(reason)) == (1, 0)
        clock.set_wall(-by_seconds)
        assert post(gateway, signed(b"{}"))[0] == 200
        assert stored(gateway) == 1


@pytest.mark.parametrize("by_seconds", [DAY, -DAY])
def test_a_clock_that_was_set_makes_no_forgery_worth_a_503(tmp_path, by_seconds):
    clock = ManualClock(int(time.time()) * 1000)
    with accepting(tmp_path, clock=clock) as gateway:
        clock.set_wall(by_seconds)
        for headers in (
            signed(b"{}", key=b"another"),
            {**signed(b"{}"), "webhook-signature": "v1,AAAA"},
            {**signed(b"{}"), "webhook-timestamp": "now"},
        ):
            assert post(gateway, headers)[0] == 401
        assert gateway.rejected("unavailable") == 0


@pytest.mark.parametrize(("at", "reason"), [(-301, "too_old"), (301, "too_new"), (-DAY, "too_old")])
@pytest.mark.parametrize("moved", [0, 300, -300])
def test_a_replay_is_refused_where_the_clock_is_sound_within_the_tolerance(tmp_path, at, reason, moved):
    now = int(time.time())
    clock = ManualClock(now * 1000)
    with accepting(tmp_path, clock=clock) as gateway:
        clock.set_wall(moved)
        assert post(gateway, signed(b"{}", at=now + moved + at))[0] == 401
        assert (gateway.rejected(reason), gateway.rejected("unavailable")) == (1, 0)


def test_time_that_passes_is_no_clock_that_was_set(tmp_path):
    now = int(time.time())
    clock = ManualClock(now * 1000)
    with accepting(tmp_path, clock=clock) as gateway:
        clock.advance(DAY)
        assert post(gateway, signed(b"{}", at=now))[0] == 401
        assert post(gateway, signed(b"{}", at=now + DAY))[0] == 200


def test_a_source_whose_secrets_are_all_over_is_warned_about_at_the_start(tmp_path, caplog):
    text = (
        '[[sources]]\nname = "a"\npreset = "github"\n'
        'secrets = [{ value = "over", not_after = 2020-01-01T00:00:00Z }, { value = "new", shadow = true }]\n'
        '[[sources]]\nname = "b"\npreset = "github"\nsecrets = ["current"]\n'
    )
    with running_gateway(tmp_path, text):
        warned = [one.fields for one in caplog.records if one.getMessage() == "source.without_secret"]
    assert warned == [{"source": "a"}]
