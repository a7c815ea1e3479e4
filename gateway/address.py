"""Which addresses a destination may resolve to."""

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


def refusal(address: str, *, allow_private: bool) -> str | None:
    """Why `address`, an IP literal, may not be connected to; None where it may.

    An IPv6 address that carries an IPv4 address (mapped, translated, compatible, 6to4, NAT64) is judged by what it carries.
    Multicast and the unspecified address are never destinations.
    """
    ip = _carried(ip_address(address.partition("%")[0]))
    if ip.is_multicast or ip.is_unspecified:
        return f"{address} is no host's address"
    if allow_private or (ip.is_global and not any(ip in network for network in NOT_PUBLIC)):
        return None
    return (
        f"{address} is not a public address; set allow_private_address for this destination if that is meant"
    )


def is_address(host: str) -> bool:
    """False for a name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback_literal(host: str) -> bool:
    """True for 127.0.0.0/8 and ::1 written as an address; a name is not judged here."""
    return is_address(host) and ip_address(host).is_loopback


def _carried(ip: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    if isinstance(ip, IPv4Address):
        return ip
    if ip in NAT64 or ip in TRANSLATED or (ip in COMPATIBLE and int(ip) > 1):
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour or ip
