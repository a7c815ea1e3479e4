"""What /metrics tells: all that can happen from the start, and what is counted here also while the store is away."""

import asyncio
import re
import time
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway import app
from gateway.account import Account
from gateway.chores import LAG_PERIOD_SECONDS, watch_event_loop
from gateway.clock import SystemClock
from gateway.config import Config
from gateway.metrics import LAG_LOOKS, Metrics
from gateway.model import Dead, DestinationName
from gateway.store.sqlite import SqliteStore
from tests.support.gateway_app import SECRET, SOURCES, configuration, gateway_without_server, running_gateway
from tests.support.store import A, accept, claim, event, fill, open_store, outcome

TWO_SECRETS = """
[[sources]]
name = "rotating"
preset = "standard-webhooks"
secrets = ["{secret}", "{secret}", {{ value = "{secret}", shadow = true }}]
[sources.shadow]
preset = "github"
secrets = ["made-up"]
"""
OTHER = "whsec_b3RoZXIgc2VjcmV0IG9mIHRlc3RzIG9mIHRoaXM="
DESTINATION = '[[destinations]]\nname = "app"\nurl = "https://app.example/in"\n'
HELD_BY_THE_STORE = {
    "gateway_deliveries",
    "gateway_oldest_pending_delivery_age_seconds",
    "gateway_destination_held",
    "gateway_destination_paused",
    "gateway_replay_remaining",
    "gateway_store_bytes",
    "gateway_store_free_bytes",
}


def samples(text: str) -> dict[tuple[str, ...], float]:
    """By name and the values of the labels, in the order of the labels' names."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def series(found: dict[tuple[str, ...], float], name: str) -> dict[tuple[str, ...], float]:
    return {
        labels: value for (of, *others), value in found.items() if of == name for labels in [tuple(others)]
    }


def configured(folder: Path) -> Config:
    return configuration(SOURCES + TWO_SECRETS.format(secret=SECRET) + DESTINATION, folder)


async def asked(client) -> dict[tuple[str, ...], float]:
    response = await client.get("/metrics")
    assert response.status_code == 200
    return samples(response.text)


async def test_what_can_happen_is_there_at_0_before_it_happens(tmp_path):
    text = SOURCES + TWO_SECRETS.format(secret=SECRET) + DESTINATION
    with gateway_without_server(tmp_path, text) as (client, store):
        found = await asked(client)
        await client.aclose()
        await store.close()
    outcomes = ["accepted", "duplicate", "handshake", "id_reused", "rejected", "unrouted"]
    assert series(found, "gateway_webhooks_total") == {
        **{(outcome, source): 0 for outcome in outcomes for source in ("producer", "rotating")},
        ("rejected", "unknown"): 0,
    }
    rejected = series(found, "gateway_webhooks_rejected_total")
    assert rejected["unknown_source", "unknown"] == rejected["bad_signature", "producer"] == 0
    assert ("bad_signature", "unknown") not in rejected
    assert ("unknown_source", "producer") not in rejected
    assert set(series(found, "gateway_secret_used_total")) == {
        ("0", "producer"),
        ("0", "rotating"),
        ("1", "rotating"),
    }
    tried = {of for _, _, of in series(found, "gateway_shadow_verifications_total")}
    assert tried == {"scheme", "secret 2"}
    attempts = series(found, "gateway_delivery_attempts_total")
    assert ("app", "success") in attempts
    assert ("app", "interrupted") not in attempts
    assert set(series(found, "gateway_deliveries_dead_total")) == {
        ("app", reason) for reason in ("dead_on", "horizon", "payload", "discarded")
    }
    assert set(attempts.values()) == {0}
    assert series(found, "gateway_admin_refused_total") == {("missing",): 0, ("wrong",): 0}
    assert set(series(found, "gateway_config_reloads_total")) == {("taken",), ("partial",), ("refused",)}


async def test_nothing_that_happens_makes_a_label_that_was_not_there(tmp_path):
    text = SOURCES + TWO_SECRETS.format(secret=SECRET) + DESTINATION
    with running_gateway(tmp_path, text) as gateway:
        before = set(samples(gateway.client.get(f"{gateway.url}/metrics").text))
        gateway.post()
        gateway.post(source="rotating")
        gateway.post(source="nobody")
        gateway.client.post(f"{gateway.url}/webhooks/producer", content=b"{}")
        gateway.client.get(f"{gateway.url}/webhooks/producer")
        assert gateway.webhooks()["unknown", "rejected"] == 1
        after = samples(gateway.client.get(f"{gateway.url}/metrics").text)
    assert after["gateway_webhooks_rejected_total", "method", "producer"] == 1
    assert set(after) - before == set()


async def test_what_becomes_of_attempts_makes_no_label_that_was_not_there(tmp_path):
    metrics = Metrics(version="0")
    metrics.expect(configured(tmp_path).sources, [A])
    account = Account(A, metrics=metrics)
    before = set(samples(metrics.exposition(None, destinations=[A], now=0).decode()))
    async with open_store(tmp_path / "gateway.db") as store:
        await accept(store, event(1))
        (one,) = await claim(store)
    account.note(one, outcome("client_error"), Dead("dead_on"), now=0, counted=True)
    after = samples(metrics.exposition(None, destinations=[A], now=0).decode())
    assert after["gateway_deliveries_dead_total", "a", "dead_on"] == 1
    assert set(after) - before == set()


async def test_a_secret_that_a_reload_brings_is_there_at_0(tmp_path):
    config, metrics = configured(tmp_path), Metrics(version="0")
    store = SqliteStore(tmp_path / "gateway.db", destinations=[], now=0, on_commit=metrics.on_commit)
    gateway = app.create(config, store=store, clock=SystemClock(), metrics=metrics)
    more = TWO_SECRETS.format(secret=SECRET).replace("secrets = [", f'secrets = ["{SECRET}", ', 1)
    gateway.reload(configuration(SOURCES + more + DESTINATION, tmp_path))
    labels = {"source": "rotating", "secret": "2"}
    assert metrics.registry.get_sample_value("gateway_secret_used_total", labels) == 0
    await store.close()


def test_a_secret_that_a_reload_takes_out_is_told_of_no_more_and_counts_anew_where_it_comes_back(tmp_path):
    """Else it would stand still for ever, as one that nobody uses."""

    def text(*secrets):
        listed = ", ".join(f'"{secret}"' for secret in secrets)
        return f'[[sources]]\nname = "producer"\npreset = "standard-webhooks"\nsecrets = [{listed}]\n'

    with running_gateway(tmp_path, text(OTHER, SECRET)) as gateway:

        def used():
            found = samples(gateway.client.get(f"{gateway.url}/metrics").text)
            return {
                secret: number for (secret, _), number in series(found, "gateway_secret_used_total").items()
            }

        gateway.post()
        assert used() == {"0": 0, "1": 1}
        gateway.gateway.reload(configuration(text(SECRET), tmp_path))
        assert used() == {"0": 0}
        gateway.gateway.reload(configuration(text(OTHER, SECRET), tmp_path))
        gateway.post()
        assert used() == {"0": 0, "1": 1}


async def test_while_the_store_is_away_what_is_counted_here_is_told_and_nothing_old_of_the_store(tmp_path):
    with gateway_without_server(tmp_path, SOURCES + DESTINATION) as (client, store):
        before = await asked(client)
        await store.close()
        await client.post("/webhooks/nobody")
        after = await asked(client)
        await client.aclose()
    assert {name for name, *_ in before} - {name for name, *_ in after} == HELD_BY_THE_STORE
    assert (before["gateway_store_up",], after["gateway_store_up",]) == (1, 0)
    assert after["gateway_webhooks_rejected_total", "unknown_source", "unknown"] == 1


async def test_what_waits_for_a_destination_that_is_not_configured_is_told_until_it_is_gone(tmp_path):
    path, metrics = tmp_path / "gateway.db", Metrics(version="0")
    gone = DestinationName("b")
    async with open_store(path) as store:
        await accept(store, event(1, destinations=(gone,)), event(2, destinations=(gone, A)))

        async def told():
            text = metrics.exposition(await store.stats(), destinations=[A], now=0).decode()
            return series(samples(text), "gateway_deliveries")

        of_a = {("a", "delivered"): 0, ("a", "dead"): 0, ("a", "pending"): 1}
        assert await told() == {**of_a, ("b", "pending"): 2}
        for one in (1, 2):
            await store.discard(event(one).id, now=0)
        assert await told() == {**of_a, ("a", "dead"): 1, ("a", "pending"): 0}


def test_the_lag_is_the_worst_of_a_minute_whoever_asks_and_how_often():
    metrics = Metrics(version="0")

    def lag() -> float:
        text = metrics.exposition(None, destinations=[], now=0).decode()
        return samples(text)["gateway_event_loop_lag_seconds",]

    assert lag() == 0
    for seconds in (0.001, 0.7, 0.002):
        metrics.event_loop_lags.append(seconds)
    assert (lag(), lag()) == (0.7, 0.7)
    for _ in range(LAG_LOOKS - 1):
        metrics.event_loop_lags.append(0.001)
    assert lag() == 0.002


async def test_the_lag_is_how_late_the_event_loop_wakes():
    metrics = Metrics(version="0")
    watching = asyncio.create_task(watch_event_loop(metrics))
    await asyncio.sleep(0)
    time.sleep(LAG_PERIOD_SECONDS + 0.2)  # noqa: ASYNC251 - what holds up the loop
    for _ in range(5):
        await asyncio.sleep(0)
    watching.cancel()
    assert max(metrics.event_loop_lags) >= 0.2


@pytest.mark.parametrize("state", ["pending", "dead"])
async def test_asking_takes_as_many_steps_with_many_events_as_with_few(tmp_path, state):
    async with open_store(tmp_path / "few.db") as few, open_store(tmp_path / "many.db") as many:
        for store, number in ((few, 10), (many, 10_000)):
            fill(store, number)
            if state == "dead":
                store._connection.execute("UPDATE deliveries SET state = 'dead', next_attempt_at = NULL")  # noqa: SLF001 - by the thousand
        assert (await many.stats()).deliveries["a", state] == 10_000
        assert await steps_of_stats(many) == await steps_of_stats(few)


async def steps_of_stats(store) -> int:
    """Of SQLite's virtual machine."""
    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 1

    await store._figures.read(lambda db: db.set_progress_handler(step, 1))  # noqa: SLF001 - the connection that is measured
    await store.stats()
    assert steps > 10
    return steps


def test_the_process_tells_of_itself():
    text = Metrics(version="0").exposition(None, destinations=[], now=0).decode()
    assert samples(text)["process_start_time_seconds",] > 1_700_000_000
    assert re.search(r"^process_open_fds \d", text, re.MULTILINE)
