"""An honest producer is served while attacks go on; how fast, `make bench BENCH=hostile` says."""

import threading

import pytest

from gateway.app import OTHERS_PER_SECOND, STRANGERS_PER_SECOND
from tests.bench.attack import REQUESTS, SLOW, flood, stand
from tests.support.accepting import accepting
from tests.support.gateway_app import running_gateway
from tests.support.waiting import eventually

SECONDS = 0.2


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    with running_gateway(tmp_path_factory.mktemp("hostile")) as running:
        yield running


def during(attack, act):
    """What the attack came to. `act` is done while it goes on, as often as that lasts."""
    came = []
    thread = threading.Thread(target=lambda: came.append(attack()))
    thread.start()
    while thread.is_alive():
        act()
    thread.join()
    return came[0]


def serves(gateway):
    answer = gateway.post()
    assert (answer.status_code, answer.json()["status"]) == (200, "unrouted")


@pytest.mark.parametrize("fresh", [False, True], ids=["kept", "fresh"])
@pytest.mark.parametrize("request_name", REQUESTS)
def test_an_honest_producer_is_served_during_a_flood(gateway, request_name, fresh):
    how = {"rate": 0.0, "connections": 16, "fresh": fresh}
    came = during(
        lambda: flood(port=gateway.port, request=request_name, seconds=SECONDS, **how),
        lambda: serves(gateway),
    )
    assert came["requests"] > 0


@pytest.mark.parametrize("start", SLOW)
def test_an_honest_producer_is_served_while_many_connections_stand(gateway, start):
    how = {"connections": 100, "ramp": 0.0}
    came = during(
        lambda: stand(port=gateway.port, start=start, seconds=SECONDS, **how), lambda: serves(gateway)
    )
    assert came["standing"] > 0
    eventually(lambda: gateway.count("gateway_connections") < 10)


@pytest.mark.parametrize(
    ("request_name", "per_second"),
    [("bad signature", STRANGERS_PER_SECOND), ("no such path", OTHERS_PER_SECOND)],
)
def test_a_flood_over_kept_connections_is_answered_at_a_pace(gateway, request_name, per_second):
    """A second's worth at once, and half of one in the half second that it lasts; each connection may be ahead by two."""
    connections = 64
    came = flood(
        port=gateway.port, request=request_name, seconds=0.5, rate=0.0, connections=connections, fresh=False
    )
    assert came["requests"] <= 1.5 * per_second + 2 * connections


def test_a_flood_costs_no_more_log_lines_than_ten_a_second(tmp_path, caplog):
    how = {"rate": 0.0, "connections": 16, "fresh": False}
    with accepting(tmp_path) as gateway:
        came = flood(port=gateway.port, request="bad signature", seconds=SECONDS, **how)
    lines = [one for one in caplog.records if one.getMessage() == "webhook.rejected"]
    assert 10 <= len(lines) < came["requests"] / 2
