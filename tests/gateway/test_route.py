"""Which destinations want an event."""

import json

import pytest

from gateway.config import Destination
from gateway.model import DestinationName, SourceName, Webhook
from gateway.route import Router
from gateway.selector import Content

BODY = {"type": "job.done", "data": {"kind": "a", "n": 3}}


def wanted(event_type="job.done", *, source="one", body=BODY, **settings):
    destination = Destination(name=DestinationName("app"), url="http://app.example", **settings)
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    found = Router([destination]).destinations(
        SourceName(source), event_type, Content(Webhook(headers=(), query=b"", body=raw))
    )
    return bool(found)


def test_by_default_every_event_of_every_source_is_wanted():
    assert wanted()
    assert wanted(None, source="two", body=b"\xff")


@pytest.mark.parametrize(
    ("sources", "expected"), [(("one",), True), (("two", "one"), True), (("two",), False), ((), False)]
)
def test_only_events_of_the_named_sources_are_wanted(sources, expected):
    assert wanted(sources=sources) is expected


@pytest.mark.parametrize(
    ("globs", "event_type", "expected"),
    [
        (("job.*",), "job.done", True),
        (("job.*",), "job.", True),
        (("job.*",), "job", False),
        (("job.*",), "jobs.done", False),
        (("job.*",), "x.job.done", False),
        (("JOB.*",), "job.done", False),
        (("job.don?",), "job.done", True),
        (("job.[cd]one",), "job.done", True),
        (("a", "job.done"), "job.done", True),
        (("job.done",), "job.done\n", False),
        (("job.*",), "job.\n", True),
        (("job+done",), "job.done", False),
        (("*",), "", True),
        ((), "job.done", False),
        (("*",), None, False),
    ],
)
def test_an_event_is_wanted_where_a_glob_matches_its_whole_type(globs, event_type, expected):
    assert wanted(event_type, event_types=globs) is expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("data.kind == 'a'", True),
        ("data.kind == 'b'", False),
        ("data.n > `2` && data.kind != 'b'", True),
        ("data.kind", False),
        ("data.n", False),
        ("data.absent", False),
        ("contains(data, 'x')", False),
        ("length(data.n)", False),
    ],
)
def test_a_filter_wants_an_event_only_where_it_is_true_and_not_merely_something(expression, expected):
    assert wanted(filter=expression) is expected


def test_a_filter_on_a_body_that_is_no_json_wants_nothing():
    assert not wanted(filter="data.kind == 'a'", body=b"\xff")


def test_each_destination_is_asked_and_their_order_is_the_configurations():
    names = [DestinationName(name) for name in ("c", "a", "b")]
    router = Router(
        [
            Destination(name=name, url="http://x", event_types=("no",) if name == "a" else None)
            for name in names
        ]
    )
    found = router.destinations(SourceName("one"), "yes", Content(Webhook(headers=(), query=b"", body=b"")))
    assert found == ("c", "b")
