"""`admin_listen`: two ports of one process, and each route at the right one."""

import asyncio
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
import yaml

from gateway.app import create
from gateway.clock import SystemClock
from gateway.errors import CannotListen
from gateway.metrics import Metrics
from gateway.protocol import Limits
from gateway.server import AdminPort, bind
from gateway.site import site
from tests.support.gateway_app import (
    SECRET,
    SOURCES,
    TOKEN,
    configuration,
    open_store,
    problem_of,
    signed,
)
from tests.support.gateway_server import serving
from tests.support.waiting import eventually

DOCUMENT = yaml.safe_load(Path("openapi/gateway.yaml").read_text("utf-8"))
ROUTES = [
    (method.upper(), path)
    for path, item in DOCUMENT["paths"].items()
    for method in item
    if method != "parameters" and not path.startswith("/webhooks/")
]
AT_BOTH = {"/healthz", "/readyz"}
NOTHING = "There is nothing at this path."
CONFIGURATION = """
[server]
host = "{host}"
port = 0
admin_listen = "{admin}"
admin_token = "{token}"

[store]
url = "sqlite:///{folder}/gateway.db"

[[sources]]
name = "producer"
preset = "standard-webhooks"
secrets = ["{secret}"]
"""


class Two:
    """A gateway process with two ports."""

    def __init__(self, folder, *, host="127.0.0.1", admin="127.0.0.1:0"):
        self.config, self._log = folder / "gateway.toml", folder / "log"
        self._write = lambda token: self.config.write_text(
            CONFIGURATION.format(host=host, admin=admin, token=token, folder=folder, secret=SECRET)
        )
        self._write(TOKEN)
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gateway", "serve", "--config", self.config],
                env={name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")},
                stderr=log,
            )
        listening = self.wait_for("server.listening")
        self.url, self.admin_url = listening["url"], listening["admin_url"]

    def wait_for(self, event, **fields):
        def said():
            assert self.process.poll() is None, self._log.read_text()
            lines = [
                json.loads(line)
                for line in self._log.read_text().splitlines(keepends=True)
                if line[-1] == "\n"
            ]
            wanted = {"event": event, **fields}.items()
            return next((line for line in lines if wanted <= line.items()), None)

        return eventually(said)

    def take_token(self, token):
        self._write(token)
        self.process.send_signal(signal.SIGHUP)
        self.wait_for("config.reloaded")

    def post(self, url, body=b"{}"):
        return httpx.post(f"{url}/webhooks/producer", content=body, headers=signed(body), trust_env=False)

    def ask(self, method, url, *, token=TOKEN):
        headers = {"authorization": f"Bearer {token}"}
        return httpx.request(method, url, headers=headers, trust_env=False)


@contextmanager
def running(folder, **addresses):
    """Ended by SIGTERM, which it has to obey."""
    two = Two(folder, **addresses)
    try:
        yield two
        two.process.terminate()
        assert two.process.wait(20) == 0
    finally:
        two.process.kill()
        two.process.wait()


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    with running(tmp_path_factory.mktemp("two")) as gateway:
        yield gateway


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_route_is_at_the_admin_port_and_only_a_probe_also_at_the_webhooks_port(two, method, path):
    place = path.format(id="evt_00000000000000000000000000000000", name="none")
    assert NOTHING not in two.ask(method, two.admin_url + place).text
    answer = two.ask(method, two.url + place)
    if path in AT_BOTH:
        assert answer.status_code == 200
    else:
        assert (problem_of(answer)["status"], problem_of(answer)["detail"]) == (404, NOTHING)


def test_webhooks_are_taken_at_their_own_port_only(two):
    assert two.post(two.url).status_code == 200
    refused = two.post(two.admin_url)
    assert (problem_of(refused)["status"], problem_of(refused)["detail"]) == (404, NOTHING)


def test_a_webhook_sent_to_the_admin_port_or_a_call_of_the_api_to_the_other_leaves_a_line(two):
    two.post(two.admin_url)
    assert two.wait_for("path.unknown", path="/webhooks/producer")["method"] == "POST"
    two.ask("POST", f"{two.url}/v1/replays")
    assert two.wait_for("path.unknown", path="/v1/replays")["sender"] == "127.0.0.1"


def test_what_came_by_one_port_is_shown_at_the_other(two):
    event_id = two.post(two.url, b'{"type": "shown"}').json()["event_id"]
    assert two.ask("GET", f"{two.admin_url}/v1/events/{event_id}").json()["type"] == "shown"


def test_the_admin_port_has_the_bounds_of_the_other(two):
    host, port = urlsplit(two.admin_url).netloc.split(":")
    with closing(http.client.HTTPConnection(host, int(port), timeout=10)) as connection:
        connection.request("GET", "/healthz?" + "x" * 9000)
        answer = connection.getresponse()
        assert (answer.status, answer.getheader("content-type")) == (414, "application/problem+json")


def test_a_reload_changes_the_token_at_the_admin_port(tmp_path):
    with running(tmp_path) as gateway:
        gateway.take_token("another-made-up-token")
        place = f"{gateway.admin_url}/v1/sources"
        assert gateway.ask("GET", place).status_code == 401
        assert gateway.ask("GET", place, token="another-made-up-token").status_code == 200


def test_a_stop_closes_both_ports_and_lets_what_is_at_work_at_either_finish(tmp_path):
    with running(tmp_path) as gateway:
        address = urlsplit(gateway.admin_url)
        with socket.create_connection((address.hostname, address.port), timeout=10) as at_work:
            body = b'{"dry_run": true}'
            head = f"POST /v1/replays HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: {len(body)}\r\n\r\n"
            at_work.sendall(head.encode() + body[:5])
            eventually(lambda: gateway.ask("GET", f"{gateway.admin_url}/healthz").status_code == 200)
            gateway.process.terminate()
            eventually(lambda: not answers(gateway.admin_url) and not answers(gateway.url))
            at_work.sendall(body[5:])
            assert at_work.recv(65_536).startswith(b"HTTP/1.1 200 OK")
        assert gateway.process.wait(20) == 0


async def test_what_is_still_at_work_at_the_admin_port_when_a_stop_has_no_more_time_is_told_to_come_again(
    tmp_path,
):
    async def never_whole():
        yield b"{"
        at_work.set()
        await asyncio.Event().wait()

    config = configuration(SOURCES.replace("[server]", '[server]\nadmin_listen = "127.0.0.1:0"'), tmp_path)
    metrics, at_work = Metrics(version="test"), asyncio.Event()
    store = open_store(config, tmp_path / "gateway.db", metrics)
    created = create(config, store=store, clock=SystemClock(), metrics=metrics)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(created.admin_app), base_url="http://gateway"
    ) as client:
        headers = {"authorization": f"Bearer {TOKEN}"}
        task = asyncio.create_task(client.post("/v1/replays", content=never_whole(), headers=headers))
        await at_work.wait()
        task.cancel()
        answer = await task
    assert (problem_of(answer)["status"], "stopping" in str(problem_of(answer)["detail"])) == (503, True)
    await store.close()


def test_what_is_connected_to_the_admin_port_is_among_what_a_stop_waits_for():
    listener = bind("127.0.0.1", 0)
    admin = AdminPort(site([]), listener)
    with (
        serving(site([]), limits=Limits(), admin=admin) as served,
        socket.create_connection(listener.getsockname()),
    ):
        eventually(lambda: len(served.connections) == 1)


def test_both_ports_can_be_of_ipv6(tmp_path):
    with running(tmp_path, host="::1", admin="[::1]:0") as gateway:
        assert gateway.admin_url.startswith("http://[::1]:")
        assert gateway.post(gateway.url).status_code == 200
        assert gateway.ask("GET", f"{gateway.admin_url}/metrics").status_code == 200


@pytest.mark.parametrize(
    ("taken", "setting"), [("host", "GATEWAY_PORT"), ("admin", "server.admin_listen or GATEWAY_ADMIN_LISTEN")]
)
def test_an_address_that_is_taken_is_one_clear_line_and_nothing_is_served(tmp_path, taken, setting):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        refused(tmp_path, **{"host": 0, "admin": 0, taken: port}, port=port, setting=setting)


def test_an_address_of_another_machine_is_blamed_on_no_gateway():
    with pytest.raises(CannotListen) as refused:
        bind("192.0.2.1", 8080)
    assert "gateway that runs" not in str(refused.value)


def refused(folder, *, host, admin, port, setting):
    """A start with the ports `host` and `admin`, for the sake of `port`."""
    result = subprocess.run(
        [sys.executable, "-m", "gateway", "serve"],
        env={
            **os.environ,
            "GATEWAY_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(host),
            "GATEWAY_ADMIN_LISTEN": f"127.0.0.1:{admin}",
            "GATEWAY_STORE_URL": f"sqlite:///{folder}/gateway.db",
            "TRANSCRIBER_WEBHOOK_SECRET": SECRET,
            "CONVEX_SITE_URL": "http://127.0.0.1:9",
            "CONVEX_WEBHOOK_KEY": "made-up",
        },
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    (line,) = result.stderr.splitlines()
    assert result.returncode == 1
    assert line.startswith(f"gateway: cannot listen on 127.0.0.1:{port}: ")
    assert setting in line
    assert "maybe by a gateway that runs already" in line
    assert not (folder / "gateway.db").exists()


def answers(url):
    try:
        return httpx.get(f"{url}/healthz", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False
