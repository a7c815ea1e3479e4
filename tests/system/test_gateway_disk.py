"""A small disk of its own for the store: full, and read-only."""

import contextlib
import itertools
import shutil
import subprocess

import pytest

from tests.support.gateway_scene import scene
from tests.support.noting_destination import Reply
from tests.support.producers import Webhook
from tests.support.waiting import eventually

pytestmark = pytest.mark.system

EVENTS = 120
MANY = 200
"""Some seconds long, in which the log is moved, cut and moved again."""
BALLAST_BYTES = 8 * 2**20
KEPT_BYTES = 6 * 2**20
"""A quarter of the disk."""
CHUNK = b"x" * 65_536


@pytest.fixture
def disk(tmp_path):
    """24 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", folder)
    yield folder
    run("umount", folder)


def run(*command):
    subprocess.run(command, check=True)


def fill(path):
    """Takes every byte that is left."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(CHUNK):
            pass
    assert shutil.disk_usage(path.parent).free == 0


def assert_come_again(answer):
    assert answer.status == 503
    assert int(answer.headers["retry-after"]) > 0
    assert answer.headers["content-type"] == "application/problem+json"


def refused_in_a_row(here):
    """Webhooks, until now."""
    said = [line for line in here.gateway.said().splitlines() if '"event": "webhook.' in line]
    return sum(1 for _ in itertools.takewhile(lambda line: "webhook.rejected" in line, reversed(said)))


def free_bytes(here):
    return here.gateway.metric("gateway_store_free_bytes")


def test_a_disk_that_fills_up_costs_no_event(tmp_path, disk):
    """First the gateway itself stops in time, then somebody else takes the rest."""
    with scene(tmp_path, store=disk / "gateway.db") as here:
        ballast, filler = disk / "ballast", disk / "filler"
        ballast.write_bytes(bytes(BALLAST_BYTES))
        here.destinations.behave = lambda attempt: Reply(
            status=503 if attempt.destination == "second" else 200
        )
        here.gateway.start()
        sending = [
            here.begin(lambda n: n <= EVENTS, name=f"job-{number}", filler_bytes=20_000)
            for number in range(4)
        ]
        one = Webhook("one", "thing.made", None, 1)

        eventually(lambda: refused_in_a_row(here) > MANY, seconds=60)
        assert_come_again(here.post(one))
        assert KEPT_BYTES * 0.5 < free_bytes(here) < KEPT_BYTES
        unready = here.gateway.ask("GET", "/readyz")
        assert unready.status == 503
        assert "disk" in unready.body["detail"]
        assert "disk is full" not in here.gateway.said()
        eventually(
            lambda: here.gateway.metric('gateway_deliveries{destination="first",state="pending"}') == 0
        )

        fill(filler)
        assert_come_again(here.post(one))
        here.destinations.behave = lambda _: Reply()
        eventually(
            lambda: [one for one in here.destinations.attempts if one.destination == "second" and one.taken]
        )
        assert here.gateway.ask("GET", "/healthz").status == 200
        assert_come_again(here.post(one))

        ballast.unlink()
        filler.unlink()
        for producer in sending:
            producer.result(60)
        account = here.close_account()
        assert (account.accepted, account.faults) == (4 * EVENTS, [])


def test_a_read_only_disk_is_named_at_the_start(tmp_path, disk):
    with scene(tmp_path, store=disk / "gateway.db") as here:
        here.gateway.start()
        here.send(3)
        here.settle()
        here.gateway.stop()
        run("mount", "-o", "remount,ro", disk)
        refused = here.gateway.command("serve")
        assert refused.wait(20) == 1
        assert "Read-only file system" in last_line(here)
        run("mount", "-o", "remount,rw", disk)
        here.gateway.start()
        assert here.close_account().faults == []


def test_a_read_only_file_is_named_at_the_start(tmp_path, disk):
    with scene(tmp_path, store=disk / "gateway.db") as here:
        here.gateway.start()
        here.send(3)
        here.settle()
        here.gateway.stop()
        store = here.gateway.store
        run("mount", "--bind", store, store)
        try:
            run("mount", "-o", "remount,ro,bind", store)
            refused = here.gateway.command("serve")
            assert refused.wait(20) == 1
            assert str(store) in last_line(here)
            assert "readonly" in last_line(here)
        finally:
            run("umount", store)
        here.gateway.start()
        assert here.close_account().faults == []


def last_line(here):
    return here.gateway.said().splitlines()[-1]
