"""One child process: ready, dying, dead."""

import socket
import sys
from dataclasses import replace

import pytest

from stack.leash import Leash
from stack.ports import HOST
from stack.service import Program, Service, ServiceFailedError
from tests.support.waiting import eventually

SERVER = "import sys; import http.server as h; h.test(h.SimpleHTTPRequestHandler, port=int(sys.argv[1]), bind=sys.argv[2])"
DYING = "import sys; print('line of the last words'); sys.exit(3)"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"


@pytest.fixture
def service(tmp_path):
    leash = Leash()
    started = []

    def make(code: str) -> Service:
        with socket.create_server((HOST, 0)) as server:
            port = server.getsockname()[1]
        url = f"http://{HOST}:{port}"
        program = Program(
            name="example",
            command=(sys.executable, "-c", code, str(port), HOST),
            directory=tmp_path,
            environment={},
            url=url,
            ready_url=url,
        )
        started.append(Service(program, log=tmp_path / "example.log", leash=leash))
        started[-1].start()
        return started[-1]

    yield make
    for one in started:
        one.kill()
    leash.close()


def test_a_server_becomes_ready_and_ends_when_asked(service):
    server = service(SERVER)
    eventually(server.is_ready)
    server.terminate()
    assert server.reap(timeout_seconds=10)
    assert not server.running


def test_a_killed_server_can_be_started_again_at_the_same_address(service):
    server = service(SERVER)
    eventually(server.is_ready)
    server.kill()
    assert not server.running
    server.start()
    eventually(server.is_ready)


def test_one_that_ends_is_named_with_its_exit_code_and_last_words(service):
    dying = service(DYING)
    eventually(lambda: not dying.running)
    with pytest.raises(
        ServiceFailedError, match=r"example ended with exit code 3\.[\s\S]*line of the last words"
    ):
        dying.is_ready()


def test_the_last_words_are_those_of_the_latest_start(service):
    dying = service("import sys; sys.exit(4)")
    dying.kill()
    dying.log.write_text("words of an earlier run\n")
    dying.start()
    assert "earlier run" not in dying.tail()


def test_one_that_does_not_listen_to_sigterm_is_killed(service):
    deaf = service(DEAF)
    eventually(lambda: "deaf" in deaf.log.read_text())
    deaf.terminate()
    assert not deaf.reap(timeout_seconds=0.1)
    assert not deaf.running


def test_one_that_does_not_run_says_so(service):
    stopped = service(SERVER)
    stopped.kill()
    with pytest.raises(ServiceFailedError, match="example does not run"):
        stopped.check()


def test_a_program_that_is_not_there_is_named(service):
    stopped = service(SERVER)
    stopped.kill()
    stopped.program = replace(stopped.program, command=("no-such-program",))
    with pytest.raises(ServiceFailedError, match=r"example cannot be started: .*no-such-program"):
        stopped.start()
