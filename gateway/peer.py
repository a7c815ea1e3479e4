"""Who sends: the address of the connection, or the one that a proxy of ours says."""

from ipaddress import IPv4Address, IPv6Address, ip_address

from starlette.types import Scope

from gateway.config import Networks

Address = IPv4Address | IPv6Address

MOST_HOPS = 32
"""Looked at, from the last: no way is longer, and a header of 64 KB is thousands."""


def sender(scope: Scope, *, trusted: Networks) -> Address | None:
    """The last address on the way that is none of our own proxies'; None where it cannot be told."""
    address = connected(scope.get("client"))
    if not trusted:
        return address
    lines = [value for name, value in scope["headers"] if name.lower() == b"x-forwarded-for"]
    text = b",".join(lines).decode("latin-1")
    hops = [hop.strip() for hop in text.rsplit(",", MOST_HOPS)[-MOST_HOPS:]] if lines else []
    while hops and address is not None and any(address in network for network in trusted):
        address = _address(hops.pop())
    return address


def connected(client: tuple[str, int] | None) -> Address | None:
    """Who is at the other end of a connection, a proxy of ours too."""
    return _address(client[0]) if client else None


def shown(address: Address | None) -> str | None:
    """As the log has it."""
    return None if address is None else str(address)


def _address(text: str) -> Address | None:
    """IPv4 addresses that come as IPv6 ones are meant as what they are. A zone means something on one machine alone, and may be any text."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address
