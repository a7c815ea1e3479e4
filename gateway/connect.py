"""Tries to reach every destination, for `gateway check --connect`. Sends nothing."""

import socket
import ssl
from collections.abc import Iterable
from urllib.parse import urlsplit

from gateway.address import refusal
from gateway.config import Destination


def faults(destinations: Iterable[Destination]) -> list[str]:
    """A sentence for each destination that cannot be connected to."""
    found = ((destination, _fault(destination)) for destination in destinations)
    return [f"destinations ({destination.name}): {fault}" for destination, fault in found if fault]


def _fault(destination: Destination) -> str | None:
    parts = urlsplit(destination.url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        address = str(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][4][0])
        why = refusal(address, allow_private=destination.allow_private_address)
        if why is None:
            with socket.create_connection((address, port), timeout=destination.timeout_seconds) as connection:
                if parts.scheme == "https":
                    ssl.create_default_context().wrap_socket(connection, server_hostname=host).close()
    except OSError as error:
        return f"{host}:{port}: {error}"
    return why
