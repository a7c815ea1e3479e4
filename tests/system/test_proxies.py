"""The proxies of docs/operations.md, before a gateway: what was signed arrives as it was signed."""

import base64
import http.client
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
from contextlib import closing
from dataclasses import dataclass

import pytest

from tests.bench.gateway import free_port
from tests.support.certificate import self_signed
from tests.support.gateway_app import SECRET, TOKEN, Running, running_gateway, signed
from tests.support.pages import PAGES, fenced, read
from tests.support.waiting import eventually

pytestmark = pytest.mark.system

(PAGE,) = (read(page) for page in PAGES if page.name == "operations.md")
HOST = "hooks.example.com"
MOST_BYTES = 1_048_576
CONFIGURATION = f"""
[server]
admin_token = "{TOKEN}"
max_body_bytes = {MOST_BYTES}
trusted_proxies = ["127.0.0.1"]
[[sources]]
name = "producer"
preset = "standard-webhooks"
secrets = ["{SECRET}"]
[[sources]]
name = "elsewhere"
preset = "standard-webhooks"
secrets = ["{SECRET}"]
allow_ips = ["203.0.113.9"]
"""
WHOLE_NGINX = """
daemon off;
master_process off;
pid {folder}/pid;
error_log {folder}/log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/bodies;
    proxy_temp_path {folder}/answers;
    fastcgi_temp_path {folder}/unused;
    uwsgi_temp_path {folder}/unused;
    scgi_temp_path {folder}/unused;
    {server}
}}
"""
WHOLE_CADDY = """
{{
	admin off
	auto_https disable_redirects
	storage file_system {folder}/storage
}}
{site}
"""


def nginx(folder, port, gateway_port):
    (text,) = fenced(PAGE, "nginx")
    text = text.replace("listen 443", f"listen 127.0.0.1:{port}").replace(
        "/etc/nginx/hooks.example.com", f"{folder}/proxy"
    )
    path = folder / "nginx.conf"
    path.write_text(WHOLE_NGINX.format(folder=folder, server=towards(text, gateway_port)))
    return ["nginx", "-e", f"{folder}/log", "-p", str(folder), "-c", str(path)]


def caddy(folder, port, gateway_port):
    (text,) = fenced(PAGE, "caddyfile")
    tls = f"{HOST}:{port} {{\n\ttls {folder}/proxy.pem {folder}/proxy.key"
    text = towards(text, gateway_port).replace(f"{HOST} {{", tls)
    path = folder / "Caddyfile"
    path.write_text(WHOLE_CADDY.format(folder=folder, site=text))
    return ["caddy", "run", "--adapter", "caddyfile", "--config", str(path)]


def towards(text, gateway_port):
    assert "127.0.0.1:8080" in text
    return text.replace("127.0.0.1:8080", f"127.0.0.1:{gateway_port}")


@dataclass(frozen=True, slots=True)
class Proxied:
    gateway: Running
    port: int

    def ask(self, method, path, *, body=None, headers=None):
        """Over TLS; `body` in pieces is sent in chunks. The status, and the answer read."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=20, context=context)
        connection.sock = context.wrap_socket(
            socket.create_connection(("127.0.0.1", self.port), timeout=20), server_hostname=HOST
        )
        with closing(connection):
            connection.request(method, path, body, {"host": HOST, **(headers or {})})
            response = connection.getresponse()
            return response.status, response.read()


@pytest.fixture(params=[nginx, caddy], ids=["nginx", "caddy"])
def proxied(request, tmp_path):
    certificate, key = self_signed(tmp_path, host=HOST)
    shutil.copy(certificate, tmp_path / "proxy.pem")
    shutil.copy(key, tmp_path / "proxy.key")
    port = free_port()
    with running_gateway(tmp_path, CONFIGURATION) as gateway, (tmp_path / "said").open("wb") as said:
        command = request.param(tmp_path, port, gateway.port)
        proxy = subprocess.Popen(command, stdout=said, stderr=said, env=environment(tmp_path))

        def answers():
            assert proxy.poll() is None, (tmp_path / "said").read_text()
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        try:
            eventually(answers)
            yield Proxied(gateway, port)
        finally:
            proxy.terminate()
            proxy.wait(20)


def environment(folder):
    return {"HOME": str(folder), "PATH": f"{os.environ['PATH']}:/usr/sbin"}  # where Debian has its servers


ODD = bytes(range(256)) + b'{"a": 1,  "a":2}\r\n\r\n\xff'


@pytest.mark.parametrize("body", [ODD, b"", b"x" * MOST_BYTES], ids=["any bytes", "none", "the longest"])
def test_body_headers_and_query_come_as_they_were_sent(proxied, body):
    query = "a=%20b+c&d=%2F&a=%e4&empty="
    odd = {"X_Under_score": "1", "X-Long": "t" * 12_000, "X-Odd": 'a;b, "c"  d'}
    status, answer = proxied.ask(
        "POST",
        f"/webhooks/producer?{query}",
        body=body,
        headers={**signed(body), **odd, "content-length": str(len(body))},
    )
    assert status == 200, answer
    event = proxied.gateway.event(json.loads(answer)["event_id"])
    assert event["query"] == query
    assert stored_body(event) == body
    headers = {name.lower(): value for name, value in event["headers"]}
    assert {name: headers.get(name.lower()) for name in odd} == odd


def stored_body(event):
    return base64.b64decode(event["body_base64"])


def test_a_body_of_unannounced_length_is_taken(proxied):
    pieces = iter([ODD[:100], ODD[100:]])
    status, answer = proxied.ask("POST", "/webhooks/producer", body=pieces, headers=signed(ODD))
    assert status == 200, answer
    assert stored_body(proxied.gateway.event(json.loads(answer)["event_id"])) == ODD


def test_a_body_that_is_too_long_is_refused(proxied):
    body = b"x" * (MOST_BYTES + 1)
    assert proxied.ask("POST", "/webhooks/producer", body=body, headers=signed(body))[0] == 413


@pytest.mark.parametrize(
    "path", ["/v1/events", "/metrics", "/docs", "/webhooks/../v1/events", "/webhooks/%2e%2e/metrics"]
)
def test_nothing_but_webhooks_is_reached(proxied, path):
    status, answer = proxied.ask("GET", path, headers={"authorization": f"Bearer {TOKEN}"})
    assert status == 404
    assert not re.search(rb"gateway_|items", answer)


def test_a_sender_cannot_say_that_it_is_another(proxied):
    headers = {**signed(b"{}"), "x-forwarded-for": "203.0.113.9"}
    assert proxied.ask("POST", "/webhooks/elsewhere", body=b"{}", headers=headers)[0] == 401
