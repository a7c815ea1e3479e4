"""Which addresses a recording may be fetched from."""

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

NAT64 = ip_network("64:ff9b::/96")
TRANSLATED = ip_network("::ffff:0:0:0/96")
"""IPv4 for hosts that speak IPv6 alone (RFC 7915)."""
COMPATIBLE = ip_network("::/96")
"""The old way to carry an IPv4 address; also the home of :: and ::1, which are judged as they are."""
NOT_PUBLIC = tuple(
    ip_network(text)
    for text in (
        "168.63.129.16/32",  # Azure's metadata and control
        "192.0.0.0/24",  # IETF protocols; Oracle's metadata. Older Pythons call most of it global, like the next two
        "64:ff9b:1::/48",  # NAT64 within a network
        "fec0::/10",  # site-local, before fc00::/7
    )
)


def may_be_fetched_from(address: str, *, allow_private: bool) -> bool:
    """Whether `address`, an IP literal, is a public one, or at least some host's where private ones are allowed.

    An IPv6 address that carries an IPv4 address (mapped, translated, compatible, 6to4, NAT64) is judged by what it carries.
    """
    ip = _carried(ip_address(address.partition("%")[0]))
    if ip.is_multicast or ip.is_unspecified:
        return False
    return allow_private or (ip.is_global and not any(ip in network for network in NOT_PUBLIC))


def written_out(host: str) -> str | None:
    """The address that `host` is in itself, also as `127.1` or `0x7f000001`; None for a name. Asks nobody.

    `localhost` and what is below it are loopback by definition (RFC 6761).
    """
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return "127.0.0.1"
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (OSError, ValueError):
        return None
    return str(found[0][4][0])


def _carried(ip: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    if isinstance(ip, IPv4Address):
        return ip
    if ip in NAT64 or ip in TRANSLATED or (ip in COMPATIBLE and int(ip) > 1):
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour or ip
