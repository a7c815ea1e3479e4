"""Where a source's secret is in the request itself, it is kept and shown nowhere, and goes no further."""

import base64
import json
import re
import sqlite3
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import quote

import pytest

from tests.support.gateway_app import TOKEN, recording_destination, running_gateway
from tests.support.waiting import eventually

SECRET = "made-up+secret/of the=source"
USER = f"somebody:{SECRET}"
BODY = b'{"type": "thing.made"}'
DIGEST = r"sha256:[0-9a-f]{8}"


def basic(secret):
    return base64.b64encode(secret.encode()).decode()


CASES = {
    "header": ("header:x-token", lambda secret: ({"X-Token": secret}, "")),
    "header with a prefix": ("header:x-token", lambda secret: ({"X-Token": f"Token {secret}"}, "")),
    "bearer": ("bearer", lambda secret: ({"Authorization": f"Bearer {secret}"}, "")),
    "basic": ("basic", lambda secret: ({"Authorization": f"Basic {basic(secret)}"}, "")),
    "query": ("query:t k", lambda secret: ({}, f"?a=1&t%20k={quote(secret)}&b=%20")),
    "query with the name escaped": (
        "query:token",
        lambda secret: ({}, f"?a=1&%74oken={quote(secret, safe='')}"),
    ),
    "json": ("json:auth.token", lambda _: ({}, "")),
}
FORMS = (SECRET, quote(SECRET), quote(SECRET, safe=""), quote(SECRET).replace("%20", "+"), basic(USER))
"""Everything that the secret could be read from."""


def secret_of(case):
    return USER if case == "basic" else SECRET


def configured(case, url, *, destination=""):
    prefix = ', prefix = "Token "' if case == "header with a prefix" else ""
    return f"""
    [server]
    admin_token = "{TOKEN}"
    log_level = "debug"
    [[sources]]
    name = "producer"
    verify = {{ kind = "token", from = "{CASES[case][0]}"{prefix} }}
    secrets = ["{secret_of(case)}"]
    dedupe_key = "header:x-token"
    event_type = "header:authorization"
    ordering_key = "query:t k"
    [[destinations]]
    name = "app"
    url = "{url}"
    allow_private_address = true
    {destination}
    """


def send(gateway, case, *, secret=None, method="POST"):
    secret = secret or secret_of(case)
    headers, query = CASES[case][1](secret)
    body = json.dumps({"auth": {"token": secret}}).encode() if case == "json" else BODY
    return gateway.client.request(
        method, f"{gateway.url}/webhooks/producer{query}", content=body, headers=headers
    )


def stored(path):
    """Every value of every table, by table and column; and the bytes of the files."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        tables = [
            name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
        for table in tables:
            cursor = connection.execute(f"SELECT * FROM {table}")  # noqa: S608 - of the schema's own names
            names = [column[0] for column in cursor.description]
            for row in cursor:
                for name, value in zip(names, row, strict=True):
                    yield f"{table}.{name}", value if isinstance(value, bytes) else str(value).encode()
    for file in path.parent.glob(f"{path.name}*"):
        yield file.name, file.read_bytes()


def leaks(where, content):
    return [(where, form) for form in FORMS if form.encode() in content]


def answers(gateway, event_id):
    paths = [
        "/v1/events",
        f"/v1/events/{event_id}",
        "/v1/sources",
        "/v1/destinations",
        "/v1/replays",
        "/metrics",
    ]
    return {path: gateway.admin(path).content for path in paths}


@pytest.fixture
def destination():
    with recording_destination() as recording:
        recording.echoes = True
        recording.status = 500
        yield recording


def delivered_at_least_once(gateway, event_id):
    def tried():
        (delivery,) = gateway.event(event_id)["deliveries"]
        return delivery if delivery["attempts"] and delivery["last_status"] else None

    return eventually(tried)


@pytest.mark.parametrize("case", [case for case in CASES if case != "json"])
def test_the_secret_is_in_no_table_no_file_no_answer_no_line_and_no_forwarded_header(
    tmp_path, destination, caplog, case
):
    caplog.set_level("DEBUG")
    with running_gateway(tmp_path, configured(case, destination.url)) as gateway:
        assert send(gateway, case, secret="another:one").status_code == 401
        assert send(gateway, case, method="PUT").status_code == 405
        response = send(gateway, case)
        assert response.status_code == 200, response.text
        event_id = response.json()["event_id"]
        delivered_at_least_once(gateway, event_id)
        found = [leak for where, value in stored(gateway.path) for leak in leaks(where, value)]
        found += [leak for where, value in answers(gateway, event_id).items() for leak in leaks(where, value)]
        for received in destination.received:
            found += leaks("request", f"{received.path} {received.headers}".encode() + received.body)
    for record in (one for one in caplog.records if one.name != "httpx"):  # which is the producer here
        found += leaks(f"line {record.getMessage()}", repr(vars(record)).encode())
    assert found == []


@pytest.mark.parametrize("case", CASES)
def test_a_digest_stands_where_the_secret_was(tmp_path, destination, case):
    with running_gateway(tmp_path, configured(case, destination.url)) as gateway:
        event_id = send(gateway, case).json()["event_id"]
        eventually(lambda: destination.received)
        shown = gateway.event(event_id)
        headers = {name.lower(): value for name, value in shown["headers"]}
        (received, *_) = destination.received
        name = {"header": "x-token", "bearer": "authorization", "basic": "authorization"}.get(case.split()[0])
        if name is not None:
            assert re.fullmatch(DIGEST, headers[name])
            assert received.values(name) == []
        elif case == "query":
            assert re.fullmatch(rf"a=1&t%20k={DIGEST}&b=%20", shown["query"])
            assert received.values("x-gateway-query") == [shown["query"]]
        elif case == "json":
            assert json.loads(base64.b64decode(shown["body_base64"])) == {"auth": {"token": SECRET}}
        else:
            assert re.fullmatch(rf"a=1&%74oken={DIGEST}", shown["query"])
            assert received.values("x-gateway-query") == [shown["query"]]


def test_a_token_within_the_body_stands_in_the_body_and_nowhere_else(tmp_path, destination, caplog):
    """The body is kept byte for byte, for it is what the destination is to get."""
    caplog.set_level("DEBUG")
    destination.echoes = False
    with running_gateway(tmp_path, configured("json", destination.url)) as gateway:
        event_id = send(gateway, "json").json()["event_id"]
        delivered_at_least_once(gateway, event_id)
        found = {
            where
            for where, value in stored(gateway.path)
            if leaks(where, value) and not where.startswith("gateway.db")
        }
        assert found == {"events.body"}
    assert not [one for one in caplog.records if SECRET in repr(vars(one))]


def test_two_secrets_leave_two_digests_and_the_same_one_the_same(tmp_path, destination):
    text = configured("bearer", destination.url).replace(
        f'["{SECRET}"]', f'["{SECRET}", "another-made-up-one"]'
    )
    text = text.replace('dedupe_key = "header:x-token"', 'dedupe_key = "none"')
    with running_gateway(tmp_path, text) as gateway:
        digests = []
        for secret in (SECRET, SECRET, "another-made-up-one"):
            event_id = send(gateway, "bearer", secret=secret).json()["event_id"]
            headers = {name.lower(): value for name, value in gateway.event(event_id)["headers"]}
            digests.append(headers["authorization"])
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize(
    ("case", "read"), [("bearer", "type"), ("query", "ordering_key"), ("header", "dedupe_key")]
)
def test_what_is_read_from_the_credential_is_its_digest(tmp_path, destination, case, read):
    with running_gateway(tmp_path, configured(case, destination.url)) as gateway:
        event_id = send(gateway, case).json()["event_id"]
        assert re.fullmatch(DIGEST, gateway.event(event_id)[read])


@pytest.mark.parametrize("case", [case for case in CASES if case != "json"])
def test_a_token_that_is_sent_again_is_not_kept_of_what_the_destination_says_of_it(
    tmp_path, destination, case
):
    """It is signed anew with the token, and the destination answers with all that it was sent."""
    settings = 'sign = { scheme = "source" }'
    with running_gateway(tmp_path, configured(case, destination.url, destination=settings)) as gateway:
        event_id = send(gateway, case).json()["event_id"]
        delivered_at_least_once(gateway, event_id)
        (attempt, *_) = gateway.event(event_id)["deliveries"][0]["history"]
        response = base64.b64decode(attempt["response_base64"])
        assert b"[secret]" in response
        found = leaks("response", response)
        found += [leak for where, value in stored(gateway.path) for leak in leaks(where, value)]
        found += [leak for where, value in answers(gateway, event_id).items() for leak in leaks(where, value)]
    assert found == []


@pytest.mark.parametrize("case", ["header with a prefix", "bearer", "basic"])
def test_a_secret_that_the_destination_says_alone_is_not_kept_either(tmp_path, case):
    """A receiver complains of the token, not of the header that it came in."""
    said = SECRET if case != "basic" else f"{basic(USER)} is {USER}: the password {SECRET} is wrong"

    class Complaining(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(403)
            self.end_headers()
            self.wfile.write(f"refused: {said}".encode())

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Complaining) as server:
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        url, settings = f"http://127.0.0.1:{server.server_port}", 'sign = { scheme = "source" }'
        with running_gateway(tmp_path, configured(case, url, destination=settings)) as gateway:
            event_id = send(gateway, case).json()["event_id"]
            delivered_at_least_once(gateway, event_id)
            (attempt, *_) = gateway.event(event_id)["deliveries"][0]["history"]
        server.shutdown()
    response = base64.b64decode(attempt["response_base64"])
    assert response.startswith(b"refused: [secret]")
    assert leaks("response", response) == []
