"""The commands, as processes."""

import base64
import contextlib
import functools
import io
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from gateway import __version__
from gateway.cli import main
from gateway.config import load, waiting_for_restart
from tests.support.gateway_app import SECRET, recording_destination, signed
from tests.support.waiting import eventually

OTHER_KEY = b"another made-up key of some bytes"
OTHER_SECRET = "whsec_" + base64.b64encode(OTHER_KEY).decode()
NOW = 1_795_341_600
BODY = b'{"type": "transcription.job.started", "data": {"jobId": "j1"}}'
SENSITIVE = "do-not-print-me"


def environ(folder, **more):
    inherited = {
        key: value for key, value in os.environ.items() if not key.startswith(("GATEWAY_", "CONVEX_"))
    }
    return {
        **inherited,
        "GATEWAY_HOST": "127.0.0.1",
        "GATEWAY_PORT": "0",
        "GATEWAY_STORE_URL": f"sqlite:///{folder}/gateway.db",
        "TRANSCRIBER_WEBHOOK_SECRET": SECRET,
        "CONVEX_SITE_URL": "http://127.0.0.1:9",
        "CONVEX_WEBHOOK_KEY": SENSITIVE,
        **more,
    }


def command(*arguments):
    return [sys.executable, "-m", "gateway", *map(str, arguments)]


def run(folder, *arguments, stdin=b"", **more):
    return subprocess.run(
        command(*arguments),
        env=environ(folder, **more),
        input=stdin,
        capture_output=True,
        timeout=30,
        check=False,
    )


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """Does the same in this process, for tables of cases."""

    def call(*arguments, stdin=b"", **more):
        for name, value in environ(tmp_path, **more).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as exit_:  # argparse ends so
            code = exit_.code
        said = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, code, said.out.encode(), said.err.encode())

    return call


class Serving:
    """A gateway process and what it logs."""

    def __init__(self, folder, **more):
        self.log = folder / f"log-{time.monotonic_ns()}"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command("serve"), env=environ(folder, **more), stdout=log, stderr=log
            )
        self.url = eventually(lambda: self._said("server.listening"))["url"]

    def lines(self):
        return [
            json.loads(line) for line in self.log.read_text().splitlines(keepends=True) if line.endswith("\n")
        ]

    def _said(self, event):
        assert self.process.poll() is None, self.log.read_text()
        return next((line for line in self.lines() if line["event"] == event), None)

    def wait_for(self, event):
        return eventually(lambda: self._said(event))

    def post(self, key=None):
        headers = signed(BODY, key=key) if key else signed(BODY)
        return httpx.post(f"{self.url}/webhooks/transcriber", content=BODY, headers=headers, trust_env=False)


@contextlib.contextmanager
def serving(folder, **more):
    """Ends it by SIGTERM, which it has to obey."""
    one = Serving(folder, **more)
    try:
        yield one
        one.process.send_signal(signal.SIGTERM)
        assert one.process.wait(20) == 0
    finally:
        one.process.kill()
        one.process.wait()


def one_clear_line(result, *words):
    """The complaint of a command that failed, after checking that it is one line and no traceback."""
    text = result.stderr.decode()
    assert result.returncode == 1, text
    assert "Traceback" not in text
    (line,) = text.splitlines()
    for word in words:
        assert word in line
    return line


def test_serve_takes_a_free_port_says_so_in_json_and_ends_well_on_sigterm(tmp_path):
    with serving(tmp_path) as gateway:
        assert gateway.url.startswith("http://127.0.0.1:")
        assert gateway.post().status_code == 200
        accepted = gateway.wait_for("webhook.accepted")
        assert (accepted["source"], accepted["ordering_key"]) == ("transcriber", "j1")
    text = gateway.log.read_text()
    assert SENSITIVE not in text
    assert SECRET not in text
    assert "Traceback" not in text
    assert all({"time", "level", "event"} <= set(line) for line in gateway.lines())


def test_a_refused_address_is_a_warning_at_start_and_no_reason_not_to(tmp_path):
    with serving(tmp_path, CONVEX_SITE_URL="http://10.0.0.1") as gateway:
        warned = gateway.wait_for("destination.address_refused")
        assert (warned["level"], warned["destination"]) == ("warning", "convex")
        assert gateway.post().status_code == 200


def test_deliveries_for_a_destination_that_is_no_longer_configured_are_warned_of(tmp_path):
    with serving(tmp_path) as gateway:
        assert gateway.post().status_code == 200
    config = tmp_path / "other.toml"
    config.write_text(f'[[sources]]\nname = "s"\npreset = "standard-webhooks"\nsecrets = ["{SECRET}"]\n')
    with serving(tmp_path, GATEWAY_CONFIG=str(config)) as gateway:
        warned = gateway.wait_for("destination.unknown")
        assert (warned["destination"], warned["pending"]) == ("convex", 1)


def test_sigint_ends_it_as_well(tmp_path):
    gateway = Serving(tmp_path)
    gateway.process.send_signal(signal.SIGINT)
    assert gateway.process.wait(20) == 0


def test_what_was_accepted_before_a_stop_is_there_after_the_next_start(tmp_path):
    with serving(tmp_path) as gateway:
        event_id = gateway.post().json()["event_id"]
    with serving(tmp_path, GATEWAY_ADMIN_TOKEN="made-up") as gateway:
        headers = {"authorization": "Bearer made-up"}
        response = httpx.get(f"{gateway.url}/v1/events/{event_id}", headers=headers, trust_env=False)
        assert response.json()["state"] == "pending"


def test_the_last_line_of_a_gateway_that_was_told_to_stop_says_so(tmp_path):
    with serving(tmp_path) as gateway:
        assert gateway.post().status_code == 200
    assert gateway.lines()[-1]["event"] == "server.stopped"


def test_sighup_takes_a_new_secret_from_its_file_and_drops_the_old_one(tmp_path):
    file = tmp_path / "secret"
    file.write_text(SECRET)
    with serving(
        tmp_path, TRANSCRIBER_WEBHOOK_SECRET="", TRANSCRIBER_WEBHOOK_SECRET_FILE=str(file)
    ) as gateway:
        assert (gateway.post().status_code, gateway.post(OTHER_KEY).status_code) == (200, 401)
        file.write_text(OTHER_SECRET)
        gateway.process.send_signal(signal.SIGHUP)
        gateway.wait_for("config.reloaded")
        assert (gateway.post().status_code, gateway.post(OTHER_KEY).status_code) == (401, 200)


def test_sighup_takes_a_new_admin_token_and_drops_the_old_one(tmp_path):
    file = tmp_path / "token"
    file.write_text("old")
    with serving(tmp_path, GATEWAY_ADMIN_TOKEN_FILE=str(file)) as gateway:

        def status(token):
            headers = {"authorization": f"Bearer {token}"}
            return httpx.get(f"{gateway.url}/v1/events", headers=headers, trust_env=False).status_code

        assert (status("old"), status("new")) == (200, 401)
        file.write_text("new")
        gateway.process.send_signal(signal.SIGHUP)
        gateway.wait_for("config.reloaded")
        assert (status("old"), status("new")) == (401, 200)


BEFORE = """
[server]
port = 0
admin_token = "t1"
[store]
url = "sqlite:///a.db"
[[sources]]
name = "kept"
preset = "github"
secrets = ["one-secret-of-the-tests"]
[[sources]]
name = "gone"
preset = "github"
secrets = ["one-secret-of-the-tests"]
[[destinations]]
name = "app"
url = "http://127.0.0.1:9/in"
allow_private_address = true
bearer_token = "one"
"""


@pytest.mark.parametrize(
    ("old", "new", "waiting"),
    [
        ("", "", []),
        ('"one"', '"two"', []),
        ("one-secret", "two-secret", []),
        ('"t1"', '"t2"', []),
        ("port = 0", 'port = 0\nlog_level = "error"', ["server.log_level"]),
        ("a.db", "b.db", ["store.url"]),
        ("[[sources]]", "[store.retention]\ndelivered_days = 1\n[[sources]]", ["store.retention"]),
        ('name = "gone"', 'name = "new"', ["sources (gone)", "sources (new)"]),
        (
            'name = "kept"',
            'name = "kept"\nordering_key = "json:id"\nrate_per_second = 5',
            ["sources (kept).ordering_key", "sources (kept).rate_per_second"],
        ),
        ('name = "kept"', 'name = "kept"\nhandshake = "meta"', ["sources (kept).handshake"]),
        ("/in", "/out", ["destinations (app).url"]),
        (
            "allow_private_address = true",
            "allow_private_address = true\nmax_in_flight = 2\nretry = { horizon_hours = 1 }",
            ["destinations (app).max_in_flight", "destinations (app).retry"],
        ),
    ],
)
def test_what_a_changed_configuration_has_that_waits_for_a_restart_is_known(tmp_path, old, new, waiting):
    file = tmp_path / "some.toml"
    file.write_text(BEFORE)
    served = load(file, environ={})
    file.write_text(BEFORE.replace(old, new, 1))
    assert waiting_for_restart(served, load(file, environ={})) == waiting


def test_reloads_are_counted_by_what_became_of_them(tmp_path):
    file = tmp_path / "some.toml"
    file.write_text(BEFORE)
    with serving(
        tmp_path, GATEWAY_CONFIG=str(file), GATEWAY_STORE_URL=f"sqlite:///{tmp_path}/a.db"
    ) as gateway:

        def outcomes():
            text = httpx.get(f"{gateway.url}/metrics", trust_env=False).text
            found = re.findall(r'^gateway_config_reloads_total\{outcome="(\w+)"\} (\S+)$', text, re.MULTILINE)
            return {outcome: float(number) for outcome, number in found}

        expected = {"taken": 0, "partial": 0, "refused": 0}
        for changed, outcome in (
            (BEFORE.replace('"one"', '"two"'), "taken"),
            (BEFORE.replace("/in", "/out"), "partial"),
            (
                BEFORE.replace('preset = "github"', 'preset = "github"\npublic_url = "https://a.example"', 1),
                "partial",
            ),
            ("nonsense", "refused"),
        ):
            file.write_text(changed)
            gateway.process.send_signal(signal.SIGHUP)
            expected[outcome] += 1
            eventually(lambda: outcomes() == expected)


def test_sighup_says_what_it_did_not_take(tmp_path):
    file = tmp_path / "some.toml"
    file.write_text(BEFORE)
    with serving(
        tmp_path, GATEWAY_CONFIG=str(file), GATEWAY_STORE_URL=f"sqlite:///{tmp_path}/a.db"
    ) as gateway:
        file.write_text(BEFORE.replace("/in", "/out"))
        gateway.process.send_signal(signal.SIGHUP)
        gateway.wait_for("config.reloaded")
        (said,) = [line for line in gateway.lines() if line["event"] == "config.restart_needed"]
        assert (said["level"], said["settings"]) == ("warning", ["destinations (app).url"])


@pytest.mark.parametrize("make", ["bad secret", "no file", "no text"])
def test_sighup_with_a_fault_keeps_the_old_secrets_and_says_why(tmp_path, make):
    file = tmp_path / "secret"
    file.write_text(SECRET)
    with serving(
        tmp_path,
        TRANSCRIBER_WEBHOOK_SECRET="",
        TRANSCRIBER_WEBHOOK_SECRET_FILE=str(file),
        GATEWAY_ADMIN_TOKEN_FILE=str(file),
    ) as gateway:
        if make == "no file":
            file.unlink()
        else:
            file.write_bytes(b"\xff" if make == "no text" else f"whsec_{SENSITIVE}!".encode())
        gateway.process.send_signal(signal.SIGHUP)
        assert gateway.wait_for("config.refused")["faults"]
        assert gateway.post().status_code == 200
    assert SENSITIVE not in gateway.log.read_text()


def test_a_second_gateway_on_the_same_store_is_refused_and_the_first_goes_on(tmp_path):
    with serving(tmp_path) as gateway:
        one_clear_line(run(tmp_path, "serve"), "gateway.db", "in use by another gateway")
        assert gateway.post().status_code == 200


@pytest.mark.parametrize(
    "content",
    [
        b"not a database at all, but some text that is long enough " * 100,
        b"SQLite format 3\x00" + b"\xff" * 5000,
    ],
)
def test_a_corrupt_store_is_reported_and_left_as_it_is(tmp_path, content):
    (tmp_path / "gateway.db").write_bytes(content)
    one_clear_line(run(tmp_path, "serve"), "gateway.db")
    assert (tmp_path / "gateway.db").read_bytes() == content


@pytest.mark.parametrize("place", ["/proc/none/gateway.db", "{folder}", "{folder}/file/gateway.db"])
def test_a_store_that_cannot_be_opened_is_one_clear_line(tmp_path, place):
    (tmp_path / "file").touch()
    one_clear_line(
        run(tmp_path, "serve", GATEWAY_STORE_URL=f"sqlite:///{place.format(folder=tmp_path)}"), "gateway: "
    )


def test_a_port_that_is_taken_is_one_clear_line_with_the_address_and_what_to_set(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        one_clear_line(
            run(tmp_path, "serve", GATEWAY_PORT=str(port)), f"127.0.0.1:{port}", "in use", "GATEWAY_PORT"
        )
    assert not (tmp_path / "gateway.db").exists()


@pytest.mark.parametrize("host", ["192.0.2.1", "nowhere.invalid", "a..b"])
def test_an_address_that_is_not_this_machines_is_one_clear_line(tmp_path, host):
    one_clear_line(run(tmp_path, "serve", GATEWAY_HOST=host), host, "GATEWAY_HOST")


def test_a_command_whose_reader_has_seen_enough_ends_without_a_word(tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as stdout:
        done = subprocess.run(
            command("check"),
            env=environ(tmp_path),
            stdout=stdout,
            stderr=subprocess.PIPE,
            timeout=30,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, b"")


def test_check_says_that_a_sound_configuration_is_sound(tmp_path):
    result = run(tmp_path, "check")
    assert (result.returncode, result.stderr) == (0, b"")
    assert result.stdout.decode() == "The configuration is sound: 1 source, 1 destination.\n"
    assert not (tmp_path / "gateway.db").exists()


@pytest.mark.parametrize("name", ["check", "serve"])
def test_every_fault_is_told_at_once_and_without_secrets(tmp_path, name):
    result = run(
        tmp_path,
        name,
        CONVEX_SITE_URL="",
        CONVEX_WEBHOOK_KEY=f"{SENSITIVE}\n",
        GATEWAY_PORT="x",
        TRANSCRIBER_WEBHOOK_SECRET=f"{SENSITIVE}!",
    )
    lines = result.stderr.decode().splitlines()
    assert (result.returncode, len(lines), lines[0]) == (1, 6, "The configuration has faults:")
    assert lines[-1].startswith(f"  there is no gateway.toml in {Path.cwd()}: ")
    assert SENSITIVE not in result.stderr.decode()


def test_check_connect_says_that_each_was_reached_or_names_the_destination_that_cannot_be(call):
    with socket.create_server(("127.0.0.1", 0)) as there:
        url = f"http://127.0.0.1:{there.getsockname()[1]}"
        assert call("check", "--connect", CONVEX_SITE_URL=url).stdout.decode() == (
            "The configuration is sound: 1 source, 1 destination. Each destination was reached.\n"
        )
    result = call("check", "--connect", CONVEX_SITE_URL=url)
    assert result.returncode == 1
    assert b"destinations (convex): 127.0.0.1:" in result.stderr


@pytest.mark.parametrize("host", ["10.0.0.1", "169.254.169.254", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"])
def test_check_names_the_destination_whose_address_is_never_connected_to(tmp_path, call, host):
    file = tmp_path / "some.toml"
    table = f'[[sources]]\nname = "s"\nverify = {{ kind = "none" }}\n[[destinations]]\nname = "d"\nurl = "http://{host}/in"\n'
    file.write_text(table)
    refused = call("check", "--config", file)
    assert refused.returncode == 1
    assert f"destinations (d): {host.strip('[]')} is no".encode() in refused.stderr
    file.write_text(f"{table}allow_private_address = true\n")
    assert call("check", "--config", file).returncode == (1 if host == "0.0.0.0" else 0)


def test_check_asks_for_no_address_of_a_name(tmp_path, call):
    file = tmp_path / "some.toml"
    file.write_text(
        '[[sources]]\nname = "s"\nverify = { kind = "none" }\n[[destinations]]\nname = "d"\nurl = "http://localhost/in"\n'
    )
    assert call("check", "--config", file).returncode == 0


def test_a_configuration_file_can_be_named_after_every_subcommand(tmp_path, call):
    file = tmp_path / "some.toml"
    file.write_text('[[sources]]\nname = "mine"\nverify = { kind = "none" }\n')
    assert b"0 destinations" in call("check", "--config", file).stdout
    result = call("sign", "--config", tmp_path / "nowhere.toml", "--source", "mine", "--id", "m")
    assert (result.returncode, b"No such file" in result.stderr) == (2, True)


def captured(folder, request_headers, *, body=BODY, **changes) -> Path:
    path = folder / "request.json"
    request = {
        "method": "POST",
        "url": "https://gateway.example/webhooks/transcriber?a=1",
        "headers": [list(pair) for pair in request_headers.items()],
        "body_base64": base64.b64encode(body).decode(),
    }
    path.write_text(json.dumps({**request, **changes}))
    return path


def verify(run_it, path, *, at=NOW, source="transcriber", **more):
    result = run_it("verify", "--source", source, "--request", path, "--at", at, **more)
    answer = json.loads(result.stdout) if result.stdout else None
    return result.returncode, answer, result.stderr.decode()


def test_what_sign_prints_is_what_verify_takes(tmp_path):
    result = run(tmp_path, "sign", "--source", "transcriber", "--id", "msg_1", "--at", NOW, stdin=BODY)
    headers = dict(line.split(": ") for line in result.stdout.decode().splitlines())
    assert headers == signed(BODY, message_id="msg_1", at=NOW)
    code, answer, _ = verify(functools.partial(run, tmp_path), captured(tmp_path, headers))
    assert (code, answer) == (
        0,
        {
            "verified": True,
            "reason": None,
            "event_id_key": "msg_1",
            "event_type": "transcription.job.started",
            "ordering_key": "j1",
        },
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"body_base64": "e30="}, "bad_signature"),
        ({"headers": []}, "missing_header"),
        ({"method": "GET"}, "method"),
        ({"body_base64": base64.b64encode(b"x" * 1_048_577).decode()}, "too_large"),
    ],
)
def test_verify_says_why_a_request_would_be_refused(tmp_path, changes, reason, call):
    code, answer, _ = verify(call, captured(tmp_path, signed(BODY, at=NOW), **changes))
    assert code == 1
    assert {key: answer[key] for key in answer if key != "detail"} == {
        "verified": False, "reason": reason, "event_id_key": None, "event_type": None, "ordering_key": None,
    }  # fmt: skip


def test_verify_judges_by_the_time_that_it_is_given(tmp_path, call):
    path = captured(tmp_path, signed(BODY, at=NOW))
    assert [verify(call, path, at=NOW + late)[0] for late in (300, 301, -301)] == [0, 1, 1]


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b"3", b"{}", b"\xff", b"[" * 100_000,
        json.dumps({"method": "POST", "url": "", "headers": [["a"]], "body_base64": ""}).encode(),
        json.dumps({"method": "POST", "url": "", "headers": [["a", 1]], "body_base64": ""}).encode(),
        json.dumps({"method": "POST", "url": "", "headers": [["a", "\u2603"]], "body_base64": ""}).encode(),
        json.dumps({"method": "POST", "url": "", "headers": [], "body_base64": "!"}).encode(),
        json.dumps({"method": "POST", "url": "", "headers": [], "body_base64": None}).encode(),
        json.dumps({"method": "POST", "url": "/?\ud800", "headers": [], "body_base64": ""}).encode(),
        json.dumps({"url": "", "headers": [], "body_base64": ""}).encode(),
    ],
    ids=range(14),
)  # fmt: skip
def test_a_request_file_of_another_form_is_unusable(tmp_path, content, call):
    path = tmp_path / "request.json"
    path.write_bytes(content)
    code, answer, complaint = verify(call, path)
    assert (code, answer, "Traceback" in complaint) == (2, None, False)
    assert complaint.startswith(f"{path}: must be JSON")


def test_what_is_not_there_is_unusable_and_what_there_is_is_named(tmp_path, call):
    path = captured(tmp_path, signed(BODY, at=NOW))
    assert "No such file" in verify(call, tmp_path / "nothing")[2]
    assert verify(call, tmp_path / "nothing")[0] == 2
    assert verify(call, path, source="nobody")[0] == 2
    assert "there are transcriber" in verify(call, path, source="nobody")[2]
    assert verify(call, path, CONVEX_SITE_URL="")[0] == 2
    assert verify(call, path, at="soon")[0] == 2


@pytest.mark.parametrize(
    ("message_id", "at"), [("a.b", NOW), ("", NOW), ("é", NOW), ("a\nx: y", NOW), ("m", -1), ("m", 10**12)]
)
def test_sign_prints_nothing_that_the_gateway_would_not_take(message_id, at, call):
    result = call("sign", "--source", "transcriber", "--id", message_id, f"--at={at}", stdin=BODY)
    assert (result.returncode, result.stdout, len(result.stderr.splitlines())) == (2, b"", 1)


def test_a_source_without_a_signing_key_cannot_sign(call):
    public = "whpk_" + base64.b64encode(bytes(range(32))).decode()
    result = call("sign", "--source", "transcriber", "--id", "m", TRANSCRIBER_WEBHOOK_SECRET=public)
    assert (result.returncode, b"cannot sign" in result.stderr) == (2, True)


def copy_of(folder, name="copy.db"):
    result = run(folder, "backup", folder / name)
    assert result.returncode == 0, result.stderr.decode()
    return folder / name, result.stdout.decode()


def whole(path):
    """The seq of every event and of every delivery's event in the file, after checking that it is sound."""
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
        events = [seq for (seq,) in db.execute("SELECT seq FROM events ORDER BY seq")]
        return events, [seq for (seq,) in db.execute("SELECT event_seq FROM deliveries ORDER BY event_seq")]


def test_a_backup_is_whole_while_events_are_being_accepted(tmp_path):
    ended = threading.Event()
    with serving(tmp_path) as gateway:

        def write():
            while not ended.is_set():
                assert gateway.post().status_code == 200

        writers = [threading.Thread(target=write) for _ in range(3)]
        for writer in writers:
            writer.start()
        try:
            answered = [gateway.post() for _ in range(5)]
            copies = [copy_of(tmp_path, f"copy-{number}.db") for number in range(3)]
        finally:
            ended.set()
            for writer in writers:
                writer.join()
    sizes = []
    for path, said in copies:
        assert re.fullmatch(rf"{re.escape(str(path))}: {path.stat().st_size} bytes, as of 20.+\.\n", said)
        assert path.stat().st_mode & 0o777 == 0o600
        events, of_deliveries = whole(path)
        assert events == of_deliveries == list(range(1, len(events) + 1))
        sizes.append(len(events))
    assert len(answered) <= sizes[0] <= sizes[1] <= sizes[2]
    assert {path.name for path in tmp_path.iterdir() if "copy" in path.name} == {
        "copy-0.db",
        "copy-1.db",
        "copy-2.db",
    }


def test_a_backup_of_a_stopped_gateway_has_what_it_accepted(tmp_path):
    with serving(tmp_path) as gateway:
        gateway.post()
    assert whole(copy_of(tmp_path)[0]) == ([1], [1])


def test_a_backup_never_replaces_a_file(tmp_path):
    with serving(tmp_path):
        pass
    kept = tmp_path / "kept"
    kept.write_text("mine")
    one_clear_line(run(tmp_path, "backup", kept), "kept exists")
    assert kept.read_text() == "mine"


@pytest.mark.parametrize(
    ("target", "content", "words"),
    [
        ("copy.db", None, ("there is no store",)),
        ("copy.db", b"not a database at all, but some text that is long enough " * 100, ("not a database",)),
        ("copy.db", "cut", ("malformed",)),
        ("nowhere/copy.db", "sound", ("nowhere/copy.db: No such file or directory",)),
    ],
)
def test_a_backup_that_cannot_be_made_is_one_clear_line_and_leaves_nothing(tmp_path, target, content, words):
    if content in ("cut", "sound"):
        with serving(tmp_path) as gateway:
            for _ in range(30):
                gateway.post()
    if content == "cut":
        store = (tmp_path / "gateway.db").read_bytes()
        content = store[: len(store) // 2 // 4096 * 4096]
    if isinstance(content, bytes):
        (tmp_path / "gateway.db").write_bytes(content)
    assert "partial" not in one_clear_line(run(tmp_path, "backup", tmp_path / target), *words)
    assert [path.name for path in tmp_path.iterdir() if "copy" in path.name] == []


def test_a_start_says_which_store_it_opened_whether_it_is_new_and_which_version_runs(tmp_path):
    said = []
    for _ in range(2):
        with serving(tmp_path) as gateway:
            opened = gateway.wait_for("store.opened")
            assert opened["path"] == str(tmp_path / "gateway.db")
            said.append((opened["created"], opened["pending"]))
            assert gateway.wait_for("server.listening")["version"] == __version__
            gateway.post()
    assert said == [(True, 0), (False, 1)]


def test_a_gateway_on_a_copy_sends_nothing_and_says_so_until_it_is_resumed(tmp_path):
    with recording_destination() as destination:
        there = {"CONVEX_SITE_URL": destination.url, "GATEWAY_ADMIN_TOKEN": "made-up"}
        with serving(tmp_path, **there | {"CONVEX_SITE_URL": "http://127.0.0.1:9"}) as gateway:
            waiting = gateway.post().json()["event_id"]
            before = time.time_ns() // 1_000_000
            copy, _ = copy_of(tmp_path)
        with serving(tmp_path, **there, GATEWAY_STORE_URL=f"sqlite:///{copy}") as gateway:
            said = gateway.wait_for("store.copied")
            assert (said["level"], before <= said["copied_at"] <= time.time() * 1000) == ("warning", True)
            new = gateway.post().json()["event_id"]
            (shown,) = command_lines(gateway, "destinations", "list")
            assert (shown["state"], shown["pending"]) == ("paused", 2)
        with serving(tmp_path, **there, GATEWAY_STORE_URL=f"sqlite:///{copy}") as gateway:
            (shown,) = command_lines(gateway, "destinations", "list")
            assert (shown["state"], destination.received) == ("paused", [])
            command_lines(gateway, "destinations", "resume", "convex")
            eventually(lambda: len(destination.received) == 2)
        assert "store.copied" not in gateway.log.read_text()
    assert [one.values("webhook-id")[0] for one in destination.received] == [waiting, new]


def command_lines(gateway, *arguments):
    result = run(gateway.log.parent, *arguments, "--url", gateway.url, GATEWAY_ADMIN_TOKEN="made-up")
    assert result.returncode == 0, result.stderr.decode()
    return [json.loads(line) for line in result.stdout.splitlines()]
