"""deploy/healthcheck.py, as the images run it."""

import socket
import subprocess
import sys
import threading
from contextlib import closing, contextmanager

import pytest

from tests.support.locks import ROOT

SCRIPT = ROOT / "deploy/healthcheck.py"
HEALTHY = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
ILL = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"


@contextmanager
def service(answer):
    """A port, where one connection is given `answer`, whatever it asks."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:

        def take():
            connection, _ = listener.accept()
            with closing(connection):
                connection.recv(1000)
                connection.sendall(answer)

        threading.Thread(target=take, daemon=True).start()
        yield listener.getsockname()[1]


@pytest.fixture
def check(tmp_path):
    def run(name="gateway", default=9, **environment):
        return subprocess.run(
            [sys.executable, "-IS", SCRIPT, name, str(default)],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_a_service_that_answers_is_healthy(check):
    with service(HEALTHY) as port:
        assert check(default=port).returncode == 0


def test_a_service_that_answers_with_an_error_is_not(check):
    with service(ILL) as port:
        checked = check(default=port)
    assert (checked.returncode, checked.stderr) == (1, "/healthz answered 'HTTP/1.1 503'\n")


def test_a_service_that_ends_the_connection_is_not(check):
    with service(b"") as port:
        assert check(default=port).returncode == 1


def test_where_nobody_listens_nobody_is_healthy_and_nothing_is_traced(check):
    checked = check(GATEWAY_PORT="9")
    assert checked.returncode == 1
    assert checked.stderr.startswith("ConnectionRefusedError: ")


@pytest.mark.parametrize("name", ["gateway", "transcriber"])
def test_the_variable_says_which_port(check, name):
    with service(HEALTHY) as port:
        assert check(name, **{f"{name.upper()}_PORT": str(port)}).returncode == 0


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "127.0.0.1", "localhost"])
def test_the_configuration_file_says_which_port_and_which_address(check, tmp_path, host):
    with service(HEALTHY) as port:
        (tmp_path / "gateway.toml").write_text(f'[server]\nhost = "{host}"\nport = {port}\n')
        assert check().returncode == 0


def test_the_variable_names_the_configuration_file_and_wins_over_what_it_says(check, tmp_path):
    (tmp_path / "other.toml").write_text("[server]\nport = 9\n")
    assert check(GATEWAY_CONFIG="other.toml").returncode == 1
    with service(HEALTHY) as port:
        assert check(GATEWAY_CONFIG="other.toml", GATEWAY_PORT=str(port)).returncode == 0


@pytest.mark.parametrize("text", ["[server]\nport = '${PORT}'\n", "no toml"])
def test_a_port_that_cannot_be_known_is_one_line_and_not_healthy(check, tmp_path, text):
    (tmp_path / "gateway.toml").write_text(text)
    checked = check()
    assert checked.returncode == 1
    assert checked.stderr.count("\n") == 1
