"""events · replays · destinations: the admin API from a terminal, against a running gateway."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gateway.cli import main
from tests.support.gateway_app import SOURCES, TOKEN, recording_destination, running_gateway
from tests.support.live_server import live_server
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    with recording_destination() as destination:
        destination.echoes = True
        text = f"""{SOURCES}
        [[destinations]]
        name = "app"
        url = "{destination.url}"
        event_types = ["wanted"]
        allow_private_address = true
        """
        with running_gateway(tmp_path_factory.mktemp("gateway"), text) as running:
            yield running


@pytest.fixture(autouse=True)
def _nothing_is_paused(gateway):
    gateway.admin_post("/v1/destinations/app/resume")


class Result:
    def __init__(self, code, said):
        self.code = code
        self.out = said.out
        self.err = said.err

    @property
    def items(self):
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture
def bare(tmp_path, monkeypatch, capsys):
    """A command in this process, in an empty folder, with these variables only."""
    for name in list(os.environ):
        if name.startswith(("GATEWAY_", "CONVEX_", "TRANSCRIBER_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)

    def call(*arguments, **variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, str(value))
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as exit_:  # argparse ends so
            code = exit_.code
        return Result(code, capsys.readouterr())

    return call


@pytest.fixture
def call(bare, gateway):
    return lambda *arguments: bare(
        *arguments, "--url", gateway.url, GATEWAY_ADMIN_TOKEN=TOKEN, HTTP_PROXY="http://127.0.0.1:9"
    )


def dead(gateway, *, kind="wanted", number=1):
    """Ids of new events whose only delivery was given up."""
    gateway.admin_post("/v1/destinations/app/pause")
    body = json.dumps({"type": kind, "data": {"jobId": "k"}}).encode()
    ids = [gateway.post(body).json()["event_id"] for _ in range(number)]
    for event_id in ids:
        gateway.admin_post(f"/v1/events/{event_id}/discard")
    gateway.admin_post("/v1/destinations/app/resume")
    return ids


def test_events_are_listed_as_json_lines_newest_first_and_narrowed(call, gateway):
    first, second = (gateway.post(b'{"type": "list-me"}').json()["event_id"] for _ in range(2))
    result = call("events", "list", "--type", "list-me", "--source", "producer", "--state", "unrouted")
    assert (result.code, [item["id"] for item in result.items]) == (0, [second, first])
    assert [item["id"] for item in call("events", "list", "--limit", 1, "--type", "list-me").items] == [
        second
    ]
    assert call("events", "list", "--type", "list-me", "--until", "1h").items == []
    assert len(call("events", "list", "--type", "list-me", "--since", "1h").items) == 2
    assert call("events", "list", "--type", "list-me", "--since", "2999-01-01T00:00").items == []


def test_a_list_of_more_than_a_page_is_whole(call, gateway):
    before = len(call("events", "list", "--limit", 0).items)
    for _ in range(210):
        gateway.post(b'{"type": "many"}')
    ids = [item["id"] for item in call("events", "list", "--limit", 0).items]
    assert len(ids) == len(set(ids)) == before + 210
    assert len(call("events", "list").items) == 50
    assert len(call("events", "list", "--limit", 205).items) == 205


def test_an_event_is_shown_whole(call, gateway):
    event_id = gateway.post(b'{"type": "show-me"}').json()["event_id"]
    result = call("events", "show", event_id)
    assert (result.code, result.items) == (0, [gateway.event(event_id)])
    assert "There is no event" in call("events", "show", f"{event_id}?x#y").err


def test_one_event_is_replayed_discarded_and_erased(call, gateway):
    (event_id,) = dead(gateway)
    result = call("events", "replay", event_id, "--to", "app")
    assert (result.code, result.items[0]["id"]) == (0, event_id)
    eventually(lambda: gateway.event(event_id)["state"] == "delivered")
    gateway.admin_post("/v1/destinations/app/pause")
    assert call("events", "replay", event_id).items[0]["state"] == "pending"
    assert call("events", "discard", event_id).items[0]["state"] == "dead"
    erased = call("events", "erase", event_id)
    assert (erased.code, erased.items) == (0, [{"id": event_id, "erased": True}])
    assert gateway.event(event_id)["body_base64"] is None
    refused = call("events", "replay", event_id)
    assert (refused.code, refused.err) == (1, "The event was erased: there is nothing left to send.\n")


def test_a_replay_of_many_is_followed_until_it_is_done(call, gateway):
    dead(gateway, number=3)
    counted = call(
        "events", "replay", "--state", "dead", "--destination", "app", "--type", "wanted", "--dry-run"
    )
    assert counted.items[0]["matched"] >= 3
    result = call(
        "events", "replay", "--state", "dead", "--destination", "app", "--type", "wanted", "--rate", 1000
    )
    assert result.items[0]["rate_per_second"] == 1000
    last = result.items[-1]
    assert (last["state"], last["done"] + last["failed"]) == ("done", last["matched"])
    assert result.code == (1 if last["failed"] else 0)


def test_a_replay_of_many_can_be_left_alone_listed_and_cancelled(call, gateway):
    dead(gateway, number=2)
    gateway.admin_post("/v1/destinations/app/pause")
    result = call("events", "replay", "--state", "dead", "--no-wait")
    (begun,) = result.items
    assert (result.code, begun["state"]) == (0, "running")
    assert begun["id"] in [item["id"] for item in call("replays", "list").items]
    assert call("replays", "cancel", begun["id"]).items[0]["state"] == "cancelled"


def test_destinations_are_listed_paused_and_resumed(call):
    assert [item["state"] for item in call("destinations", "list").items] == ["running"]
    assert call("destinations", "pause", "app").items[0]["state"] == "paused"
    assert call("destinations", "resume", "app", "app").items[1]["state"] == "running"
    refused = call("destinations", "pause", "app", "nowhere")
    assert (refused.code, refused.err) == (2, "no destination is called nowhere; there are app\n")
    assert [item["state"] for item in call("destinations", "list").items] == ["running"], (
        "none of them is paused"
    )


@pytest.mark.parametrize("token", ["m4de-up\r", " m4de-up", "m4de-üp"])
def test_a_token_that_no_header_can_carry_is_refused_and_not_printed(bare, gateway, token):
    refused = bare("events", "list", "--url", gateway.url, GATEWAY_ADMIN_TOKEN=token)
    assert (refused.code, refused.out) == (2, "")
    assert "admin token" in refused.err
    assert token.strip() not in refused.err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("events", "show", "evt_0"), 1, "There is no event"), (("events", "show", "../x?y#z"), 1, "has no such path"),
        (("events", "replay"), 2, "at least one filter"), (("events", "replay", "evt_0", "--state", "dead"), 2, "--state is for replays of many"),
        (("events", "replay", "evt_0", "--dry-run"), 2, "--dry-run is for"), (("events", "replay", "--state", "dead", "--to", "app"), 2, "--to is for"),
        (("events", "replay", "--state", "pending"), 2, "on their way"), (("events", "replay", "--state", "dead", "--rate", "-1"), 2, "must be a number from 0"), (("events", "replay", "--state", "dead", "--rate", "nan"), 2, "must be a number from 0"),
        (("events", "replay", "--destination", "x"), 2, "there are: app"), (("events", "list", "--since", "yesterday"), 2, "is no time"),
        (("events", "list", "--limit", "-1"), 2, "whole number"), (("events", "list", "--state", "lost"), 2, "invalid choice"), (("events",), 2, "required"),
        (("replays", "cancel", "rpl_0"), 1, "There is no replay"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_a_sentence_and_an_exit_code(call, arguments, code, words):
    result = call(*arguments)
    assert (result.code, result.out, "Traceback" in result.err) == (code, "", False)
    assert words in result.err


def test_the_token_and_the_port_come_from_the_environment_or_the_configuration(bare, gateway, tmp_path):
    config = tmp_path / "some.toml"
    config.write_text(
        f'[server]\nport = {gateway.port}\nadmin_token = "{TOKEN}"\n[[sources]]\nname = "s"\nverify = {{ kind = "none" }}\n'
    )
    assert bare("destinations", "list", "--config", config).items[0]["name"] == "app"
    assert bare("destinations", "--config", config, "list").items[0]["name"] == "app"
    (tmp_path / "gateway.toml").write_text(config.read_text())
    assert bare("destinations", "list").items[0]["name"] == "app"
    (tmp_path / "gateway.toml").unlink()
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    result = bare(
        "destinations", "list", GATEWAY_PORT=gateway.port, GATEWAY_ADMIN_TOKEN_FILE=tmp_path / "token"
    )
    assert result.items[0]["name"] == "app"


def test_the_commands_ask_where_the_admin_api_listens(bare, gateway, tmp_path):
    nobody = "127.0.0.1:9"
    config = tmp_path / "some.toml"
    config.write_text(
        f'[server]\nport = 9\nadmin_listen = "127.0.0.1:{gateway.port}"\n[[sources]]\nname = "s"\nverify = {{ kind = "none" }}\n'
    )
    asked = ("destinations", "list", "--config", config)
    assert bare(*asked, GATEWAY_ADMIN_TOKEN=TOKEN).items[0]["name"] == "app"
    assert bare(*asked, GATEWAY_PORT=9).items[0]["name"] == "app"
    refused = bare(*asked, GATEWAY_ADMIN_LISTEN=nobody).err
    assert f"no answer from http://{nobody}" in refused
    assert "--url names another" in refused
    alone = bare("destinations", "list", GATEWAY_ADMIN_LISTEN=f"127.0.0.1:{gateway.port}")
    assert alone.items[0]["name"] == "app"
    assert "no configuration is needed" in bare("destinations", "list", GATEWAY_ADMIN_LISTEN="8081").err


def test_without_a_token_or_with_a_wrong_one_there_is_a_sentence(bare, gateway, tmp_path):
    config = tmp_path / "some.toml"
    config.write_text('[[sources]]\nname = "s"\nverify = { kind = "none" }\n')
    for arguments, variables, code, words in (
        (("--config", config), {}, 2, "there is no admin token"),
        ((), {}, 2, "no configuration is needed"),
        ((), {"GATEWAY_ADMIN_TOKEN_FILE": tmp_path / "none"}, 2, "GATEWAY_ADMIN_TOKEN_FILE"),
        (("--url", gateway.url), {"GATEWAY_ADMIN_TOKEN": "wrong"}, 1, "missing or wrong"),
        (("--config", config), {"GATEWAY_PORT": "0"}, 2, "the configured port is 0"),
        (("--url", "http://127.0.0.1:9"), {}, 1, "no answer from http://127.0.0.1:9"),
        (("--url", "gopher://x"), {}, 1, "gopher://x"),
        (("--url", "127.0.0.1:8080"), {}, 1, "'http://'"),
        (("--url", "http://127.0.0.1:x"), {}, 1, "is not a URL"),
    ):
        result = bare("events", "list", *arguments, **variables)
        assert (result.code, result.out, "Traceback" in result.err) == (code, "", False)
        assert words in result.err


@pytest.mark.parametrize(
    ("status", "body"), [(200, b"<html>"), (200, b"[]"), (302, b"{}"), (500, b""), (502, b"{}")]
)
def test_an_answer_that_is_no_gateways_is_said_to_be_that(bare, status, body):
    async def app(scope, _receive, send):
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": status, "headers": [(b"location", b"/x")]})
            await send({"type": "http.response.body", "body": body})

    async def with_lifespan(scope, receive, send):
        if scope["type"] != "lifespan":
            return await app(scope, receive, send)
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return None

    with live_server(with_lifespan) as url:
        result = bare("events", "list", "--url", url, GATEWAY_ADMIN_TOKEN="t")
    assert (result.code, result.err) == (1, f"gateway: {url} answers, but not as a gateway does\n")


KEYED = {"type": "both", "data": {"jobId": "k"}}


@pytest.fixture
def two(tmp_path):
    """A gateway without events, of `app`, which is paused, and `audit`, which takes everything."""
    with recording_destination() as destination:
        each = f'url = "{destination.url}"\nallow_private_address = true\n'
        text = "".join(f'[[destinations]]\nname = "{name}"\n{each}' for name in ("app", "audit"))
        with running_gateway(tmp_path, f"{SOURCES}\n{text}") as running:
            running.admin_post("/v1/destinations/app/pause")
            yield running


def _states(gateway, event_id):
    return {one["destination"]: one["state"] for one in gateway.event(event_id)["deliveries"]}


class Terminal:
    """A command whose standard output is a terminal."""

    def __init__(self, gateway, *arguments):
        self._master, slave = pty.openpty()
        environment = {"PATH": os.environ["PATH"], "GATEWAY_ADMIN_TOKEN": TOKEN, "TZ": "UTC"}
        command = [sys.executable, "-m", "gateway", *arguments, "--url", gateway.url]
        self.process = subprocess.Popen(
            command,
            env=environment,
            stdout=slave,
            stderr=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 (a shell's background job ignores it)
        )
        os.close(slave)
        self.text = ""
        self.said_beside = ""
        """On standard error, once it has ended."""

    def read(self, until=None):
        """What is printed to the end, or until `until` is."""
        deadline = time.monotonic() + 20
        while until is None or until not in self.text:
            assert time.monotonic() < deadline, self.text
            try:
                self.text += os.read(self._master, 65_536).decode().replace("\r\n", "\n")
            except OSError:  # the other side is closed
                break
        return self.text

    def end(self):
        text = self.read()
        os.close(self._master)
        self.said_beside = self.process.communicate(timeout=20)[1].decode()
        return self.process.returncode, text


def test_a_person_reads_tables_that_no_event_can_break(gateway):
    body = json.dumps({"type": "evil\x1b[2J\n", "data": {"jobId": "k" * 100}}).encode()
    event_id = gateway.post(body).json()["event_id"]
    code, text = Terminal(gateway, "events", "list", "--limit", "1").end()
    heading, line = text.splitlines()
    assert (code, heading.split()) == (
        0,
        ["ID", "SOURCE", "TYPE", "ORDERING_KEY", "RECEIVED_AT", "STATE", "DELIVERIES"],
    )
    assert line.split()[:3] == [event_id, "producer", "'evil\\x1b[2J\\n'"]
    assert "\x1b" not in text
    assert "kkk…" in text


def test_a_person_reads_an_event_with_its_attempts_and_its_body(gateway):
    event_id = gateway.post(b'{"type": "wanted",\n "bell": "\x7f"}').json()["event_id"]
    eventually(lambda: gateway.event(event_id)["state"] == "delivered")
    _, text = Terminal(gateway, "events", "show", event_id).end()
    for words in (f"id: {event_id}", "state: delivered", "destination: app", "success", "webhook-id: msg_", '{"type": "wanted",', "\\x7f", "last answer: '/"):  # fmt: skip
        assert words in text
    assert "\x7f" not in text


def test_a_person_is_told_that_an_event_is_erased(gateway):
    event_id = gateway.post(b"{}").json()["event_id"]
    code, text = Terminal(gateway, "events", "erase", event_id).end()
    assert (code, text.startswith(f"{event_id} is erased: "), len(text.splitlines())) == (0, True, 1)


def test_a_person_is_told_where_a_replayed_event_was_waiting_already(gateway):
    (event_id,) = dead(gateway)
    gateway.admin_post("/v1/destinations/app/pause")
    code, queued = Terminal(gateway, "events", "replay", event_id).end()
    assert (code, "pending" in queued, queued.splitlines()[-1]) == (0, True, "Queued for app.")
    for arguments in ((), ("--to", "app")):
        code, waited = Terminal(gateway, "events", "replay", event_id, *arguments).end()
        assert (code, waited.splitlines()[-1]) == (0, "It was waiting already for app: nothing was queued.")


def test_a_person_is_told_for_whom_an_event_was_queued_and_for_whom_it_was_waiting(two):
    event_id = two.post(b'{"type": "both"}').json()["event_id"]
    eventually(lambda: _states(two, event_id) == {"app": "pending", "audit": "delivered"})
    two.admin_post("/v1/destinations/audit/pause")
    code, text = Terminal(two, "events", "replay", event_id).end()
    assert (code, text.splitlines()[-1]) == (0, "Queued for audit. It was waiting already for app.")
    code, text = Terminal(two, "events", "replay", event_id).end()
    assert (code, text.splitlines()[-1]) == (
        0,
        "It was waiting already for app, audit: nothing was queued.",
    )


def test_a_person_sees_to_whom_events_go_and_why_not(two):
    event_id = two.post(b'{"type": "both"}').json()["event_id"]
    eventually(lambda: _states(two, event_id) == {"app": "pending", "audit": "delivered"})
    two.admin_post(f"/v1/events/{event_id}/discard")
    _, text = Terminal(two, "events", "list", "--state", "dead").end()
    heading, line = text.splitlines()
    assert line[heading.index("DELIVERIES") :] == "app dead (discarded), audit delivered"


def test_a_person_is_told_that_a_delivery_waits_for_one_of_its_key(two):
    first, second = (two.post(json.dumps(KEYED).encode()).json()["event_id"] for _ in range(2))
    words = "next_attempt_at: - (an earlier delivery of its key goes first)"
    eventually(lambda: _states(two, second) == {"app": "pending", "audit": "delivered"})
    assert words not in Terminal(two, "events", "show", first).end()[1]
    shown = Terminal(two, "events", "show", second).end()[1].splitlines()
    assert (shown.count(words), shown.count("next_attempt_at: -")) == (1, 1)


def test_a_person_sees_what_was_asked_of_a_replay(two):
    for asked in ({}, {"state": "dead", "destination": "app", "type": "t" * 60, "until": 1, "since": 2**62}):
        two.admin_post("/v1/replays", asked)
    heading, first, second = Terminal(two, "replays", "list").end()[1].splitlines()
    at = heading.index("FILTERS")
    until = "1970-01-01 00:00:00+00:00"
    assert {first[at:], second[at:]} == {
        "-",
        f"destination=app, state=dead, type={'t' * 47}…, since={2**62}, until={until}",
    }


@pytest.mark.parametrize(("limit", "shown"), [("2", 2), ("3", 3), ("0", 3)])
def test_a_person_is_told_when_there_are_more_events_than_the_limit(two, limit, shown):
    for _ in range(3):
        two.post(b'{"type": "both"}')
    terminal = Terminal(two, "events", "list", "--limit", limit)
    code, text = terminal.end()
    more = "" if shown == 3 else "There are more: --limit 0 lists all.\n"
    assert (code, len(text.splitlines()), terminal.said_beside) == (0, 1 + shown, more)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--destination", "app", "--source", "producer"), ""),
        (("--destination", "apq"), " No destination is called apq; there are app, audit."),
        (("--source", "\x1b"), " No source is called '\\x1b'; there are producer."),
    ],
)
def test_a_person_is_told_that_no_event_matches_and_which_name_there_is_not(two, arguments, said):
    code, text = Terminal(two, "events", "list", *arguments).end()
    assert (code, text) == (0, f"No event matches.{said}\n")


def test_a_person_sees_why_a_destination_is_held_and_when_it_is_tried_next(bare, tmp_path):
    with recording_destination() as down:
        down.status = 503
        text = f"""{SOURCES}
        [[destinations]]
        name = "app"
        url = "{down.url}"
        allow_private_address = true
        """
        with running_gateway(tmp_path, text) as gateway:
            for _ in range(5):
                gateway.post()
            item = eventually(lambda: _held_item(bare, gateway))
            heading, line = eventually(lambda: _held_lines(gateway))
    assert (item["last_error"], item["last_error_at"] < item["next_probe_at"]) == ("answered 503", True)
    names = heading.split()
    assert names[:2] + names[-3:] == ["NAME", "STATE", "NEXT_PROBE_AT", "LAST_ERROR", "URL"]
    assert line[heading.index("LAST_ERROR") : heading.index("URL")].strip() == "answered 503"
    assert line.endswith(down.url)


def _held_item(bare, gateway):
    """What a machine reads, but for the moments when the destination is being tried."""
    (item,) = bare("destinations", "list", "--url", gateway.url, GATEWAY_ADMIN_TOKEN=TOKEN).items
    return item if item["next_probe_at"] else None


def _held_lines(gateway):
    """As `_held_item`, for a person."""
    _, text = Terminal(gateway, "destinations", "list").end()
    heading, line = text.splitlines()
    at = line[heading.index("NEXT_PROBE_AT") : heading.index("LAST_ERROR")].strip()
    return (heading, line) if re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d\d:\d\d", at) else None


def test_a_person_sees_how_far_a_replay_is_and_may_leave(gateway):
    dead(gateway, number=2)
    gateway.admin_post("/v1/destinations/app/pause")
    terminal = Terminal(gateway, "events", "replay", "--state", "dead")
    terminal.read(until="running: ")
    terminal.process.send_signal(signal.SIGINT)
    code, text = terminal.end()
    assert (code, "It goes on; to end it: gateway replays cancel rpl_" in text) == (1, True)
    gateway.admin_post("/v1/destinations/app/resume")
    replay_id = text.split()[-1]
    assert eventually(lambda: gateway.admin(f"/v1/replays/{replay_id}").json()["state"] == "done")
