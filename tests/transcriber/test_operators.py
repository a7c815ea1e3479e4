"""What operators see and do: the routes of events and webhooks, and the commands over them."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.process import ROOT
from tests.support.waiting import eventually
from tests.support.webhook_receiver import SECRET, WebhookReceiver
from tests.transcriber.conftest import Api, environment_of, job_id, running
from transcriber.cli import main

KEY = "key-of-the-operators"
STEPS = ["queued", "started", "completed"]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, running_receiver, running_groq) -> Iterator[Api]:
    """A service that asks for the key, for the whole module."""
    environment = environment_of(tmp_path_factory.mktemp("operators"), running_receiver, running_groq)
    with running({**environment, "TRANSCRIBER_API_KEY": KEY}) as api:
        api.http.headers["authorization"] = f"Bearer {KEY}"
        yield api


@pytest.fixture
def told(shared: Api, receiver: WebhookReceiver) -> str:
    """A completed job of which everything was taken."""
    return complete(shared, receiver)


def complete(api: Api, receiver: WebhookReceiver) -> str:
    identity = job_id()
    api.post(job_id=identity)
    eventually(lambda: receiver.types(identity) == STEPS)
    eventually(
        lambda: [event["deliveries"][0]["state"] for event in events(api, job_id=identity)] == ["taken"] * 3
    )
    return identity


def events(api: Api, **query: str | int) -> list[dict]:
    return api.http.get("/v1/events", params=query).raise_for_status().json()["items"]


def test_an_event_shows_whom_it_was_told_and_what_was_said(
    shared: Api, told: str, receiver: WebhookReceiver
) -> None:
    newest = events(shared, job_id=told)[0]
    assert (newest["jobId"], newest["sequence"], newest["type"]) == (told, 3, "transcription.job.completed")
    (delivery,) = newest["deliveries"]
    assert delivery.pop("takenAt") >= newest["writtenAt"]
    assert delivery == {
        "webhook": "default",
        "state": "taken",
        "attempts": 1,
        "nextAttemptAt": None,
        "lastStatus": 200,
        "lastError": None,
    }
    whole = shared.http.get(f"/v1/events/{newest['id']}").json()
    assert whole.pop("body") == receiver.taken(told)[-1].body
    assert whole["id"] == newest["id"]


def test_the_list_is_read_page_by_page_and_filtered(shared: Api, told: str) -> None:
    page = shared.http.get("/v1/events", params={"job_id": told, "limit": 2}).json()
    rest = shared.http.get("/v1/events", params={"job_id": told, "cursor": page["next_cursor"]}).json()
    assert [event["sequence"] for event in page["items"] + rest["items"]] == [3, 2, 1]
    assert rest["next_cursor"] is None
    assert events(shared, job_id=told, state="waiting") == []
    assert len(events(shared, job_id=told, state="taken", webhook="default")) == 3
    written = page["items"][0]["writtenAt"]
    assert events(shared, job_id=told, since=written + 1) == []
    assert len(events(shared, job_id=told, until=written + 1)) == 3


def test_a_replayed_event_arrives_again_the_same(shared: Api, told: str, receiver: WebhookReceiver) -> None:
    event = events(shared, job_id=told)[-1]
    response = shared.http.post(f"/v1/events/{event['id']}/replay")
    assert (response.status_code, response.json()["deliveries"][0]["state"]) == (202, "waiting")
    first, *_, last = eventually(lambda: receiver.taken(told)[3:] and receiver.taken(told))
    assert (last.webhook_id, last.body) == (first.webhook_id, first.body)


def test_many_are_replayed_at_once(shared: Api, told: str, receiver: WebhookReceiver) -> None:
    response = shared.http.post("/v1/replays", json={"job_id": told, "dry_run": True})
    assert (response.status_code, response.json()) == (200, {"matched": 3})
    assert len(receiver.taken(told)) == 3
    response = shared.http.post("/v1/replays", json={"job_id": told, "webhook": "default"})
    assert (response.status_code, response.json()) == (202, {"matched": 3})
    eventually(lambda: receiver.types(told) == STEPS * 2)


@pytest.mark.parametrize(
    ("method", "path", "content", "refused"),
    [
        ("GET", "/v1/events?state=lost", None, (400, "bad_query")),
        ("GET", "/v1/events?since=yesterday", None, (400, "bad_query")),
        ("GET", "/v1/events?limit=0", None, (400, "bad_query")),
        ("GET", "/v1/events?cursor=x", None, (400, "bad_query")),
        ("GET", "/v1/events/msg_unknown", None, (404, "unknown_event")),
        ("POST", "/v1/events/msg_unknown/replay", b"", (404, "unknown_event")),
        ("POST", "/v1/events/msg_unknown/replay", b"{", (400, "malformed")),
        ("POST", "/v1/events/msg_unknown/replay", b"[]", (400, "malformed")),
        ("POST", "/v1/events/msg_unknown/replay", b"[" * 60_000, (400, "malformed")),
        ("POST", "/v1/events/msg_unknown/replay", b"\xff", (400, "malformed")),
        ("POST", "/v1/events/msg_unknown/replay", b" " * 65_537, (413, "too_large")),
        ("POST", "/v1/events/msg_unknown/replay", b'{"webhooks":[]}', (422, "bad_field")),
        ("POST", "/v1/events/msg_unknown/replay", b'{"webhook":"x"}', (422, "unknown_field")),
        ("POST", "/v1/replays", b"", (400, "malformed")),
        ("POST", "/v1/replays", b" ", (400, "malformed")),
        ("POST", "/v1/replays", b'{"since":"now"}', (422, "bad_field")),
        ("POST", "/v1/replays", b'{"dry_run":1}', (422, "bad_field")),
        ("POST", "/v1/replays", b'{"job_id":7}', (422, "bad_field")),
        ("POST", "/v1/replays", b'{"webhook":"nowhere"}', (422, "unknown_webhook")),
        ("POST", "/v1/replays", b'{"webhook":"\\ud800"}', (422, "bad_field")),
        ("POST", "/v1/webhooks/nowhere/discard", None, (404, "unknown_webhook")),
        ("POST", "/v1/webhooks/default/discard", None, (409, "webhook_configured")),
    ],
)
def test_what_cannot_be_done_is_one_clear_problem(
    shared: Api, method: str, path: str, content: bytes | None, refused: tuple[int, str]
) -> None:
    response = shared.http.request(method, path, content=content)
    assert (response.status_code, response.json()["code"]) == refused


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/events"),
        ("GET", "/v1/events/x"),
        ("POST", "/v1/events/x/replay"),
        ("POST", "/v1/replays"),
        ("GET", "/v1/webhooks"),
        ("POST", "/v1/webhooks/x/discard"),
    ],
)
def test_every_route_of_operators_asks_for_the_key(
    shared: Api, shared_api: Api, method: str, path: str
) -> None:
    wrong = shared.http.request(method, path, headers={"authorization": "Bearer wrong"})
    assert (wrong.status_code, wrong.json()["code"]) == (401, "unauthorized")
    without = shared_api.http.request(method, path)
    assert (without.status_code, without.json()["code"]) == (403, "list_closed")


def test_a_webhook_shows_what_waits_and_why_and_no_secret(
    start: Callable[..., Api], receiver: WebhookReceiver
) -> None:
    url = receiver.url.replace("http://", "http://ada:hunter2@") + "?token=hunter2"
    api = start(TRANSCRIBER_API_KEY=KEY, TRANSCRIBER_WEBHOOK_URL=url)
    api.http.headers["authorization"] = f"Bearer {KEY}"
    identity = job_id()
    receiver.refused_jobs.add(identity)
    api.post(job_id=identity)
    api.until(identity, "completed")

    def refused() -> dict | None:
        (webhook,) = api.http.get("/v1/webhooks").json()["items"]
        return webhook if webhook["waiting"] == 3 and webhook["lastStatus"] else None

    webhook = eventually(refused)
    created = api.job(identity)["timestamps"]["createdAt"]
    assert webhook == {
        "name": "default",
        "configured": True,
        "url": receiver.url,
        "eventTypes": ["*"],
        "waiting": 3,
        "oldestWrittenAt": created,
        "lastStatus": 500,
        "lastError": "answered 500",
    }


def test_what_waits_for_a_removed_webhook_is_seen_and_can_be_dropped(
    environment: dict[str, str],
    tmp_path: Path,
    receiver: WebhookReceiver,
    caplog: pytest.LogCaptureFixture,
) -> None:
    config = tmp_path / "transcriber.toml"
    config.write_text(f'[[webhooks]]\nname = "gone"\nurl = "http://127.0.0.1:9/"\nsecrets = ["{SECRET}"]\n')
    environment["TRANSCRIBER_API_KEY"] = KEY
    with running(environment | {"TRANSCRIBER_CONFIG": str(config)}) as api:
        identity = job_id()
        api.post(job_id=identity)
        eventually(lambda: receiver.types(identity) == STEPS)
    with running(environment) as api:
        assert "webhook.removed" in caplog.messages
        api.http.headers["authorization"] = f"Bearer {KEY}"
        (gone,) = [one for one in api.http.get("/v1/webhooks").json()["items"] if one["name"] == "gone"]
        assert (gone["configured"], gone["waiting"], gone["url"]) == (False, 3, None)
        assert 'transcriber_outbox_waiting{webhook="gone"} 3.0' in api.http.get("/metrics").text
        assert api.http.post("/v1/webhooks/gone/discard").json() == {"discarded": 3}
        assert [one["name"] for one in api.http.get("/v1/webhooks").json()["items"]] == ["default"]
        assert 'webhook="gone"' not in api.http.get("/metrics").text


@pytest.fixture
def command(
    shared: Api, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Runs a command against the service: the exit code, and what it printed and complained of."""

    def command(*arguments: str, key: str = KEY) -> tuple[int, str, str]:
        monkeypatch.setenv("TRANSCRIBER_API_KEY", key)
        monkeypatch.setenv("TRANSCRIBER_PUBLIC_URL", str(shared.http.base_url))
        return main(arguments), *capsys.readouterr()

    return command


def test_the_commands_list_show_and_replay(
    command: Callable[..., tuple[int, str, str]], told: str, receiver: WebhookReceiver
) -> None:
    lines = command("events", "list", "--job-id", told, "--since", "1h")[1].splitlines()
    assert [json.loads(line)["sequence"] for line in lines] == [3, 2, 1]
    identity = json.loads(lines[0])["id"]
    shown = json.loads(command("events", "show", identity)[1])
    assert shown["body"] == receiver.taken(told)[-1].body
    code, printed, _ = command("events", "replay", identity, "--to", "default")
    assert (code, json.loads(printed)["id"]) == (0, identity)
    eventually(lambda: receiver.types(told) == [*STEPS, "completed"])
    _, printed, _ = command("events", "replay", "--job-id", told, "--dry-run")
    assert json.loads(printed) == {"matched": 3}
    assert json.loads(command("webhooks", "list")[1])["name"] == "default"


@pytest.mark.parametrize(
    ("arguments", "key", "said"),
    [
        (("events", "show", "msg_unknown"), KEY, "refused (404): there is no event 'msg_unknown'"),
        (("events", "list"), "wrong", "refused (401)"),
        (("events", "list"), "", "set TRANSCRIBER_API_KEY"),
        (("events", "list", "--url", "http://127.0.0.1:9"), KEY, "no answer from http://127.0.0.1:9"),
        (("events", "replay"), KEY, "narrow by at least one filter"),
    ],
)
def test_a_command_that_fails_says_why(
    command: Callable[..., tuple[int, str, str]], arguments: tuple[str, ...], key: str, said: str
) -> None:
    code, _, complaint = command(*arguments, key=key)
    assert code == 1
    assert said in complaint


def test_another_service_at_the_address_is_told_apart(
    command: Callable[..., tuple[int, str, str]], shared: Api
) -> None:
    code, _, complaint = command("webhooks", "list", "--url", f"{shared.http.base_url}/healthz?")
    assert code == 1
    assert "not as a transcriber does" in complaint


def test_a_reader_that_leaves_early_is_no_fault(shared: Api, told: str) -> None:
    program = [sys.executable, "-m", "transcriber", "events", "list", "--url", str(shared.http.base_url)]
    ours, theirs = os.pipe()
    os.close(ours)
    try:
        environment = {"PATH": os.environ["PATH"], "TRANSCRIBER_API_KEY": KEY}
        done = subprocess.run(
            program, cwd=ROOT, env=environment, stdout=theirs, stderr=subprocess.PIPE, timeout=30, check=False
        )
    finally:
        os.close(theirs)
    assert (done.returncode, done.stderr) == (0, b"")
    assert events(shared, job_id=told)  # there was something to read
