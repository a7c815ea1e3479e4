"""The gateway, killed again and again while producers send: what it accepted is delivered, in order, and nothing else."""

import base64
import hashlib
import hmac
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from tests.support.store import rows
from tests.support.waiting import eventually

KEY = b"a made-up secret of thirty bytes"
KILLS = 6
PRODUCERS = 6


class Destination(BaseHTTPRequestHandler):
    """Takes everything, and notes it before it answers."""

    protocol_version = "HTTP/1.1"
    received: list[tuple[str, str, int]]

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.received.append((self.headers["webhook-id"], body["jobId"], body["n"]))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def destination():
    received: list[tuple[str, str, int]] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Noting", (Destination,), {"received": received}))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", received
    server.shutdown()
    thread.join()
    server.server_close()


class Gateway:
    """A real process, started on the same port and file each time."""

    def __init__(self, folder, destination_url):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.store = folder / "gateway.db"
        self.log = (folder / "gateway.log").open("ab")
        self.environ = {
            **os.environ,
            "GATEWAY_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(self.port),
            "GATEWAY_STORE_URL": f"sqlite:///{self.store}",
            "TRANSCRIBER_WEBHOOK_SECRET": "whsec_" + base64.b64encode(KEY).decode(),
            "CONVEX_SITE_URL": destination_url,
            "CONVEX_WEBHOOK_KEY": "made-up",
        }
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gateway", "serve"], env=self.environ, stderr=self.log, stdout=self.log
        )

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(20) == 0
        self.log.close()


class Producer(threading.Thread):
    """Sends event after event of its own key, each until it is answered 200, and notes the answers."""

    def __init__(self, gateway, name, stop):
        super().__init__()
        self.gateway, self.key, self.stopping = gateway, name, stop
        self.accepted: dict[int, str] = {}
        self.odd: list[str] = []

    def run(self):
        number = 0
        with httpx.Client(trust_env=False, timeout=5) as client:
            while not self.stopping.is_set():
                number += 1
                self.send(client, number)

    def send(self, client, number):
        body = json.dumps(
            {"type": "transcription.job.progress", "data": {"jobId": self.key, "n": number}}
        ).encode()
        event_id = f"{self.key}-{number}"
        while number not in self.accepted:
            sent = str(int(time.time()))
            signed = hmac.digest(KEY, f"{event_id}.{sent}.".encode() + body, hashlib.sha256)
            headers = {
                "webhook-id": event_id,
                "webhook-timestamp": sent,
                "webhook-signature": "v1," + base64.b64encode(signed).decode(),
            }
            try:
                answer = client.post(
                    f"{self.gateway.url}/webhooks/transcriber", content=body, headers=headers
                )
            except httpx.TransportError:
                time.sleep(0.02)
                continue
            if answer.status_code == 200:
                self.accepted[number] = answer.json()["event_id"]
            elif answer.status_code != 503:
                self.odd.append(answer.text)
                return


def test_killed_at_random_under_load_it_loses_nothing_invents_nothing_and_keeps_order(tmp_path, destination):
    url, received = destination
    chance = random.Random(7)
    gateway = Gateway(tmp_path, url)
    stop = threading.Event()
    producers = [Producer(gateway, f"job-{n}", stop) for n in range(PRODUCERS)]
    for producer in producers:
        producer.start()
    for _ in range(KILLS):
        before = len(received)
        eventually(lambda before=before: len(received) > before + 20)
        time.sleep(chance.uniform(0, 0.2))
        gateway.kill()
        gateway.start()
    stop.set()
    for producer in producers:
        producer.join()
    accepted = {event_id for producer in producers for event_id in producer.accepted.values()}
    eventually(lambda: accepted <= {event_id for event_id, _, _ in received})
    eventually(
        lambda: rows(gateway.store, "SELECT count(*) FROM deliveries WHERE state = 'pending'") == [(0,)]
    )
    gateway.stop()

    assert [producer.odd for producer in producers] == [[]] * PRODUCERS
    assert {event_id for event_id, _, _ in received} == accepted
    for producer in producers:
        first_seen = list(dict.fromkeys(n for _, key, n in received if key == producer.key))
        assert first_seen == sorted(producer.accepted), "order of acceptance"
    repeated = {
        event_id for event_id, times in Counter(event_id for event_id, _, _ in received).items() if times > 1
    }
    interrupted = rows(
        gateway.store,
        """SELECT e.id FROM events e JOIN deliveries d ON d.event_seq = e.seq JOIN attempts a ON a.delivery_id = d.id
           WHERE a.outcome = 'interrupted'""",
    )
    assert repeated <= {event_id for (event_id,) in interrupted}, "repeated only where an attempt was cut off"
    assert len(accepted) > 20 * KILLS


def test_work_under_way_at_a_kill_goes_on_within_a_second_of_the_next_start(tmp_path):
    held = socket.create_server(("127.0.0.1", 0))  # takes connections and never answers
    gateway = Gateway(tmp_path, f"http://127.0.0.1:{held.getsockname()[1]}")
    producer = Producer(gateway, "job", threading.Event())
    with httpx.Client(trust_env=False, timeout=5) as client:
        producer.send(client, 1)
    held.settimeout(20)
    first, _ = held.accept()
    assert first.recv(10)
    gateway.kill()
    gateway.start()
    eventually(lambda: _healthy(gateway))
    ready = time.monotonic()
    second, _ = held.accept()
    assert second.recv(10)
    assert time.monotonic() - ready < 1
    for connection in (first, second, held):
        connection.close()
    gateway.stop()


def _healthy(gateway):
    try:
        return httpx.get(f"{gateway.url}/healthz", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False
