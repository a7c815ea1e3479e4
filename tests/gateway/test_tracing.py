"""Spans of a webhook's way, as a collector on a real socket gets them."""

import contextlib
import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from gateway.clock import Clock
from tests.support.clock import ManualClock
from tests.support.collector import Collector, collecting
from tests.support.gateway_app import (
    SOURCES,
    Destination,
    Running,
    fresh_id,
    recording_destination,
    running_gateway,
)
from tests.support.waiting import eventually

TRACE, PRODUCERS_SPAN = "a" * 32, "b" * 16
SAMPLED = {"traceparent": f"00-{TRACE}-{PRODUCERS_SPAN}-01"}
UNSAMPLED = {"traceparent": f"00-{TRACE}-{PRODUCERS_SPAN}-00"}
SENSITIVE = "do-not-print-me"


@dataclass(frozen=True, slots=True)
class Scene:
    gateway: Running
    collector: Collector
    destination: Destination

    def headers(self, number: int) -> list[str]:
        """`traceparent` of so many requests that the destination got."""
        eventually(lambda: len(self.destination.received) >= number)
        return [value for one in self.destination.received for value in one.values("traceparent")]


@contextlib.contextmanager
def traced(folder, *, clock: Clock | None = None, **environ: str) -> Iterator[Scene]:
    with collecting() as collector, recording_destination() as destination:
        text = f"""{SOURCES}
[[destinations]]
name = "app"
url = "{destination.url}/{SENSITIVE}?key={SENSITIVE}"
allow_private_address = true
bearer_token = "{SENSITIVE}"
retry = {{ quick_attempts = 10 }}
"""
        environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint, **environ}
        with running_gateway(folder, text, clock=clock, environ=environ) as gateway:
            yield Scene(gateway, collector, destination)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    """The exporter reads its own variables from the environment: it waits for no batch to fill."""
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")


@pytest.fixture
def scene(tmp_path):
    with traced(tmp_path) as scene:
        yield scene


def test_acceptance_store_and_attempt_are_spans_of_the_producers_trace(scene):
    event_id = scene.gateway.post(headers=SAMPLED).json()["event_id"]
    (accept,) = scene.collector.spans("webhook accept", 1)
    (store,) = scene.collector.spans("event store", 1)
    (attempt,) = scene.collector.spans("delivery attempt", 1)
    assert {one.trace_id for one in (accept, store, attempt)} == {TRACE}
    assert accept.parent_id == PRODUCERS_SPAN
    assert store.parent_id == attempt.parent_id == accept.span_id
    assert len({accept.span_id, store.span_id, attempt.span_id}) == 3
    assert (accept.kind, store.kind, attempt.kind) == ("SERVER", "INTERNAL", "CLIENT")
    assert accept.start <= store.start <= store.end <= accept.end
    assert accept.attributes["gateway.event_id"] == attempt.attributes["gateway.event_id"] == event_id
    assert (accept.attributes["gateway.outcome"], attempt.attributes["gateway.outcome"]) == (
        "accepted",
        "success",
    )
    assert accept.resource["service.name"] == "gateway"
    assert scene.collector.paths[0] == "/v1/traces"


def test_a_webhook_without_a_trace_begins_one_and_the_destination_goes_on_with_it(scene):
    scene.gateway.post()
    (accept,) = scene.collector.spans("webhook accept", 1)
    (attempt,) = scene.collector.spans("delivery attempt", 1)
    assert accept.parent_id == ""
    assert scene.headers(1) == [f"00-{accept.trace_id}-{attempt.span_id}-01"]


def test_a_retry_is_linked_to_the_attempt_before_it_and_the_destination_is_told_which_it_gets(scene):
    scene.destination.status = 500
    scene.gateway.post(headers=SAMPLED)
    eventually(lambda: scene.destination.received)
    scene.destination.status = 200
    first, second = scene.collector.spans("delivery attempt", 2)
    (accept,) = scene.collector.spans("webhook accept", 1)
    assert scene.headers(2) == [f"00-{TRACE}-{one.span_id}-01" for one in (first, second)]
    assert first.parent_id == second.parent_id == accept.span_id
    assert (first.links, second.links) == ([], [(TRACE, first.span_id)])
    assert (first.failed, first.said, second.failed) == (True, "answered 500", False)
    assert first.attributes["http.response.status_code"] == 500
    assert first.attributes["gateway.retry_at"] > first.end / 1_000_000
    assert second.attributes["http.request.resend_count"] == 1


def test_a_replay_is_an_attempt_of_the_same_trace_linked_to_the_last_one(scene):
    event_id = scene.gateway.post(headers=SAMPLED).json()["event_id"]
    (first,) = scene.collector.spans("delivery attempt", 1)
    eventually(lambda: scene.gateway.event(event_id)["state"] == "delivered")
    scene.gateway.admin_post(f"/v1/events/{event_id}/replay", {"destinations": ["app"]})
    _, again = scene.collector.spans("delivery attempt", 2)
    assert (again.trace_id, again.links) == (TRACE, [(TRACE, first.span_id)])


def test_a_duplicate_stands_in_the_trace_of_the_first_and_is_attempted_by_nobody(scene):
    message_id = fresh_id()
    event_id = scene.gateway.post(message_id=message_id).json()["event_id"]
    scene.gateway.post(message_id=message_id)
    first, duplicate = scene.collector.spans("webhook accept", 2)
    assert duplicate.attributes["gateway.outcome"] == "duplicate"
    assert duplicate.attributes["gateway.event_id"] == event_id
    assert (duplicate.trace_id, duplicate.parent_id) == (first.trace_id, first.span_id)
    assert len(scene.collector.spans("delivery attempt", 1)) == 1


def test_a_refusal_has_a_root_span_whatever_the_stranger_says_and_of_many_in_a_second_one_does(tmp_path):
    clock = ManualClock()
    with traced(tmp_path, clock=clock) as scene:
        for seconds in [0] * 20 + [1]:
            clock.advance(seconds)
            scene.gateway.client.post(f"{scene.gateway.url}/webhooks/producer", headers=SAMPLED)
        refused = scene.collector.spans("webhook accept", 2)
    for one in refused:
        assert (one.failed, one.parent_id, one.attributes["error.type"]) == (True, "", "missing_header")
        assert one.trace_id != TRACE


def test_a_webhook_that_the_store_cannot_take_has_a_failed_span_in_its_own_trace(scene):
    with contextlib.closing(sqlite3.connect(scene.gateway.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert scene.gateway.post(headers=SAMPLED).status_code == 503
        other.execute("ROLLBACK")
    (accept,) = scene.collector.spans("webhook accept", 1)
    assert (accept.trace_id, accept.parent_id, accept.failed) == (TRACE, PRODUCERS_SPAN, True)
    assert accept.attributes["error.type"] == "unavailable"


def test_what_the_producer_did_not_sample_has_no_spans_and_the_destination_is_told_so(scene):
    scene.gateway.post(headers=UNSAMPLED)
    (told,) = scene.headers(1)
    assert re.fullmatch(f"00-{TRACE}-[0-9a-f]{{16}}-00", told)
    scene.gateway.post(headers=SAMPLED)
    scene.collector.spans("webhook accept", 1)  # and not two


def test_a_share_of_the_traces_is_sampled_whole_or_not_at_all(tmp_path, monkeypatch):
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.5")
    with traced(tmp_path) as scene:
        for _ in range(40):
            scene.gateway.post()
        told = scene.headers(40)
        sampled = {one.split("-")[1] for one in told if one.endswith("-01")}
        assert 0 < len(sampled) < 40
        attempts = scene.collector.spans("delivery attempt", len(sampled))
        accepts = scene.collector.spans("webhook accept", len(sampled))
        assert {one.trace_id for one in attempts} == {one.trace_id for one in accepts} == sampled


def test_no_span_holds_a_body_a_header_a_secret_or_a_persons_key(tmp_path):
    with traced(tmp_path) as scene:
        body = b'{"data": {"jobId": "%s", "text": "%s"}}' % ((SENSITIVE.encode(),) * 2)
        scene.destination.echoes = True
        scene.destination.status = 500
        scene.gateway.post(body, query=f"?key={SENSITIVE}", headers={"x-key": SENSITIVE, **SAMPLED})
        scene.collector.spans("delivery attempt", 1)
        assert SENSITIVE.encode() not in scene.collector.raw


def test_the_service_has_the_name_that_the_standards_variable_gives_it(tmp_path, monkeypatch):
    monkeypatch.setenv("OTEL_SERVICE_NAME", "webhooks-eu")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=staging")
    with traced(tmp_path) as scene:
        scene.gateway.post()
        (accept,) = scene.collector.spans("webhook accept", 1)
        assert accept.resource["service.name"] == "webhooks-eu"
        assert accept.resource["deployment.environment.name"] == "staging"
        assert accept.resource["service.version"] == "test"


def test_headers_for_the_collector_go_with_every_batch(tmp_path):
    (tmp_path / "secret").write_text(f"x-key={SENSITIVE},authorization=Basic%20abc\n")
    with traced(tmp_path, OTEL_EXPORTER_OTLP_HEADERS_FILE=str(tmp_path / "secret")) as scene:
        scene.gateway.post()
        scene.collector.spans("webhook accept", 1)
        assert scene.collector.headers[0]["x-key"] == SENSITIVE
        assert scene.collector.headers[0]["authorization"] == "Basic abc"
