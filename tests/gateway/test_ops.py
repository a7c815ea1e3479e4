"""/healthz, /readyz, /metrics, and the contract."""

import asyncio
import json
import re
import threading
import time
from pathlib import Path

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from gateway.errors import StoreUnavailable
from gateway.metrics import Metrics
from gateway.ops import Operations
from gateway.site import site
from tests.support.clock import ManualClock
from tests.support.gateway_app import (
    SOURCES,
    gateway_without_server,
    problem_of,
    recording_destination,
    running_gateway,
)
from tests.support.waiting import eventually

METRICS = {
    "gateway_connections", "gateway_connections_dropped_total", "gateway_requests_refused_total",
    "gateway_webhooks_total", "gateway_webhooks_rejected_total", "gateway_accept_duration_seconds",
    "gateway_delivery_attempts_total", "gateway_delivery_attempt_duration_seconds", "gateway_delivery_latency_seconds",
    "gateway_deliveries", "gateway_deliveries_dead_total", "gateway_retries_total",
    "gateway_oldest_pending_delivery_age_seconds", "gateway_store_commit_duration_seconds",
    "gateway_store_commit_events", "gateway_store_bytes", "gateway_store_free_bytes", "gateway_secret_used_total",
    "gateway_shadow_verifications_total",
    "gateway_paths_unknown_total", "gateway_admin_refused_total", "gateway_config_reloads_total",
    "gateway_destination_held", "gateway_destination_paused", "gateway_replay_remaining",
    "gateway_event_loop_lag_seconds", "gateway_build_info", "gateway_store_up",
}  # fmt: skip


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    with recording_destination() as destination:
        text = f'{SOURCES}\n[[destinations]]\nname = "app"\nurl = "{destination.url}"\nallow_private_address = true\n'
        with running_gateway(tmp_path_factory.mktemp("gateway"), text) as running:
            running.post(b'{"type": "t"}')
            eventually(
                lambda: running.count("gateway_delivery_attempts_total", destination="app", outcome="success")
            )
            yield running


def exposed(gateway):
    response = gateway.client.get(f"{gateway.url}/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=")
    return {
        sample.name: sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def test_the_process_lives_and_is_ready(gateway):
    assert gateway.client.get(f"{gateway.url}/healthz").json() == {"status": "ok"}
    assert gateway.client.get(f"{gateway.url}/readyz").json() == {"status": "ready"}


async def test_however_many_ask_for_the_metrics_they_are_written_a_tenth_of_the_time_at_most():
    class Slow(Metrics):
        written = 0

        def exposition(self, stats, **others):
            self.written += 1
            clock.advance(0.02)
            return super().exposition(stats, **others)

    clock, metrics = ManualClock(), Slow(version="test")
    routes = Operations(store=Away(), metrics=metrics, clock=clock, destinations=[]).routes()
    transport = httpx.ASGITransport(site(routes))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:

        async def ask():
            return (await client.get("/metrics")).status_code

        assert await asyncio.gather(*(ask() for _ in range(50))) == [200] * 50
        assert metrics.written == 1
        began = asyncio.get_running_loop().time()
        assert await ask() == 200
        assert asyncio.get_running_loop().time() - began >= 0.17
        assert metrics.written == 2


class Away:
    async def stats(self):
        raise StoreUnavailable("made-up")


async def test_while_the_metrics_are_written_others_are_answered():
    class Long(Metrics):
        def exposition(self, stats, **others):
            end = time.monotonic() + 0.5
            while time.monotonic() < end:
                pass
            return super().exposition(stats, **others)

    routes = Operations(
        store=Away(), metrics=Long(version="test"), clock=ManualClock(), destinations=[]
    ).routes()
    transport = httpx.ASGITransport(site(routes))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        asked = asyncio.create_task(client.get("/metrics"))
        answered = 0
        while not asked.done():
            answered += (await client.get("/healthz")).status_code == 200
            await asyncio.sleep(0)
        assert (await asked).status_code == 200
    assert answered > 10


async def test_the_metrics_wait_for_no_other_work_beside_the_event_loop():
    held = threading.Event()
    loop = asyncio.get_running_loop()
    others = [loop.run_in_executor(None, held.wait, 20) for _ in range(100)]
    routes = Operations(
        store=Away(), metrics=Metrics(version="test"), clock=ManualClock(), destinations=[]
    ).routes()
    transport = httpx.ASGITransport(site(routes))
    try:
        async with (
            asyncio.timeout(10),
            httpx.AsyncClient(transport=transport, base_url="http://gateway") as client,
        ):
            assert (await client.get("/metrics")).status_code == 200
    finally:
        held.set()
        await asyncio.gather(*others)


async def test_with_a_closed_store_it_lives_and_is_not_ready(tmp_path):
    with gateway_without_server(tmp_path) as (client, store):
        assert (await client.get("/readyz")).status_code == 200
        await store.close()
        assert (await client.get("/healthz")).status_code == 200
        response = await client.get("/readyz")
        assert problem_of(response)["status"] == 503
        assert "store" in str(problem_of(response)["detail"])
        await client.aclose()


@pytest.mark.parametrize("name", sorted(METRICS))
def test_a_metric_of_the_contract_is_there(gateway, name):
    text = gateway.client.get(f"{gateway.url}/metrics").text
    assert re.search(rf"^# TYPE {name} ", text, re.MULTILINE)


def test_there_is_no_metric_that_is_not_in_the_contract(gateway):
    names = set(
        re.findall(r"^# TYPE (\S+) ", gateway.client.get(f"{gateway.url}/metrics").text, re.MULTILINE)
    )
    assert {name for name in names if not name.startswith("process_")} == METRICS


def test_the_metrics_tell_what_happened(gateway):
    values = exposed(gateway)
    assert values["gateway_deliveries"] >= 0
    assert values["gateway_store_bytes"] > 0
    assert values["gateway_store_free_bytes"] > 0
    assert values["gateway_accept_duration_seconds_count"] == 1
    assert gateway.count("gateway_build_info", version="test") == 1
    states = {
        state: gateway.count("gateway_deliveries", destination="app", state=state)
        for state in ("pending", "delivered", "dead")
    }
    assert states == {"pending": 0, "delivered": 1, "dead": 0}


def test_the_contract_is_served_as_it_is_in_the_repository(gateway):
    text = Path("openapi/gateway.yaml").read_text("utf-8")
    response = gateway.client.get(f"{gateway.url}/openapi.yaml")
    assert (response.text, response.headers["content-type"]) == (text, "application/yaml")
    assert gateway.client.get(f"{gateway.url}/openapi.json").json() == json.loads(
        json.dumps(yaml.safe_load(text))
    )


@pytest.mark.parametrize(
    "path",
    ["/", "/nothing", "/healthz/", "/v1", "/v1/events/", "/webhooks", "/%00", "//healthz", "/metrics/x"],
)
def test_a_path_that_is_not_there_is_a_404_problem_and_no_redirect(gateway, path):
    response = gateway.client.get(f"{gateway.url}{path}", follow_redirects=False)
    assert problem_of(response)["status"] == 404


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/code", "/code"),
        ("/webhook/code?token=made-up", "/webhook/code"),
        ("/" + "a" * 30, "/" + "a" * 30),
        ("/" + "a" * 31, None),
        ("/a~b", None),
        ("/a%20b", None),
        ("/a%0a", None),
    ],
)
def test_what_is_sent_to_a_path_that_is_none_is_said_and_counted(gateway, caplog, path, said):
    before = gateway.count("gateway_paths_unknown_total")
    assert gateway.client.post(f"{gateway.url}{path}", content=b"{}").status_code == 404
    (line,) = [one for one in caplog.records if one.getMessage() == "path.unknown"]
    assert line.levelname == "WARNING"
    assert line.fields == {"method": "POST", "path": said, "sender": "127.0.0.1"}
    assert gateway.count("gateway_paths_unknown_total") == before + 1


def test_who_only_looks_for_a_path_or_takes_a_wrong_method_or_source_is_not_said_to_have_a_wrong_path(
    gateway, caplog
):
    before = gateway.count("gateway_paths_unknown_total")
    asked = [("GET", "/code"), ("HEAD", "/code"), ("POST", "/healthz"), ("POST", "/webhooks/nobody")]
    for method, path in asked:
        gateway.client.request(method, f"{gateway.url}{path}")
    assert "path.unknown" not in [one.getMessage() for one in caplog.records]
    assert gateway.count("gateway_paths_unknown_total") == before


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/openapi.yaml", "/openapi.json"])
def test_only_reading_is_offered(gateway, path):
    assert gateway.client.head(f"{gateway.url}{path}").status_code == 200
    response = gateway.client.post(f"{gateway.url}{path}")
    assert problem_of(response)["status"] == 405
    assert set(response.headers["allow"].split(", ")) == {"GET", "HEAD"}
