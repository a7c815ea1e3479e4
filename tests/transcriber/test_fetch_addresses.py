"""Which addresses a recording may be fetched from: none that leads inside, however it is written."""

from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transcriber.errors import SpeechError
from transcriber.intake.address import may_be_fetched_from, written_out
from transcriber.intake.audio_url import MAX_CHARACTERS, parse

PUBLIC = [
    "8.8.8.8",
    "1.1.1.1",
    "172.32.0.1",
    "192.169.0.1",
    "2606:4700::1111",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
]
PRIVATE = [
    "127.0.0.1", "127.255.255.254", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "0.1.2.3",
    "198.18.0.1", "192.0.2.1", "240.0.0.1", "255.255.255.255", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1",
    "fec0::1", "2001:db8::1", "100::1", "64:ff9b:1::a00:1", "2001:0:0:0:0:0:f5ff:fffe",
    # what clouds tell about themselves: AWS and others, AWS tasks, Alibaba, Oracle, Azure, AWS by IPv6
    "169.254.169.254", "169.254.170.2", "100.100.100.200", "192.0.0.192", "168.63.129.16", "fd00:ec2::254",
]  # fmt: skip
NO_HOST = ["0.0.0.0", "::", "224.0.0.1", "239.1.2.3", "ff02::1", "::ffff:224.0.0.1", "::ffff:0.0.0.0"]
CARRIERS = {
    "mapped": lambda ip: IPv6Address((0xFFFF << 32) | int(ip)),
    "translated": lambda ip: IPv6Address((0xFFFF << 48) | int(ip)),
    "compatible": lambda ip: IPv6Address(int(ip)),
    "NAT64": lambda ip: IPv6Address((0x64FF9B << 96) | int(ip)),
    "6to4": lambda ip: IPv6Address((0x2002 << 112) | (int(ip) << 80) | 1),
}
SIGNED = "never-to-be-shown"


@pytest.mark.parametrize("address", PUBLIC)
def test_a_recording_may_come_from_a_public_address(address: str) -> None:
    assert may_be_fetched_from(address, allow_private=False)


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_leads_inside_is_refused_unless_that_is_allowed(address: str) -> None:
    assert not may_be_fetched_from(address, allow_private=False)
    assert may_be_fetched_from(address, allow_private=True)


@pytest.mark.parametrize("address", NO_HOST)
def test_what_is_no_hosts_address_is_refused_even_where_private_ones_are_allowed(address: str) -> None:
    assert not may_be_fetched_from(address, allow_private=True)


@given(st.ip_addresses(v=4), st.sampled_from(sorted(CARRIERS)))
def test_an_address_inside_another_is_judged_as_it_would_be_alone(ip: IPv4Address, carrier: str) -> None:
    carried = CARRIERS[carrier](ip)
    if carrier == "compatible" and int(ip) <= 1:
        return  # :: and ::1 are addresses of their own
    alone = may_be_fetched_from(str(ip), allow_private=False)
    assert may_be_fetched_from(str(carried), allow_private=False) is alone


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
def test_no_address_is_let_through_that_python_calls_private(ip: IPv4Address | IPv6Address) -> None:
    if may_be_fetched_from(str(ip), allow_private=False):
        carried = getattr(ip, "ipv4_mapped", None) or getattr(ip, "sixtofour", None) or ip
        assert not any((carried.is_private, carried.is_loopback, carried.is_link_local, carried.is_multicast))


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("0x7f.1", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("0177.0.0.1", "127.0.0.1"),
        ("::1", "::1"),
        ("LocalHost", "127.0.0.1"),
        ("db.localhost.", "127.0.0.1"),
        ("speech.example", None),
        ("x" * 300, None),
    ],
)
def test_an_address_is_known_in_every_way_to_write_it(host: str, address: str | None) -> None:
    assert written_out(host) == address


def said_of(text: str) -> tuple[str, str]:
    with pytest.raises(SpeechError) as caught:
        parse(text, allow_private=False)
    assert not caught.value.retryable
    assert SIGNED not in caught.value.message
    return caught.value.code, caught.value.message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("speech.mp3", "http:// or https://"),
        (f"//speech.example/{SIGNED}", "http:// or https://"),
        (f"ftp://speech.example/{SIGNED}", "http:// or https://"),
        (f"file:///{SIGNED}", "http:// or https://"),
        (f"data:audio/wav;base64,{SIGNED}", "http:// or https://"),
        (f"https:///{SIGNED}", "name a host"),
        (f"https://user:{SIGNED}@speech.example/", "user or password"),
        (f"https://{SIGNED}@speech.example/", "user or password"),
        (f"https://speech.example:99999/{SIGNED}", "from 1 to 65535"),
        (f"https://speech.example:0/{SIGNED}", "from 1 to 65535"),
        (f"https://xn--/{SIGNED}", "cannot be read"),
        (f"https://[::1/{SIGNED}", "cannot be read"),
        (f"https://[speech/{SIGNED}", "characters that no host has"),
        (f"https://speech example/{SIGNED}", "characters that no host has"),
        (f"https://[fe80::1%25eth0]/{SIGNED}", ""),
        (f"https://speech.example/\r\n{SIGNED}", "cannot be read"),
        ("https://speech.example/" + "x" * MAX_CHARACTERS, "longer than 2048"),
    ],
)
def test_an_address_that_cannot_be_used_is_told_why(text: str, said: str) -> None:
    code, message = said_of(text)
    assert code == "bad_audio_url"
    assert said in message


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "a.localhost", "127.1", "0x7f000001", "[::1]", "[::ffff:10.0.0.1]", "0.0.0.0"]
)  # fmt: skip
def test_an_address_inside_is_refused_without_asking_anybody(host: str) -> None:
    code, message = said_of(f"http://{host}:8080/{SIGNED}?{SIGNED}")
    assert code == "audio_url_private"
    assert host.strip("[]") in message


def test_an_address_keeps_all_but_its_fragment() -> None:
    url = parse("HTTPS://bücher.Example/a%20b?sig=c%2Fd#part", allow_private=False)
    assert str(url) == "https://xn--bcher-kva.example/a%20b?sig=c%2Fd"


@given(
    st.one_of(st.text(), st.text().map("http://{}".format), st.text().map("https://speech.example/{}".format))
)
def test_whatever_is_sent_is_an_address_or_refused(text: str) -> None:
    with suppress(SpeechError):
        assert parse(text, allow_private=False).scheme in {"http", "https"}
