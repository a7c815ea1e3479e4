"""The commands as processes: what operators and supervisors see."""

import os
import pty
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import IO

import httpx
import pytest

from tests.support.groq_server import Answer, GroqServer
from tests.support.process import ROOT, Service
from tests.support.speech import speech
from tests.support.waiting import eventually
from tests.support.webhook_receiver import WebhookReceiver
from tests.transcriber.conftest import Api, job_id


def run(
    command: str, *, stdout: int | IO[bytes] = subprocess.PIPE, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "transcriber", command],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment},
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.fixture
def serve(environment: dict[str, str]) -> Iterator[Callable[..., tuple[Service, Api]]]:
    """Starts the service as a process; whatever still runs at the end is killed."""
    with ExitStack() as stack:

        def serve(**changes: str) -> tuple[Service, Api]:
            service = Service(["transcriber", "serve"], {**environment, "TRANSCRIBER_PORT": "0", **changes})
            stack.callback(service.close)
            http = stack.enter_context(httpx.Client(base_url=service.url, timeout=30))
            return service, Api(http, Path(environment["TRANSCRIBER_DATA_DIR"]))

        yield serve


def test_check_accepts_good_settings(environment: dict[str, str], receiver: WebhookReceiver) -> None:
    done = run("check", **environment)
    assert done.returncode == 0
    assert "engine groq" in done.stdout
    assert f"events to default ({receiver.url})" in done.stdout


def test_a_command_whose_reader_has_seen_enough_ends_without_a_word(environment: dict[str, str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as stdout:
        done = run("check", stdout=stdout, **environment)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("command", ["check", "serve"])
def test_bad_settings_are_all_told_and_nothing_starts(command: str, tmp_path: Path) -> None:
    bad = {
        "TRANSCRIBER_PORT": "many",
        "TRANSCRIBER_CONFIG": "x.toml",
        "TRANSCRIBER_WEBHOOK_SECRT": "x",
        "TRANSCRIBER_DATA_DIR": str(tmp_path / "data"),
    }
    done = run(command, **bad)
    assert done.returncode == 1
    assert done.stderr.count("fault: ") == 3
    assert "did you mean TRANSCRIBER_WEBHOOK_SECRET?" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "data").exists()


def test_a_port_or_folder_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run("serve", TRANSCRIBER_PORT=port, TRANSCRIBER_DATA_DIR=str(tmp_path))
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "cannot be listened on" in done.stderr
    assert "TRANSCRIBER_HOST or TRANSCRIBER_PORT" in done.stderr
    (tmp_path / "file").write_text("")
    done = run("serve", TRANSCRIBER_PORT="0", TRANSCRIBER_DATA_DIR=str(tmp_path / "file"))
    assert done.returncode == 1
    assert "TRANSCRIBER_DATA_DIR" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_store_that_takes_nothing_at_the_start_is_one_clear_line(
    serve, environment: dict[str, str]
) -> None:
    """As on a disk that has just room enough to open it."""
    service, _ = serve()
    assert service.stop()[0] == 0
    with closing(sqlite3.connect(Path(environment["TRANSCRIBER_DATA_DIR"]) / "transcriber.db")) as database:
        database.execute(
            "CREATE TRIGGER no_room BEFORE UPDATE ON webhooks BEGIN SELECT RAISE(ABORT, 'disk is full'); END"
        )
        database.commit()
    done = run("serve", **environment, TRANSCRIBER_PORT="0")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "cannot be used: disk is full" in done.stderr


def test_a_second_process_on_the_same_folder_is_refused(serve, environment: dict[str, str]) -> None:
    serve()
    done = run("serve", **environment, TRANSCRIBER_PORT="0")
    assert done.returncode == 1
    assert "another transcriber is using" in done.stderr


def test_a_job_whose_process_was_killed_is_taken_up_again_at_once(
    serve, groq: GroqServer, receiver: WebhookReceiver
) -> None:
    groq.answers.append(Answer(held=True))
    service, api = serve()
    identity = job_id()
    api.post(job_id=identity)
    eventually(lambda: groq.asked)
    before = api.until(identity, "processing")
    service.kill()
    service, api = serve()
    listening = time.monotonic()
    eventually(lambda: len(groq.asked) == 2)
    assert time.monotonic() - listening < 1.0
    done = api.until(identity, "completed")
    assert done["timestamps"]["startedAt"] == before["timestamps"]["startedAt"]
    eventually(lambda: receiver.types(identity)[-1:] == ["completed"])
    sequences = sorted({webhook.data["sequence"] for webhook in receiver.taken(identity)})
    assert sequences == [1, 2, 3]


def test_jobs_and_events_wait_through_a_restart(serve, receiver: WebhookReceiver, groq: GroqServer) -> None:
    identity = job_id()
    receiver.refused_jobs.add(identity)
    groq.answers.append(Answer(held=True))
    service, api = serve()
    api.post(job_id=identity)
    eventually(lambda: groq.asked)
    code, _ = service.stop()
    assert code == 0
    receiver.refused_jobs.clear()
    _, api = serve()
    api.until(identity, "completed")
    eventually(lambda: receiver.types(identity) == ["queued", "started", "completed"])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_is_quick_and_clean_though_a_thread_is_transcribing(serve, number: int) -> None:
    service, api = serve(TRANSCRIBER_ENGINE="local")
    identity = job_id()
    assert api.post(speech(times=20), job_id=identity).status_code == 202
    eventually(lambda: api.job(identity)["progress"] > 0, seconds=60)
    code, seconds = service.stop(number)
    assert code == 0
    assert seconds < 10
    assert [line for line in service.lines if line["event"] == "not JSON"] == []
    assert service.lines[-1]["event"] == "service.stopped", service.lines[-4:]
    service, api = serve(TRANSCRIBER_ENGINE="local")
    assert api.job(identity)["status"] == "processing"
    service.line("job.started")


def test_what_a_peer_sent_neither_forges_a_line_on_a_terminal_nor_steers_it() -> None:
    program = (
        "from transcriber import log; log.configure(); log.info('http.answered', path='/a\\n12:00 b\\x1b[2J')"
    )
    ours, terminal = pty.openpty()
    try:
        subprocess.run([sys.executable, "-c", program], cwd=ROOT, stderr=terminal, timeout=30, check=True)
        shown = os.read(ours, 10_000).decode()
    finally:
        os.close(ours)
        os.close(terminal)
    assert shown.rstrip().endswith("http.answered path='/a\\n12:00 b\\x1b[2J'")
    assert len(shown.splitlines()) == 1
