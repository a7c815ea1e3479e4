"""The proxy that the storm of test_consistency goes through does to a request what it counts."""

import json
import random
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from tests.support.background import background
from tests.support.chaos_proxy import FAULTS, ChaosProxy, Odds, chaos_proxy
from tests.support.live_server import live_server
from tests.support.waiting import eventually

NEVER = Odds(**dict.fromkeys(FAULTS, 0.0))
SEED = 309
"""With which what is kept back is not kept back for long."""
LATE_SEED = 36
"""With which the first request is kept back for 0.29 s."""


@dataclass
class Way:
    """From a client through the proxy to a server that keeps what it is sent."""

    proxy: ChaosProxy
    client: httpx.Client
    arrived: list[bytes]
    heard: list[bytes]

    def post(self):
        return self.client.post("/", content=b'{"n": 1}')


@contextmanager
def way(fault=None, seed=SEED):
    """On which every request meets the fault."""
    arrived, heard = [], []

    async def take(request):
        arrived.append(await request.body())
        return JSONResponse({"outcome": "applied"})

    odds = replace(NEVER, **{fault: 1.0}) if fault else NEVER
    app = Starlette(routes=[Route("/", take, methods=["POST"])])
    with (
        background() as loop,
        live_server(app) as url,
        chaos_proxy(
            loop,
            target_port=httpx.URL(url).port,
            chance=random.Random(seed),
            hear=lambda _request, answer: heard.append(answer.body),
            odds=odds,
        ) as proxy,
        httpx.Client(base_url=proxy.url, trust_env=False) as client,
    ):
        yield Way(proxy, client, arrived, heard)


@pytest.mark.parametrize("fault", [None, "delayed"])
def test_what_is_only_passed_on_arrives_once_and_is_answered(fault):
    with way(fault) as here:
        assert here.post().json() == {"outcome": "applied"}
        assert here.arrived == [b'{"n": 1}']


def test_what_is_delayed_is_answered_late():
    with way("delayed", LATE_SEED) as here:
        began = time.monotonic()
        here.post()
        assert time.monotonic() - began > 0.25


def test_what_is_dropped_does_not_arrive_and_is_not_answered():
    with way("dropped") as here:
        with pytest.raises(httpx.RemoteProtocolError):
            here.post()
        assert here.arrived == []


def test_what_is_left_unanswered_has_arrived_and_its_answer_was_heard():
    with way("unanswered") as here:
        with pytest.raises(httpx.RemoteProtocolError):
            here.post()
        assert here.arrived == [b'{"n": 1}']
        assert [json.loads(body) for body in here.heard] == [{"outcome": "applied"}]


def test_what_is_repeated_arrives_twice_and_is_answered_once():
    with way("repeated") as here:
        assert here.post().json() == {"outcome": "applied"}
        eventually(lambda: here.proxy.is_empty)
        assert here.arrived == [b'{"n": 1}'] * 2


def test_what_is_refused_does_not_arrive():
    with way("refused") as here:
        assert {here.post().status_code for _ in range(30)} == {429, 503}
        assert here.arrived == []


@pytest.mark.parametrize("fault", FAULTS)
def test_once_all_is_calm_everything_passes(fault):
    with way(fault) as here:
        here.proxy.calm = True
        assert [here.post().status_code for _ in range(3)] == [200] * 3
        assert here.arrived == [b'{"n": 1}'] * 3
