"""W3C Trace Context: what counts as the producer's span, and that ids are made of what is stored."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import EventId, Webhook
from gateway.tracing import context
from gateway.tracing.context import Context

TRACE, SPAN = "a" * 32, "b" * 16


def received(*values: bytes | str) -> Context | None:
    headers = [(b"Traceparent", value.encode() if isinstance(value, str) else value) for value in values]
    text = context.received(Webhook(headers=tuple(headers), query=b"", body=b""))
    return None if text is None else context.read(text)


@pytest.mark.parametrize("flags", [0x00, 0x01, 0x02, 0x03, 0xFF])
def test_a_traceparent_is_read_and_written_alike(flags):
    text = f"00-{TRACE}-{SPAN}-{flags:02x}"
    read = received(text)
    assert read == Context(int(TRACE, 16), int(SPAN, 16), flags)
    assert read.header().decode() == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01 ",
        f"00-{TRACE}-{SPAN}-01\n",
        f"0-{TRACE}-{SPAN}-01",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"01-{TRACE}-{SPAN}-01more",
        "00-" + "\u0661" * 32 + f"-{SPAN}-01",
    ],
)
def test_what_the_standard_does_not_allow_is_no_trace(text):
    assert received(text) is None


def test_several_are_none():
    assert received(f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-01") is None


@pytest.mark.parametrize("more", ["", "-", "-what-ever"])
def test_of_a_later_version_only_what_this_one_knows_is_believed(more):
    read = received(f"01-{TRACE}-{SPAN}-ff{more}")
    assert read == Context(int(TRACE, 16), int(SPAN, 16), context.SAMPLED)


@given(st.binary(max_size=80))
def test_no_bytes_make_it_raise(value):
    received(value)


def test_an_events_ids_are_the_same_after_every_restart():
    assert context.made_of(EventId("evt_1")) == b"00-7d4e5a76eae6d8c165410ac19fe67565-21ba86ed96752d01-01"
