"""Who may send: allow_ips by the address of the connection, or by what a proxy of ours says."""

from ipaddress import ip_network

import pytest

from gateway.config import load
from gateway.errors import ConfigError
from gateway.peer import sender
from tests.support.gateway_app import problem_of, running_gateway

INSIDE = ("10.0.0.0/8", "fd00::/8", "127.0.0.1/32")


def seen(client, *lines, trusted=INSIDE):
    """The sender of a request on a connection from `client` with these X-Forwarded-For lines."""
    scope = {
        "client": (client, 1) if client else None,
        "headers": [(b"x-forwarded-for", line.encode("latin-1")) for line in lines],
    }
    found = sender(scope, trusted=tuple(ip_network(one) for one in trusted))
    return None if found is None else str(found)


@pytest.mark.parametrize(
    ("client", "lines", "expected"),
    [
        ("203.0.113.9", [], "203.0.113.9"),
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),  # no proxy of ours: what it says counts for nothing
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1, 10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", ["198.51.100.1,10.0.0.2,10.0.0.3"], "198.51.100.1"),
        ("10.0.0.1", ["192.0.2.7, 198.51.100.1, 10.0.0.2"], "198.51.100.1"),  # the first was forged by the sender
        ("10.0.0.1", ["10.0.0.9, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["192.0.2.7", "198.51.100.1"], "198.51.100.1"),  # lines are one list, in their order
        ("10.0.0.1", ["198.51.100.1", "10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", ["192.0.2.7, 198.51.100.1", "10.0.0.2, 10.0.0.3"], "198.51.100.1"),
        ("10.0.0.1", ["10.0.0.2, 10.0.0.3"], "10.0.0.2"),
        ("10.0.0.1", [" 198.51.100.1 "], "198.51.100.1"),
        ("fd00::1", ["2001:db8::7"], "2001:db8::7"),
        ("fd00::1", ["2001:DB8:0:0::7, fd00::2"], "2001:db8::7"),
        ("::ffff:10.0.0.1", ["198.51.100.1"], "198.51.100.1"),  # IPv4 on a socket of both
        ("::ffff:203.0.113.9", [], "203.0.113.9"),
        ("10.0.0.1", ["::ffff:198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["198.51.100.1, ::ffff:10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", [""], None),
        ("10.0.0.1", ["unknown"], None),
        ("10.0.0.1", ["fe80::1%" + "a" * 60_000], "fe80::1"),  # a zone is any text
        ("10.0.0.1", ["198.51.100.1", ",".join(["10.0.0.2"] * 31)], "198.51.100.1"),
        ("10.0.0.1", ["198.51.100.1", ",".join(["10.0.0.2"] * 6000)], "10.0.0.2"),  # nobody goes such a way: not looked at
        ("10.0.0.1", ["198.51.100.1, nonsense"], None),  # what stands before it may be anybody's
        ("10.0.0.1", ["198.51.100.1, "], None),
        ("10.0.0.1", ["198.51.100.1:443"], None),
        ("10.0.0.1", ["[2001:db8::7]"], None),
        ("10.0.0.1", ["198.51.100.1/32"], None),
        ("10.0.0.1", ["0xc6336401"], None),
        ("10.0.0.1", ["198.051.100.001"], None),
        ("10.0.0.1", ["\xb2"], None),
        ("", ["198.51.100.1"], None),
    ],
)  # fmt: skip
def test_the_sender_is_the_last_address_that_is_none_of_our_proxies(client, lines, expected):
    assert seen(client, *lines) == expected


@pytest.mark.parametrize("lines", [[], ["198.51.100.1"], ["10.0.0.1"]])
def test_without_trusted_proxies_the_sender_is_who_connects(lines):
    assert seen("10.0.0.1", *lines, trusted=()) == "10.0.0.1"


SOURCE = """
[[sources]]
name = "producer"
preset = "api-key"
secrets = ["made-up"]
allow_ips = {allowed}
"""


def posted(gateway, *forwarded, key="made-up", method="POST"):
    headers = [("x-api-key", key), *(("X-Forwarded-For", line) for line in forwarded)]
    return gateway.client.request(method, f"{gateway.url}/webhooks/producer", content=b"{}", headers=headers)


@pytest.mark.parametrize(
    ("allowed", "status"),
    [
        ('["127.0.0.1"]', 200),
        ('["127.0.0.0/8", "192.0.2.1"]', 200),
        ('["::1"]', 401),
        ('["192.0.2.0/24"]', 401),
        ('["0.0.0.0/0"]', 200),
        ('["::/0"]', 401),
        ("[]", 200),
    ],
)
def test_only_the_addresses_of_allow_ips_may_send(tmp_path, allowed, status):
    with running_gateway(tmp_path, SOURCE.format(allowed=allowed)) as gateway:
        assert posted(gateway).status_code == status


@pytest.mark.parametrize("forwarded", [["192.0.2.1"], ["192.0.2.1", "192.0.2.1"], ["127.0.0.1, 192.0.2.1"]])
def test_a_forged_forwarded_for_opens_nothing_where_no_proxy_is_trusted(tmp_path, forwarded):
    with running_gateway(tmp_path, SOURCE.format(allowed='["192.0.2.1"]')) as gateway:
        assert posted(gateway, *forwarded).status_code == 401


@pytest.mark.parametrize(
    ("forwarded", "status"),
    [
        (["192.0.2.1"], 200),
        (["192.0.2.1, 127.0.0.1"], 200),
        (["198.51.100.1", "192.0.2.1"], 200),
        (["2001:db8::7"], 200),
        (["::ffff:192.0.2.1"], 200),
        ([], 401),
        (["198.51.100.1"], 401),
        (["192.0.2.1, 198.51.100.1"], 401),
        (["192.0.2.1", "198.51.100.1"], 401),
        (["192.0.2.1, nonsense"], 401),
        (["2001:db9::7"], 401),
    ],
)
def test_behind_a_trusted_proxy_who_may_send_is_judged_by_what_the_proxy_says(tmp_path, forwarded, status):
    text = f'[server]\ntrusted_proxies = ["127.0.0.1"]\n{SOURCE}'
    allowed = '["192.0.2.0/24", "2001:db8::/32"]'
    with running_gateway(tmp_path, text.format(allowed=allowed)) as gateway:
        assert posted(gateway, *forwarded).status_code == status


def test_a_stranger_is_told_what_a_forger_is_and_the_reason_is_counted_and_logged(tmp_path, caplog):
    caplog.set_level("INFO", logger="gateway")
    with running_gateway(tmp_path, SOURCE.format(allowed='["192.0.2.1"]')) as gateway:
        stranger = posted(gateway)
        labels = {"source": "producer", "reason": "address_refused"}
        assert gateway.count("gateway_webhooks_rejected_total", **labels) == 1
    with running_gateway(tmp_path, SOURCE.format(allowed="[]")) as gateway:
        forger = posted(gateway, key="wrong")
    assert problem_of(stranger) == problem_of(forger)
    (line, _) = [one.fields for one in caplog.records if one.getMessage() == "webhook.rejected"]
    assert (line["reason"], line["detail"]) == ("address_refused", "127.0.0.1 is not in allow_ips")


@pytest.mark.parametrize(
    ("trusted", "forwarded", "sender"),
    [
        ("[]", [], "127.0.0.1"),
        ("[]", ["192.0.2.1"], "127.0.0.1"),
        ('["127.0.0.1"]', ["198.51.100.1, 192.0.2.1"], "192.0.2.1"),
        ('["127.0.0.1"]', ["192.0.2.1, nonsense"], None),
    ],
)
def test_the_log_says_who_sent_what_is_refused(tmp_path, caplog, trusted, forwarded, sender):
    text = f"[server]\ntrusted_proxies = {trusted}\n{SOURCE.format(allowed='[]')}"
    with running_gateway(tmp_path, text) as gateway:
        assert posted(gateway, *forwarded, key="the old one").status_code == 401
    (line,) = [one.fields for one in caplog.records if one.getMessage() == "webhook.rejected"]
    assert (line["source"], line["reason"], line["sender"]) == ("producer", "bad_signature", sender)
    assert "name" not in line


def test_a_stranger_gets_no_handshake_and_no_405_either(tmp_path):
    text = SOURCE.format(allowed='["192.0.2.1"]') + 'handshake = "dropbox"\n'
    with running_gateway(tmp_path, text) as gateway:
        for method, query in (("GET", "?challenge=a"), ("PUT", "")):
            url = f"{gateway.url}/webhooks/producer{query}"
            assert gateway.client.request(method, url).status_code == 401


@pytest.mark.parametrize(
    "wrong", ['"10.0.0.1/8"', '"example.com"', '"10.0.0"', '""', '"10.0.0.0/33"', '"::1/129"', '"*"']
)
@pytest.mark.parametrize("key", ["allow_ips", "trusted_proxies"])
def test_what_is_no_address_and_no_network_is_a_fault(tmp_path, key, wrong):
    path = tmp_path / "gateway.toml"
    server = f"[server]\ntrusted_proxies = [{wrong}]\n" if key == "trusted_proxies" else ""
    path.write_text(server + SOURCE.format(allowed=f"[{wrong}]" if key == "allow_ips" else "[]"))
    with pytest.raises(ConfigError) as refused:
        load(path, environ={})
    (fault,) = refused.value.faults
    assert key in fault
