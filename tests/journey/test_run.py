"""`stack run` as a person calls it: everything starts, and nothing is left when it ends, however it ends."""

import os
import re
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from stack.ports import HOST, WELL_KNOWN
from tests.support.locks import ROOT
from tests.support.processes import marked
from tests.support.product import ENVIRONMENT
from tests.support.waiting import eventually


@dataclass(frozen=True, slots=True)
class Run:
    process: "subprocess.Popen[str]"
    mark: str
    lines: list[str]

    def until(self, text: str) -> str:
        """Read on to the line that contains `text`, and return that."""
        for line in self.process.stdout:
            self.lines.append(line)
            if text in line:
                return line
        raise AssertionError("".join(self.lines) + self.process.stderr.read())

    def end(self) -> tuple[int, str]:
        """Return exit code and what it wrote to stderr."""
        _, errors = self.process.communicate(timeout=30)
        return self.process.returncode, errors


@pytest.fixture
def run(tmp_path) -> Iterator[Callable[..., Run]]:
    started: list[Run] = []

    def start(**environment: str) -> Run:
        mark = uuid.uuid4().hex
        process = subprocess.Popen(
            [sys.executable, "-m", "stack", "run"],
            cwd=tmp_path,
            env={**ENVIRONMENT, "PYTHONPATH": str(ROOT), "MARK": mark, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(Run(process=process, mark=mark, lines=[]))
        return started[-1]

    yield start
    for one in started:
        with one.process:
            one.process.kill()
        eventually(lambda one=one: not marked(one.mark))  # the next run wants the same ports


@contextmanager
def _taken(port: int) -> Iterator[None]:
    """The port is taken; by us, unless somebody else has it already."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of an ended run linger
        with suppress(OSError):
            server.bind((HOST, port))
        server.listen()
        yield


def _address(line: str) -> str:
    return re.search(r"http://\S+", line)[0]


def test_the_page_opens_where_it_says_and_ctrl_c_leaves_nothing(run, tmp_path):
    with _taken(WELL_KNOWN.gateway):
        first = run()
        assert re.search(r"gateway uses \d+", first.until(f"Port {WELL_KNOWN.gateway} is taken"))
        page = _address(first.until("Page "))
        token = first.until("Admin token").split()[-1]
        first.until("Ctrl-C ends everything")
        assert "<!doctype html>" in httpx.get(page).text.lower()
        assert len(marked(first.mark)) >= 6

        first.process.send_signal(signal.SIGINT)
        assert first.end() == (0, "")
        assert marked(first.mark) == {}

        second = run()
        assert second.until("Admin token").split()[-1] == token
        second.process.send_signal(signal.SIGTERM)
        assert second.end() == (0, "")
    assert (tmp_path / "var" / "stack" / "stack.json").stat().st_mode & 0o777 == 0o600


def test_a_run_that_is_killed_leaves_nothing(run):
    killed = run()
    killed.until("Ctrl-C ends everything")
    killed.process.kill()
    killed.process.wait()
    eventually(lambda: not marked(killed.mark), seconds=10)


def test_a_service_that_dies_is_named_and_ends_the_run(run):
    crippled = run()
    crippled.until("Ctrl-C ends everything")
    gateway = next(pid for pid, command in marked(crippled.mark).items() if "-m gateway" in command)
    os.kill(gateway, signal.SIGKILL)
    code, errors = crippled.end()
    assert code == 1
    assert "gateway was ended by SIGKILL" in errors
    assert "var/stack/log/gateway.log" in errors
    assert marked(crippled.mark) == {}


def test_a_service_that_cannot_start_is_named_with_its_last_words(run):
    code, errors = run(GATEWAY_LOG_LEVEL="loud").end()
    assert code == 1
    assert re.search(r"gateway ended with exit code 1[\s\S]*log_level[\s\S]*loud", errors)


def test_a_gateway_configuration_kept_in_the_checkout_is_left_alone(run, tmp_path):
    (tmp_path / "gateway.toml").write_text("[server]\nprot = 8080\n")
    run(GATEWAY_CONFIG=str(tmp_path / "gateway.toml")).until("Ctrl-C ends everything")


def test_two_runs_do_not_share_their_data(run):
    first = run()
    first.until("Starting")
    code, errors = run().end()
    assert code == 1
    assert "Another run uses" in errors


def test_a_directory_that_cannot_hold_data_is_named(run, tmp_path: Path):
    (tmp_path / "var").write_text("")
    code, errors = run().end()
    assert code == 1
    assert "var/stack cannot be used" in errors
    assert "Traceback" not in errors
