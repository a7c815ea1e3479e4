"""SIGTERM under load: nothing accepted is lost, and it ends within what container runtimes give, whoever hangs on."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

from tests.support.gateway_app import signed
from tests.support.gateway_scene import scene
from tests.support.noting_destination import Attempt, Reply
from tests.support.waiting import eventually

GRACE_SECONDS = 10.0
"""What Docker and its likes give before they kill."""


def behave(attempt: Attempt) -> Reply:
    if attempt.key == "silent":
        return Reply(after_seconds=60 if attempt.number == 1 else 0)
    return Reply(after_seconds=1 if attempt.key == "slow" else 0)


@contextlib.contextmanager
def dripping_body(port: int) -> Iterator[None]:
    """A producer that sends a byte of its body now and then, and never comes to the end of it."""
    head = ["POST /webhooks/producer HTTP/1.1", "host: gateway", "content-length: 100000"]
    head += [f"{name}: {value}" for name, value in signed(b"").items()]
    ended = threading.Event()

    def drip() -> None:
        with contextlib.suppress(OSError):
            while not ended.wait(0.2):
                connection.sendall(b"{")

    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall("\r\n".join([*head, "", "{"]).encode())
        thread = threading.Thread(target=drip)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


def test_a_stop_under_load_loses_nothing_and_waits_for_nobody_too_long(tmp_path):
    with scene(tmp_path, behave, timeout_seconds=30) as here:
        here.gateway.start()
        goes_on = True
        producers = [here.begin(lambda _: goes_on, name=name, pause_seconds=0.01) for name in "abc"]
        eventually(lambda: len(here.destinations.attempts) > 50)
        here.send(1, name="silent")
        here.send(1, name="slow")
        eventually(lambda: {"silent", "slow"} <= {one.key for one in here.destinations.attempts})
        with dripping_body(here.gateway.port):
            here.gateway.terminate()
            began = time.monotonic()
            eventually(lambda: _refuses(here.gateway.port), seconds=3)
            assert here.gateway.process.wait(20) == 0, here.gateway.said()
            assert time.monotonic() - began < GRACE_SECONDS
        here.gateway.start()
        goes_on = False
        for producer in producers:
            producer.result(20)
        account = here.close_account()
        silent = [one.number for one in here.destinations.attempts if one.key == "silent"]
        assert silent == [1, 2]
        assert (account.interrupted, account.repeated, account.faults) == (1, 1, [])


def test_a_request_that_outlasts_the_stop_is_told_to_come_again(tmp_path):
    with scene(tmp_path) as here:
        here.gateway.start()
        head = ["POST /webhooks/producer HTTP/1.1", "host: gateway", "content-length: 9"]
        head += [f"{name}: {value}" for name, value in signed(b"").items()]
        with socket.create_connection(("127.0.0.1", here.gateway.port), timeout=20) as connection:
            connection.sendall("\r\n".join([*head, "", "{"]).encode())
            eventually(lambda: here.gateway.ask("GET", "/healthz").status == 200)
            here.gateway.terminate()
            answer = connection.makefile("rb").read()
        assert here.gateway.process.wait(20) == 0
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"application/problem+json" in answer
        assert b"retry-after: 5" in answer
        assert "Traceback" not in here.gateway.said()


def test_an_idle_gateway_stops_at_once(tmp_path):
    with scene(tmp_path) as here:
        here.gateway.start()
        assert here.gateway.stop() < 3


def _refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except ConnectionRefusedError:
        return True
    return False
