"""Which addresses a destination may have: none that leads inside, however it is written."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.address import is_address, is_loopback_literal, refusal

PUBLIC = ["8.8.8.8", "1.1.1.1", "172.32.0.1", "192.169.0.1", "2606:4700::1111", "2a00:1450::1"]
METADATA = [
    "169.254.169.254",  # AWS, Google, Azure and others
    "fd00:ec2::254",  # AWS by IPv6
    "169.254.170.2",  # AWS, tasks
    "100.100.100.200",  # Alibaba
    "192.0.0.192",  # Oracle
    "168.63.129.16",  # Azure, the host
]
PRIVATE = [
    "127.0.0.1", "127.255.255.254", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "169.254.0.1",
    "0.1.2.3", "198.18.0.1", "192.0.2.1", "240.0.0.1", "255.255.255.255", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1",
    "fec0::1", "2001:db8::1", "100::1",
]  # fmt: skip
CARRIERS = {
    "mapped": lambda ip: IPv6Address((0xFFFF << 32) | int(ip)),
    "translated": lambda ip: IPv6Address((0xFFFF << 48) | int(ip)),
    "compatible": lambda ip: IPv6Address(int(ip)),
    "NAT64": lambda ip: IPv6Address((0x64FF9B << 96) | int(ip)),
    "6to4": lambda ip: IPv6Address((0x2002 << 112) | (int(ip) << 80) | 1),
}


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_may_be_connected_to(address):
    assert refusal(address, allow_private=False) is None


@pytest.mark.parametrize("address", PRIVATE + METADATA)
def test_an_address_that_leads_inside_is_refused_unless_that_is_allowed(address):
    why = refusal(address, allow_private=False)
    assert why is not None
    assert address in why
    assert "allow_private_address" in why
    assert refusal(address, allow_private=True) is None


@pytest.mark.parametrize("carrier", CARRIERS)
@pytest.mark.parametrize(
    "inner", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "192.0.0.192", "168.63.129.16"]
)
def test_a_private_address_is_refused_inside_an_ipv6_one(carrier, inner):
    assert refusal(str(CARRIERS[carrier](IPv4Address(inner))), allow_private=False) is not None


@pytest.mark.parametrize("address", ["64:ff9b:1::a00:1", "2001:0:0:0:0:0:f5ff:fffe"])
def test_local_nat64_and_teredo_are_refused(address):
    assert refusal(address, allow_private=False) is not None


@pytest.mark.parametrize(
    "address", ["0.0.0.0", "::", "224.0.0.1", "ff02::1", "::ffff:224.0.0.1", "::ffff:0.0.0.0"]
)
def test_what_is_no_hosts_address_is_refused_even_where_private_ones_are_allowed(address):
    assert refusal(address, allow_private=True) is not None


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
def test_no_address_is_let_through_that_python_calls_private(ip):
    if refusal(str(ip), allow_private=False) is None:
        carried = getattr(ip, "ipv4_mapped", None) or getattr(ip, "sixtofour", None) or ip
        inside = (carried.is_private, carried.is_loopback, carried.is_link_local, carried.is_multicast)
        assert not any(inside)


@given(st.ip_addresses(v=4), st.sampled_from(sorted(CARRIERS)))
def test_a_carried_address_is_judged_as_the_plain_one(ip, carrier):
    carried = str(CARRIERS[carrier](ip))
    if carrier == "compatible" and int(ip) <= 1:
        return  # :: and ::1 are addresses of their own
    plain = refusal(str(ip), allow_private=False)
    assert (refusal(carried, allow_private=False) is None) == (plain is None)


@pytest.mark.parametrize(
    "host", ["127.1", "0x7f.1", "2130706433", "0177.0.0.1", "localhost", "a.example", "", "[::1]"]
)
def test_other_ways_to_write_an_address_are_names_that_have_to_be_resolved_first(host):
    assert not is_address(host)
    assert not is_loopback_literal(host)


@pytest.mark.parametrize(
    ("host", "loopback"), [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("10.0.0.1", False)]
)
def test_a_loopback_literal_is_one_by_its_address(host, loopback):
    assert is_address(host)
    assert is_loopback_literal(host) is loopback
    assert ip_address(host).is_loopback is loopback
