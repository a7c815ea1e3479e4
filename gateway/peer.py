"""Who sends: the address of the connection, or the one that a proxy of ours says."""

from ipaddress import IPv4Address, IPv6Address, ip_address

from starlette.types import Scope

from gateway.config import Networks

Address = IPv4Address | IPv6Address


def sender(scope: Scope, *, trusted: Networks) -> Address | None:
    """The last address on the way that is none of our own proxies'; None where it cannot be told."""
    address = connected(scope.get("client"))
    if not trusted:
        return address
    lines = [value for name, value in scope["headers"] if name.lower() == b"x-forwarded-for"]
    hops = [hop.strip() for line in lines for hop in line.decode("latin-1").split(",")]
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
    """IPv4 addresses that come as IPv6 ones are meant as what they are."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address
