"""The gateway where the system allows it few open files, and more peers connect than it has files for."""

import socket
from contextlib import ExitStack, closing

from gateway.config import Server
from gateway.server import OWN_FILES
from tests.support.gateway_scene import scene
from tests.support.waiting import eventually

FILES = OWN_FILES + 16 + 40
"""Forty are left for connections: each of the two destinations keeps eight."""
WITH_FEW_FILES = ["sh", "-c", f'ulimit -n {FILES}; exec "$@"', "sh"]


def test_a_crowd_takes_no_files_from_the_store_the_destinations_or_an_honest_producer(tmp_path):
    with scene(tmp_path) as here, ExitStack() as opened:
        here.gateway.start(wrapper=WITH_FEW_FILES)
        (listening,) = here.gateway.lines("server.listening")
        (fewer,) = here.gateway.lines("connections.fewer")
        assert listening["max_connections"] == fewer["max_connections"] == 40
        assert (fewer["level"], fewer["wanted"]) == ("warning", Server().max_connections)
        for number in range(3 * FILES):
            address = ("127.0.0.1", here.gateway.port)
            opened.enter_context(closing(socket.create_connection(address, timeout=10)))
            if number % 100 == 50:
                here.send(5, name=f"job-{number}")
        eventually(lambda: here.gateway.metric("gateway_connections") <= 40)
        assert here.gateway.metric("gateway_connections_dropped_total") > 2 * FILES
        assert 0 < len(here.gateway.lines("connection.dropped")) < FILES
        account = here.close_account()
    assert (account.faults, account.lost) == ([], [])
