"""Whether every destination may be connected to, for `gateway check`, and can be, for `--connect`. Sends nothing."""

import socket
import ssl
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

from gateway.address import is_address, refusal
from gateway.config import Destination
from gateway.resolver import look_up

LookUp = Callable[[str, int], list[str]]


def refusals(destinations: Iterable[Destination]) -> list[str]:
    """A sentence for each destination whose URL has an address that it may not have; no name is looked up."""
    found = ((destination, _refusal(destination)) for destination in destinations)
    return [f"destinations ({destination.name}): {why}" for destination, why in found if why]


def _refusal(destination: Destination) -> str | None:
    host = urlsplit(destination.url).hostname or ""
    return refusal(host, allow_private=destination.allow_private_address) if is_address(host) else None


def faults(destinations: Iterable[Destination], *, look_up: LookUp = look_up) -> list[str]:
    """A sentence for each destination that cannot be connected to."""
    found = ((destination, _fault(destination, look_up)) for destination in destinations)
    return [f"destinations ({destination.name}): {fault}" for destination, fault in found if fault]


def _fault(destination: Destination, look_up: LookUp) -> str | None:
    """None where one of the host's addresses can be connected to, as an attempt would do it."""
    parts = urlsplit(destination.url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    faults = []
    try:
        for address in look_up(host, port):
            fault = _fault_of(
                address, destination, port=port, tls_name=host if parts.scheme == "https" else None
            )
            if fault is None:
                return None
            faults.append(fault)
    except OSError as error:
        faults.append(str(error))
    return f"{host}:{port}: {'; '.join(faults)}"


def _fault_of(address: str, destination: Destination, *, port: int, tls_name: str | None) -> str | None:
    why = refusal(address, allow_private=destination.allow_private_address)
    if why is not None:
        return why
    try:
        with socket.create_connection((address, port), timeout=destination.timeout_seconds) as connection:
            if tls_name is not None:
                ssl.create_default_context().wrap_socket(connection, server_hostname=tls_name).close()
    except OSError as error:
        return f"{address}: {error}"
    return None
