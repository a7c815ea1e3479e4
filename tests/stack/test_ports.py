"""Which ports a stack takes."""

import socket
from dataclasses import astuple

import pytest

from stack.ports import ANY, HOST, Ports, choose, replaced


@pytest.fixture
def taken():
    with socket.create_server((HOST, 0)) as server:
        yield server.getsockname()[1]


def _free() -> int:
    with socket.create_server((HOST, 0)) as server:
        return server.getsockname()[1]


def test_free_ports_are_taken_as_wanted():
    wanted = Ports(page=_free(), transcriber=0, gateway=0, convex=0, convex_site=0)
    chosen = choose(wanted)
    assert chosen.page == wanted.page
    assert list(replaced(wanted, chosen)) == []


def test_a_taken_port_is_replaced_and_named(taken):
    wanted = Ports(page=0, transcriber=0, gateway=taken, convex=0, convex_site=0)
    chosen = choose(wanted)
    assert list(replaced(wanted, chosen)) == [("gateway", taken, chosen.gateway)]


def test_a_port_taken_on_every_address_is_replaced():
    with socket.create_server(("", 0)) as server:
        wanted = Ports(page=server.getsockname()[1], transcriber=0, gateway=0, convex=0, convex_site=0)
        assert choose(wanted).page != wanted.page


def test_no_two_services_get_one_port():
    assert len(set(astuple(choose(ANY)))) == len(astuple(ANY))
