"""What a destination receives: the event as it came, less what was for the gateway, with the gateway's own headers."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import Destination
from gateway.model import Claim, DeliveryId, Webhook
from gateway.outgoing import Composer, PayloadError
from tests.support.store import NOW, A, event

RECEIVED = (
    (b"content-type", b"application/json"),
    (b"content-encoding", b"identity"),
    (b"user-agent", b"producer/1"),
    (b"x-kind", b"one"),
    (b"x-kind", b"two"),
    (b"authorization", b"Basic abc"),
)


def claim(body=b'{"data": {"a": 1}}', *, headers=RECEIVED, query=b"", attempt=1, **changes):
    one = event(7, webhook=Webhook(headers=tuple(headers), query=query, body=body), **changes)
    return Claim(
        delivery_id=DeliveryId(7),
        attempt=attempt,
        destination=A,
        event=one,
        tries=attempt - 1,
        again=attempt > 1,
        queued_at=NOW,
        live_since=NOW,
    )


def composed(one=None, **settings):
    return Composer(Destination(name=A, url="http://app.example", **settings), sources={}).compose(
        one or claim(), now=NOW // 1000
    )


def values(outgoing, name):
    return [value for key, value in outgoing.headers if key.lower() == name]


def test_headers_and_body_come_as_they_were_received():
    outgoing = composed()
    assert outgoing.body == b'{"data": {"a": 1}}'
    assert outgoing.headers[: len(RECEIVED)] == list(RECEIVED)


@pytest.mark.parametrize(
    "name",
    [
        "Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "TE", "Trailer",
        "Transfer-Encoding", "Upgrade", "Expect", "Host", "Content-Length", "Cookie",
    ],
)  # fmt: skip
def test_headers_of_the_connection_and_cookies_are_left_out(name):
    assert values(composed(claim(headers=[(name.encode(), b"x")])), name.lower().encode()) == []


def test_headers_that_connection_names_are_left_out():
    headers = [(b"connection", b"close, X-Hop"), (b"x-hop", b"1"), (b"x-stays", b"1")]
    outgoing = composed(claim(headers=headers))
    assert (values(outgoing, b"x-hop"), values(outgoing, b"x-stays")) == ([], [b"1"])


@pytest.mark.parametrize(
    "name",
    ["webhook-id", "Webhook-Signature", "webhook-timestamp", "X-Gateway-Event-Id", "x-gateway-anything", "X_Gateway_Event_Id", "webhook_id", "x-gateway_source"],
)  # fmt: skip
def test_headers_that_look_like_the_gateways_own_never_come_from_the_producer(name):
    outgoing = composed(claim(headers=[(name.encode(), b"forged")]))
    assert b"forged" not in [value for _, value in outgoing.headers]


def test_the_gateways_own_headers_say_which_event_and_attempt_this_is():
    outgoing = composed(claim(attempt=3, type="thing.happened", query=b"a=1&b=%20"))
    own = {key: value for key, value in outgoing.headers if key.startswith((b"webhook-", b"x-gateway-"))}
    event_id = event(7).id.encode()
    assert own == {
        b"webhook-id": event_id,
        b"x-gateway-event-id": event_id,
        b"x-gateway-source": b"producer",
        b"x-gateway-event-type": b"thing.happened",
        b"x-gateway-attempt": b"3",
        b"x-gateway-received-at": str(NOW).encode(),
        b"x-gateway-query": b"a=1&b=%20",
    }


def test_an_event_without_type_and_query_has_no_headers_for_them():
    outgoing = composed(claim(type=None))
    assert values(outgoing, b"x-gateway-event-type") == values(outgoing, b"x-gateway-query") == []


@given(
    event_type=st.text(st.characters(exclude_categories=["Cs"]), max_size=50), query=st.binary(max_size=50)
)
def test_no_type_and_no_query_can_break_out_of_their_header(event_type, query):
    outgoing = composed(claim(type=event_type, query=query))
    for value in values(outgoing, b"x-gateway-event-type") + values(outgoing, b"x-gateway-query"):
        assert re.fullmatch(rb"[\x21-\x7e]*", value)


def test_a_type_that_is_not_printable_ascii_is_percent_encoded():
    assert values(composed(claim(type="a b\r\nx: é")), b"x-gateway-event-type") == [b"a%20b%0D%0Ax:%20%C3%A9"]


@pytest.mark.parametrize("version", [b"00-%s-01", b"00-%s-00", b"00-%s-03", b"01-%s-ff-what-ever"])
def test_the_producers_trace_is_continued(version):
    trace = version % (b"a" * 32 + b"-" + b"b" * 16)
    assert values(composed(claim(headers=[(b"traceparent", trace)])), b"traceparent") == [trace]


@pytest.mark.parametrize(
    "bad",
    [b"x", b"00-" + b"0" * 32 + b"-" + b"b" * 16 + b"-01", b"00-" + b"A" * 32 + b"-" + b"b" * 16 + b"-01"],
)
def test_without_a_sound_trace_every_attempt_has_the_one_made_of_the_events_id(bad):
    first = composed(claim(headers=[(b"traceparent", bad)], attempt=1))
    second = composed(claim(headers=[], attempt=2))
    (trace,) = values(first, b"traceparent")
    assert re.fullmatch(rb"00-[0-9a-f]{32}-[0-9a-f]{16}-01", trace)
    assert values(second, b"traceparent") == [trace]


def test_a_bearer_token_takes_the_place_of_what_the_producer_sent():
    assert values(composed(bearer_token="made-up"), b"authorization") == [b"Bearer made-up"]


def test_added_headers_take_the_place_of_received_ones_of_the_same_name():
    outgoing = composed(headers={"X-Kind": "mine", "User-Agent": "gateway"})
    assert (values(outgoing, b"x-kind"), values(outgoing, b"user-agent")) == ([b"mine"], [b"gateway"])


def test_a_payload_is_sent_as_json_whatever_the_body_was_called():
    outgoing = composed(payload="data")
    assert json.loads(outgoing.body) == {"a": 1}
    assert values(outgoing, b"content-type") == [b"application/json"]
    assert values(outgoing, b"content-encoding") == []


@pytest.mark.parametrize("text", ["Съешь же ещё этих мягких булок", "いろはにほへと", "😀"])
def test_a_payload_in_any_script_is_no_longer_than_it_came(text):
    body = json.dumps({"data": text}, ensure_ascii=False).encode()
    assert len(composed(claim(body), payload="data").body) < len(body)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"data": "\\ud800"}', b'"\\ud800"'),
        (b'{"data": "\xc3\xa9"}', b'"\xc3\xa9"'),
        (b'{"data": 12345678901234567890123}', b"12345678901234567890123"),
        (b'{"data": false}', b"false"),
        (b'{"data": []}', b"[]"),
    ],
)
def test_a_payload_keeps_its_value(body, expected):
    assert composed(claim(body), payload="data").body == expected


@pytest.mark.parametrize(
    "body",
    [b"{}", b'{"data": null}', b"\xff", b"", b"[" * 50_000, b'{"data": 1e999}', b'{"data": NaN}'],
    ids=range(7),
)
def test_a_payload_that_yields_nothing_is_an_error_with_its_expression(body):
    with pytest.raises(PayloadError, match="payload"):
        composed(claim(body), payload="data")


@given(
    headers=st.lists(st.tuples(st.binary(min_size=1, max_size=20), st.binary(max_size=20)), max_size=5),
    body=st.binary(max_size=50),
)
def test_no_received_bytes_make_it_raise(headers, body):
    assert composed(claim(body, headers=headers)).body == body


def test_what_a_trace_carries_besides_is_passed_on_as_it_came():
    trace = b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-00"
    besides = [(b"tracestate", b"one=1"), (b"Tracestate", b"two=2 "), (b"baggage", b"user=7;p=1")]
    outgoing = composed(claim(headers=[(b"Traceparent", trace), *besides]))
    assert values(outgoing, b"traceparent") == [trace]
    assert [header for header in outgoing.headers if header in besides] == besides


@pytest.mark.parametrize("bad", [[], [b"x"], [b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01"] * 2])
def test_the_state_of_a_trace_that_is_not_sound_goes_no_further_but_baggage_does(bad):
    headers = [*((b"traceparent", one) for one in bad), (b"Tracestate", b"one=1"), (b"baggage", b"user=7")]
    outgoing = composed(claim(headers=headers))
    assert values(outgoing, b"tracestate") == []
    assert values(outgoing, b"baggage") == [b"user=7"]
    assert len(values(outgoing, b"traceparent")) == 1
