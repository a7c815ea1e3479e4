"""Which connections go where there are too many, and that honest producers are served all the while."""

import resource
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from socket import create_connection

import pytest

from gateway.crowd import Crowd
from gateway.limits import Limits
from gateway.metrics import Metrics
from gateway.server import OWN_FILES, room
from tests.support.accepting import accepting
from tests.support.gateway_app import signed
from tests.support.waiting import eventually

MOST = 20


@dataclass(eq=False)
class Guest:
    name: str
    asked: bool = False
    end: float | None = 10.0
    gone: list[str] = field(default_factory=list)

    def has_asked(self):
        return self.asked

    def patience_ends(self):
        return self.end

    def drop(self):
        self.gone.append(self.name)


@pytest.fixture
def metrics():
    return Metrics(version="test")


def crowd_of(metrics, most, *, most_bytes=100):
    return Crowd(most, most_bytes=most_bytes, metrics=metrics, monotonic=lambda: 0.0)


def who_goes(metrics, guests, *, most):
    """The names of those that are dropped while these come, in that order."""
    gone, crowd = [], crowd_of(metrics, most)
    for guest in guests:
        guest.gone = gone
        crowd.enter(guest)
    return gone


def test_nobody_goes_while_there_is_room(metrics):
    assert who_goes(metrics, [Guest(str(n)) for n in range(5)], most=5) == []


def test_those_that_never_asked_go_first_and_the_oldest_of_them(metrics):
    guests = [Guest("served", asked=True, end=1.0), *(Guest(f"silent {n}") for n in range(4))]
    assert who_goes(metrics, guests, most=3) == ["silent 0", "silent 1"]


def test_where_all_have_asked_the_one_whose_patience_ends_first_goes(metrics):
    guests = [Guest(str(end), asked=True, end=end) for end in (7.0, None, 3.0, 5.0)]
    assert who_goes(metrics, [*guests, Guest("new")], most=4) == ["3.0"]


def test_where_each_has_to_be_looked_at_so_many_go_that_it_is_done_seldom(metrics):
    guests = [Guest(str(n), asked=True, end=float(n)) for n in range(100)]
    assert who_goes(metrics, [*guests, Guest("new")], most=100) == list("01234")


def test_where_all_are_at_work_the_new_one_goes(metrics):
    busy = [Guest(str(n), asked=True, end=None) for n in range(3)]
    assert who_goes(metrics, [*busy, Guest("new")], most=3) == ["new"]


def test_who_left_by_itself_makes_room(metrics):
    crowd, first, gone = crowd_of(metrics, 1), Guest("first"), []
    crowd.enter(first)
    crowd.leave(first)
    crowd.enter(Guest("second", gone=gone))
    assert (first.gone, gone) == ([], [])
    assert metrics.registry.get_sample_value("gateway_connections") == 1
    assert metrics.registry.get_sample_value("gateway_connections_dropped_total") == 0


def test_where_too_much_is_held_of_requests_that_are_not_here_whole_those_go_that_began_first(metrics):
    gone, crowd = [], crowd_of(metrics, 10)
    first, whole, second, third = (Guest(name, gone=gone) for name in ("first", "whole", "second", "third"))
    for guest in (first, whole, second, third):
        crowd.enter(guest)
        crowd.hold(guest, 25)
    assert gone == []
    crowd.release(whole)
    crowd.hold(third, 25)
    assert gone == []
    crowd.hold(third, 25)
    assert gone == ["first"]
    crowd.hold(whole, 50)
    assert gone == ["first", "second", "third"]
    crowd.leave(whole)
    crowd.enter(last := Guest("last", gone=gone))
    crowd.hold(last, 100)
    assert gone == ["first", "second", "third"]
    assert metrics.registry.get_sample_value("gateway_connections_dropped_total") == 3


def webhook(body=b"{}"):
    lines = "".join(f"{name}: {value}\r\n" for name, value in signed(body).items())
    return (
        f"POST /webhooks/producer HTTP/1.1\r\nhost: x\r\n{lines}content-length: {len(body)}\r\n\r\n".encode()
        + body
    )


def post(connection, body=b"{}"):
    connection.sendall(webhook(body))
    return connection.recv(65_536)[:12]


STALLED = {
    "silent": b"",
    "in the head": b"POST /webhooks/producer HTTP/1.1\r\nhost: x\r\n",
    "in the body": webhook(b"{}")[:-1],
    "answered": b"GET /webhooks/nobody HTTP/1.1\r\nhost: x\r\n\r\n",
}


@pytest.mark.parametrize("said", STALLED.values(), ids=STALLED)
def test_an_honest_producer_is_served_however_many_connections_stall(tmp_path, said):
    limits = Limits(head_seconds=60, body_seconds=60)
    with accepting(tmp_path, limits=limits, max_connections=MOST) as gateway, ExitStack() as opened:

        def connect():
            return opened.enter_context(closing(create_connection(("127.0.0.1", gateway.port), timeout=10)))

        for _ in range(4 * MOST):
            connect().sendall(said)
        assert [post(connect()) for _ in range(3)] == [b"HTTP/1.1 200"] * 3
        eventually(lambda: gateway.metrics.registry.get_sample_value("gateway_connections") <= MOST)
        assert gateway.metrics.registry.get_sample_value("gateway_connections_dropped_total") >= 3 * MOST


UNFINISHED = {
    "in the head": b"POST /webhooks/producer HTTP/1.1\r\nhost: x\r\nx: " + b"x" * 60_000,
    "in the body": webhook(b"x" * 60_000)[:-1],
}


@pytest.mark.parametrize("said", UNFINISHED.values(), ids=UNFINISHED)
def test_what_is_held_of_unfinished_requests_is_bounded_and_a_long_body_still_comes_through(tmp_path, said):
    limits = Limits(head_seconds=60, body_seconds=60, arriving_bytes=300_000)
    with accepting(tmp_path, limits=limits) as gateway, ExitStack() as opened:

        def connect():
            return opened.enter_context(closing(create_connection(("127.0.0.1", gateway.port), timeout=10)))

        for _ in range(20):
            connect().sendall(said)
            assert post(connect(), b"x" * 60_000) == b"HTTP/1.1 200"
        most_left = 300_000 // len(said) + 1
        dropped = gateway.metrics.registry.get_sample_value("gateway_connections_dropped_total")
        assert 20 - most_left <= dropped <= 20


def test_what_was_held_of_a_request_is_given_back_once_it_is_here_whole(tmp_path):
    with accepting(tmp_path, limits=Limits(arriving_bytes=100_000)) as gateway, ExitStack() as opened:
        slow, other = (
            opened.enter_context(closing(create_connection(("127.0.0.1", gateway.port), timeout=10)))
            for _ in range(2)
        )
        for _ in range(4):
            whole = webhook(b"x" * 60_000)
            slow.sendall(whole[:-1])
            assert post(other) == b"HTTP/1.1 200"  # by then that was read
            slow.sendall(whole[-1:])
            assert slow.recv(65_536)[:12] == b"HTTP/1.1 200"
        assert gateway.metrics.registry.get_sample_value("gateway_connections_dropped_total") == 0


def test_a_kept_connection_outlives_a_flood_of_silent_ones(tmp_path):
    with accepting(tmp_path, max_connections=MOST) as gateway, ExitStack() as opened:
        kept = opened.enter_context(closing(create_connection(("127.0.0.1", gateway.port), timeout=10)))
        for _ in range(5):
            assert post(kept) == b"HTTP/1.1 200"
            for _ in range(MOST):
                opened.enter_context(closing(create_connection(("127.0.0.1", gateway.port), timeout=10)))


@pytest.fixture
def files():
    """Sets this process's bounds on open files; they are put back at the end."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield lambda soft: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, before[1]))
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_the_bound_on_open_files_is_raised_as_far_as_is_needed_and_no_further(files):
    files(500)
    assert room(700, others=50) == 700
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 700 + 50 + OWN_FILES
    files(900)
    assert room(700, others=50) == 700
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 900


@pytest.mark.usefixtures("files")
def test_there_is_no_more_room_than_the_system_allows_files():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert room(hard + 1, others=50) == hard - 50 - OWN_FILES
