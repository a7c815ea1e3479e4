"""Traces of a gateway that runs as a process: over a restart, to a collector that fails, and to none."""

import socket
import subprocess
import sys

import pytest

from tests.support.collector import collecting
from tests.support.gateway_app import fresh_id, recording_destination, signed
from tests.support.gateway_process import GatewayProcess
from tests.support.process import ROOT
from tests.support.waiting import eventually

TRACE, PRODUCERS_SPAN = "a" * 32, "b" * 16
SENSITIVE = "do-not-print-me"
STOP_SECONDS = 10.0
"""What container runtimes give before they kill."""
DESTINATION = """
[[destinations]]
name = "app"
url = "{url}"
allow_private_address = true
retry = {{ quick_attempts = 10 }}
"""


@pytest.fixture
def destination():
    with recording_destination() as destination:
        yield destination


@pytest.fixture
def gateway(tmp_path, destination):
    gateway = GatewayProcess(tmp_path / "gateway", DESTINATION.format(url=destination.url))
    yield gateway
    gateway.close()


def post(gateway, body=b"{}"):
    headers = {"traceparent": f"00-{TRACE}-{PRODUCERS_SPAN}-01", **signed(body, message_id=fresh_id())}
    answer = gateway.ask("POST", "/webhooks/producer", body=body, headers=headers)
    assert answer.status == 200
    return answer.body["event_id"]


def delivered(gateway, event_id):
    return gateway.ask("GET", f"/v1/events/{event_id}").body["state"] == "delivered"


def test_attempts_before_and_after_a_restart_are_one_trace_and_each_is_linked_to_the_one_before(
    gateway, destination
):
    destination.status = 500
    with collecting() as collector:
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint, "OTEL_SERVICE_NAME": "hooks"}
        gateway.start(environment=environment)
        event_id = post(gateway)
        eventually(lambda: destination.received)
        gateway.stop()  # what waits to be sent is sent
        before = len(destination.received)
        assert len(collector.spans("delivery attempt", before)) == before
        destination.status = 200
        gateway.start(environment=environment)
        eventually(lambda: delivered(gateway, event_id))
        gateway.stop()
        number = len(destination.received)
        assert number > before
        (accept,), attempts = (
            collector.spans("webhook accept", 1),
            collector.spans("delivery attempt", number),
        )
    assert (accept.trace_id, accept.parent_id) == (TRACE, PRODUCERS_SPAN)
    assert {(one.trace_id, one.parent_id) for one in attempts} == {(TRACE, accept.span_id)}
    assert [one.attributes["gateway.attempt"] for one in attempts] == list(range(1, number + 1))
    spans = [(TRACE, one.span_id) for one in attempts]
    assert [one.links for one in attempts] == [[], *([span] for span in spans[:-1])]
    received = [value for one in destination.received for value in one.values("traceparent")]
    assert received == [f"00-{trace_id}-{span_id}-01" for trace_id, span_id in spans]


@pytest.mark.parametrize("status", [0, 500], ids=["hangs", "refuses"])
def test_a_collector_that_takes_nothing_delays_no_webhook_and_no_stop_and_is_complained_of_once(
    gateway, destination, status
):
    with collecting() as collector:
        collector.status = status
        environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
            "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer {SENSITIVE}",
            "OTEL_BSP_SCHEDULE_DELAY": "10",
            "OTEL_BSP_MAX_QUEUE_SIZE": "20",
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "10",
        }
        gateway.start(environment=environment)
        for _ in range(30):
            last = post(gateway)
        eventually(lambda: collector.paths)
        eventually(lambda: delivered(gateway, last))
        complaint = eventually(lambda: gateway.lines("tracing.export_failed"))
        assert gateway.stop() < STOP_SECONDS  # the exporter alone would wait for 10 s and more
    assert complaint == gateway.lines("tracing.export_failed")
    assert complaint[0]["level"] == "warning"
    assert collector.headers[0]["authorization"] == f"Bearer {SENSITIVE}"
    assert SENSITIVE not in gateway.said()
    assert len(destination.received) == 30


def test_a_collector_that_is_not_there_delays_nothing(gateway, destination):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}/v1/traces?key={SENSITIVE}"
        gateway.start(
            environment={"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": url, "OTEL_BSP_SCHEDULE_DELAY": "10"}
        )
        event_id = post(gateway)
        eventually(lambda: delivered(gateway, event_id))
        eventually(lambda: gateway.lines("tracing.export_failed"))
        assert gateway.stop() < STOP_SECONDS
    assert SENSITIVE not in gateway.said()
    assert len(destination.received) == 1


def test_without_an_endpoint_nothing_of_opentelemetry_is_loaded(gateway):
    told = {"PYTHONPROFILEIMPORTTIME": "1"}
    gateway.start(environment={**told, "OTEL_SERVICE_NAME": "hooks"})
    event_id = post(gateway)
    eventually(lambda: delivered(gateway, event_id))
    gateway.stop()
    assert "gateway.tracing" in gateway.said()
    assert "opentelemetry" not in gateway.said()
    gateway.start(environment={**told, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"})
    gateway.kill()
    assert "opentelemetry" in gateway.said()


def test_an_endpoint_without_the_packages_is_a_fault_that_says_what_to_install(gateway):
    script = (
        "import sys; sys.modules['opentelemetry'] = None; import gateway.cli; sys.exit(gateway.cli.main())"
    )
    for command in ("check", "serve"):
        done = subprocess.run(
            [sys.executable, "-c", script, command, "--config", str(gateway.config)],
            cwd=ROOT,
            env={"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"},
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        assert done.returncode == 1
        assert 'pip install "webhook-gateway[gateway,otlp]"' in done.stderr
        assert "Traceback" not in done.stderr
