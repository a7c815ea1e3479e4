"""`check --connect`: says of each destination whether an attempt could reach it, and sends nothing."""

import socket

from gateway.config import Destination
from gateway.connect import faults
from gateway.resolver import look_up
from tests.support.store import A


def fault(url, *, addresses=None, **settings):
    settings = {"allow_private_address": True, "timeout_seconds": 2, **settings}
    names = look_up if addresses is None else lambda _host, _port: addresses
    found = faults([Destination(name=A, url=url, **settings)], look_up=names)
    return found[0] if found else None


def test_a_destination_that_takes_connections_is_no_fault_and_hears_nothing():
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert fault(f"http://127.0.0.1:{server.getsockname()[1]}/in") is None
        connection, _ = server.accept()
        with connection:
            assert connection.recv(1) == b""


def test_one_address_of_a_name_is_enough():
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://convex.example:{server.getsockname()[1]}"
        assert fault(url, addresses=["127.0.0.9", "127.0.0.1"]) is None
        found = fault(url, addresses=["127.0.0.9", "127.0.0.8"])
    assert "127.0.0.9: " in found
    assert "127.0.0.8: " in found


def test_what_takes_no_connection_is_named_with_its_destination_and_address():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    found = fault(f"http://127.0.0.1:{port}")
    assert found.startswith(f"destinations (a): 127.0.0.1:{port}: 127.0.0.1: ")
    assert "refused" in found


def test_a_private_address_is_not_connected_to():
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        found = fault(f"http://127.0.0.1:{server.getsockname()[1]}", allow_private_address=False)
        assert "127.0.0.1 is not a public address" in found
        try:
            server.accept()
        except TimeoutError:
            return
    raise AssertionError("it was connected to")


def test_a_name_that_cannot_be_asked_for_is_a_fault():
    assert "no-such-host.invalid:80: " in fault("http://no-such-host.invalid")
    assert ".example:443: " in fault(f"https://{'a' * 64}.example")


def test_a_server_that_does_not_speak_tls_is_a_fault():
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)
        port = server.getsockname()[1]
        assert f"127.0.0.1:{port}: 127.0.0.1: " in fault(f"https://127.0.0.1:{port}", timeout_seconds=0.2)
