"""docs/operations.md, done: its commands from nothing to production, through disaster, upgrade and rotations, to nothing."""

import base64
import contextlib
import json
import re
import sqlite3
import urllib.request
from http.client import HTTPConnection

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from tests.support.gateway_app import fresh_id, recording_destination, signed
from tests.support.operators_machine import PAGE, blocks, machine
from tests.support.process import Service
from tests.support.store import rows
from tests.support.waiting import eventually

START, RELOAD = (f"sudo systemctl {verb} gateway" for verb in ("start", "reload"))


@pytest.fixture
def destination():
    with recording_destination() as recording:
        yield recording


@pytest.fixture
def here(tmp_path, destination):
    with machine(tmp_path, destination.url) as one:
        one.run(START)
        yield one


def ask(here, method, path, *, body=b"", headers=None):
    port = here.port if path.startswith("/webhooks/") else here.admin_port
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(connection):
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return response.status, response.read().decode()


def send(here, secret):
    """The status, and the event's id."""
    body = json.dumps({"id": fresh_id(), "customer": None}).encode()
    headers = signed(body, key=base64.b64decode(secret.removeprefix("whsec_")))
    status, text = ask(here, "POST", "/webhooks/billing", body=body, headers=headers)
    return status, json.loads(text).get("event_id")


def states(here):
    return dict(rows(here.path("/var/lib/gateway/gateway.db"), STATES))


STATES = "SELECT e.id, d.state FROM events e JOIN deliveries d ON d.event_seq = e.seq"


def received(destination):
    return [one.values("webhook-id")[0] for one in destination.received]


def standings(said):
    """By name, of what `gateway destinations` said last."""
    lines = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    return {line["name"]: line["state"] for line in lines if "oldest_pending_age_seconds" in line}


@pytest.mark.parametrize(
    "command", ["rm -r /etc/gatewayd", "rm -r /var/lib", "cat </etc/passwd", "ls /home/x"]
)
def test_no_command_is_run_that_would_touch_the_machine_of_the_test(tmp_path, command):
    with machine(tmp_path, "http://127.0.0.1:9") as here, pytest.raises(AssertionError, match="would touch"):
        here.run(command)


def test_the_page_leads_from_nothing_through_a_restore_to_nothing(tmp_path, destination):
    with machine(tmp_path, destination.url) as here:
        _, check_and_start, first_webhook = blocks("From nothing to production")
        here.run(check_and_start)
        lived(here, destination, first_webhook)
        here.run(blocks("Taking it away")[0])
        assert not [path for path in here.folder.rglob("*") if path.is_file() and "gateway.db" in path.name]
        assert not here.path("/etc/gateway").exists()


def lived(here, destination, first_webhook):
    said = here.run(first_webhook)
    event_id = re.search(r'"event_id":"(evt_\w+)","status":"accepted"', said)[1]
    eventually(lambda: states(here)[event_id] == "delivered")
    (got,) = destination.received
    assert got.values("authorization") == [f"Bearer {here.secret('app_bearer')}"]
    assert json.loads(got.body) == {"type": "invoice.paid", "customer": "c_1"}

    destination.status = 500
    _, waiting = send(here, here.secret("billing"))
    eventually(lambda: waiting in received(destination))
    backup, restore = blocks("Backup and restore")
    here.run(backup)
    destination.status = 200
    eventually(lambda: states(here)[waiting] == "delivered")
    _, unknown = send(here, here.secret("billing"))
    eventually(lambda: unknown in received(destination))

    destination.received.clear()
    *before, resume = restore.splitlines()
    assert standings(here.run("\n".join(before))) == {"app": "paused"}
    assert here.service.line("store.copied")
    assert states(here) == {event_id: "delivered", waiting: "pending"}
    _, new = send(here, here.secret("billing"))
    assert destination.received == []
    here.run(resume)
    eventually(lambda: set(states(here).values()) == {"delivered"})
    assert sorted(received(destination)) == sorted([waiting, new])

    (erase,) = blocks("What is stored about people")
    here.run(erase.replace("evt_…", event_id))
    assert ("",) in rows(here.path("/var/lib/gateway/gateway.db"), "SELECT CAST(body AS TEXT) FROM events")


def test_every_address_that_an_alert_sends_one_to_answers(here):
    ports = {"8080": here.port, "8081": here.admin_port}
    asked = set(re.findall(r"localhost:(808\d)(/\w+)", PAGE))
    assert {path for _, path in asked} == {"/healthz", "/readyz", "/metrics"}
    for port, path in asked:
        with urllib.request.urlopen(f"http://127.0.0.1:{ports[port]}{path}", timeout=10) as response:
            assert response.status == 200


def test_a_snapshot_of_the_volume_becomes_a_copy_that_waits_and_replaces_what_was_killed(here, destination):
    """A snapshot has all files of the store at one moment: as a power cut leaves them."""
    destination.status = 500
    _, waiting = send(here, here.secret("billing"))
    eventually(lambda: waiting in received(destination))
    here.service.kill()
    here.run(
        "GATEWAY_STORE_URL=sqlite:////var/lib/gateway/gateway.db gateway backup /var/backups/gateway/monday.db"
    )
    here.run(START)
    send(here, here.secret("billing"))
    here.service.kill()  # and leaves a write-ahead log, which is none of the copy's
    destination.status = 200
    destination.received.clear()
    *before, resume = blocks("Backup and restore")[1].splitlines()
    here.run("\n".join(line for line in before if "stop" not in line))
    assert states(here) == {waiting: "pending"}
    assert destination.received == []
    here.run(resume)
    eventually(lambda: received(destination) == [waiting])


def test_an_older_version_refuses_a_newer_store_as_the_page_says_and_the_copy_from_before_runs(here):
    before_upgrade, start = blocks("Upgrade and downgrade")
    _, first = send(here, here.secret("billing"))
    eventually(lambda: states(here)[first] == "delivered")
    here.run(before_upgrade)
    store = here.path("/var/lib/gateway/gateway.db")
    ((known,),) = rows(store, "PRAGMA user_version")
    with contextlib.closing(sqlite3.connect(store)) as connection:
        connection.execute(f"PRAGMA user_version = {known + 1}")  # as the next version would leave it
    newer = store.read_bytes()

    refused = Service(["gateway", "serve"], here.environment)
    assert refused.process.wait(20) == 1
    refused.close()
    (line,) = [one["text"] for one in refused.lines]
    expected = blocks("Upgrade and downgrade", "text")[0].replace(
        "schema 6, known 5", f"schema {known + 1}, known {known}"
    )
    assert line == expected
    assert store.read_bytes() == newer

    _, aside, move, copy, begin, _, resume = blocks("Backup and restore")[1].splitlines()
    here.run("\n".join([aside, move, copy.replace("monday", "before-upgrade"), begin]))
    here.run(resume)
    assert send(here, here.secret("billing"))[0] == 200
    here.run("sudo systemctl stop gateway")
    here.run(start)  # what a version of the same schema does to it: nothing
    assert len(states(here)) == 2


def test_every_secret_is_rotated_as_the_page_says_without_a_restart_or_a_lost_webhook(here, destination):
    config = blocks("From nothing to production", "toml")[0]
    new_source, reload, new_bearer, new_admin = blocks("Rotating secrets")
    secrets, sign = blocks("Rotating secrets", "toml")
    assert here.service is not None
    process = here.service.process.pid

    old = here.secret("billing")
    here.run(new_source)
    here.configure(re.sub(r"^secrets = .+\n", secrets, config, flags=re.MULTILINE))
    here.run(reload)
    new = here.secret("billing")
    assert new != old
    assert [send(here, secret)[0] for secret in (old, new)] == [200, 200]
    assert 'gateway_secret_used_total{secret="1",source="billing"} 1.0' in ask(here, "GET", "/metrics")[1]
    here.configure(config)
    here.run(RELOAD)
    assert [send(here, secret)[0] for secret in (old, new)] == [401, 200]

    old_signing = here.secret("app_signing")
    here.run(new_source.replace("billing", "app_signing"))
    here.configure(re.sub(r"^sign = .+\n", sign, config, flags=re.MULTILINE))
    here.run(RELOAD)
    got = arrived(here, destination, new)
    for secret in (old_signing, here.secret("app_signing")):
        Webhook(secret).verify(got.body, dict(got.headers))
    here.configure(config)
    here.run(RELOAD)
    got = arrived(here, destination, new)
    Webhook(here.secret("app_signing")).verify(got.body, dict(got.headers))
    with pytest.raises(WebhookVerificationError):
        Webhook(old_signing).verify(got.body, dict(got.headers))

    here.run(new_bearer)
    destination.status = 401  # it does not know the new one yet
    got = arrived(here, destination, new)
    assert got.values("authorization") == [f"Bearer {here.secret('app_bearer')}"]
    destination.status = 200

    admin = {"authorization": f"Bearer {here.secret('admin')}"}
    assert standings(here.run(new_admin)) == {"app": "running"}
    assert ask(here, "GET", "/v1/destinations", headers=admin)[0] == 401
    eventually(lambda: set(states(here).values()) == {"delivered"})
    assert here.service.process.pid == process
    assert here.service.process.poll() is None


def arrived(here, destination, secret):
    """What the destination gets of a webhook that is sent now."""
    status, event_id = send(here, secret)
    assert status == 200
    eventually(lambda: event_id in received(destination))
    return next(one for one in destination.received if one.values("webhook-id") == [event_id])
