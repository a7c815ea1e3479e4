"""gateway verify and gateway sign, for every kind of scheme."""

import base64
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.cli import main
from gateway.verify import PRESETS
from tests.support.gateway_app import SECRET

NOW = 1_795_341_600
BODY = b'{"type": "thing.made", "id": "e-1"}'
PUBLIC_URL = "https://gateway.example/webhooks/producer"
VECTORS = [
    vector for vector in json.loads(Path("tests/data/signatures.json").read_bytes()) if "config" in vector
]
KEYS = {"verified", "reason", "event_id_key", "event_type", "ordering_key"}
UNUSABLE = frozenset(
    vector["id"]
    for vector in VECTORS
    if vector["expect"] == "invalid" and "" in (vector.get("secrets") or [vector["secret"]])
)
"""Vectors whose secret is refused as soon as it is configured."""


def named(vector):
    return vector["id"]


def toml(value):
    """TOML's inline form of what JSON can say; absent where it is null."""
    if isinstance(value, dict):
        pairs = [f"{json.dumps(key)} = {toml(item)}" for key, item in value.items() if item is not None]
        return "{ " + ", ".join(pairs) + " }"
    if isinstance(value, list):
        return f"[{', '.join(toml(item) for item in value)}]"
    return json.dumps(value)


def write_config(folder, scheme, secrets, *more, public_url=""):
    lines = ["[[sources]]", 'name = "producer"', scheme, f"secrets = {toml(list(secrets))}", *more]
    if public_url:
        lines.append(f"public_url = {toml(public_url)}")
    path = folder / "gateway.toml"
    path.write_text("\n".join(lines), "utf-8")
    return path


def write_request(folder, *, headers, body, method="POST", url=PUBLIC_URL):
    path = folder / "request.json"
    request = {
        "method": method,
        "url": url,
        "headers": [list(pair) for pair in headers],
        "body_base64": base64.b64encode(body).decode(),
    }
    path.write_text(json.dumps(request))
    return path


@pytest.fixture
def call(capsys, monkeypatch):
    """A command in this process: its exit code, what it printed, what it complained of."""

    def call(*arguments, stdin=b""):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        code = main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def captured(folder, vector):
    body = base64.b64decode(vector["body_base64"]) if "body_base64" in vector else vector["body"].encode()
    headers = vector.get("headers_list") or vector["headers"].items()
    return write_request(folder, headers=headers, body=body, method=vector["method"], url=vector["url"])


def judged(call, folder, vector, scheme):
    secrets = vector.get("secrets") or [vector["secret"]]
    config = write_config(folder, scheme, secrets, public_url=vector["url"])
    request = captured(folder, vector)
    at = vector["timestamp_now"]
    return call("verify", "--config", config, "--source", "producer", "--request", request, "--at", at)


@pytest.mark.parametrize("vector", VECTORS, ids=named)
def test_a_vector_is_judged_as_its_source_says(call, tmp_path, vector):
    code, said, complaint = judged(call, tmp_path, vector, f"verify = {toml(vector['config'])}")
    if vector["id"] in UNUSABLE:
        assert (code, said) == (2, "")
        assert "a secret is empty" in complaint
        return
    answer = json.loads(said)
    verified = vector["expect"] == "valid"
    assert (code, answer["verified"]) == (0 if verified else 1, verified), answer
    assert (answer["reason"] is None) == verified
    assert set(answer) == KEYS if verified else set(answer) == KEYS | {"detail"}
    assert complaint == ""


def test_few_vectors_are_refused_when_they_are_configured():
    assert 0 < len(UNUSABLE) < 10


def plain(value):
    """Not `call_id + event` and the like, which describe how a key is put together."""
    return (
        isinstance(value, str)
        and "+" not in value
        and "." not in value.removesuffix(".created").removesuffix(".completed")
    )


NAMED = [
    vector
    for vector in VECTORS
    if vector["expect"] == "valid"
    and vector["preset"] in PRESETS
    and ("event_id" in vector or "event_type" in vector)
    and plain(vector.get("event_id", "a"))
    and vector.get("event_type") not in ("status", "query status")
]


@pytest.mark.parametrize("vector", NAMED, ids=named)
def test_a_preset_names_the_event_as_its_producer_does(call, tmp_path, vector):
    code, said, _ = judged(call, tmp_path, vector, f"preset = {toml(vector['preset'])}")
    answer = json.loads(said)
    assert code == 0
    if "event_id" in vector:
        assert answer["event_id_key"] == vector["event_id"]
    if "event_type" in vector and vector["preset"] != "svix":  # whose customers call it as they like
        assert answer["event_type"] == vector["event_type"]


def test_most_vectors_that_name_an_event_are_looked_at():
    assert len(NAMED) >= 13


SIGNING = {
    "standard": ('preset = "standard-webhooks"', SECRET),
    "svix": ('preset = "svix"', SECRET),
    "github": ('preset = "github"', "made-up"),
    "stripe": ('preset = "stripe"', "made-up"),
    "slack": ('preset = "slack"', "made-up"),
    "square": ('preset = "square"', "made-up"),
    "hubspot": ('preset = "hubspot-v3"', "made-up"),
    "twitch": ('preset = "twitch"', "made-up"),
    "shopify": ('preset = "shopify"', "made-up"),
    "hash": ('verify = { kind = "hmac", algorithm = "plain-sha256", header = "x-s" }', "made-up"),
    "header": ('preset = "api-key"', "made-up"),
    "prefix": ('verify = { kind = "token", from = "header:x-token", prefix = "Token " }', "made-up"),
    "bearer": ('preset = "bearer"', "made-up"),
    "basic": ('preset = "basic"', "somebody:made-up"),
}


def read_headers(text):
    return [line.split(": ", 1) for line in text.splitlines()]


@pytest.mark.parametrize("case", SIGNING)
def test_what_sign_prints_is_what_verify_takes_with_the_id_it_was_given(call, tmp_path, case):
    scheme, secret = SIGNING[case]
    config = write_config(tmp_path, scheme, [secret], public_url=PUBLIC_URL)
    source = ("--config", config, "--source", "producer")
    code, printed, complaint = call("sign", *source, "--id", "evt-1", "--at", NOW, stdin=BODY)
    assert (code, complaint) == (0, "")
    headers = read_headers(printed)
    assert len({name for name, _ in headers}) == len(headers)
    request = write_request(tmp_path, headers=headers, body=BODY)
    code, said, _ = call("verify", *source, "--request", request, "--at", NOW)
    answer = json.loads(said)
    assert (code, answer["verified"]) == (0, True), answer
    if any(value == "evt-1" for _, value in headers):
        assert answer["event_id_key"] == "evt-1"


def test_the_commands_work_together_as_processes(tmp_path):
    config = write_config(tmp_path, 'preset = "stripe"', ["made-up"])

    def run(*arguments, stdin=b""):
        command = [sys.executable, "-m", "gateway", *map(str, arguments)]
        return subprocess.run(command, input=stdin, capture_output=True, timeout=30, check=True).stdout

    printed = run("sign", "--config", config, "--source", "producer", "--id", "e-1", stdin=BODY)
    request = write_request(tmp_path, headers=read_headers(printed.decode()), body=BODY)
    said = run("verify", "--config", config, "--source", "producer", "--request", request)
    assert json.loads(said)["event_id_key"] == "e-1"


CANNOT = {
    "asymmetric": ('preset = "discord"', "ab" * 32, "public key"),
    "standard with a public key": (
        'preset = "standard-webhooks"',
        "whpk_" + base64.b64encode(b"k" * 32).decode(),
        "cannot sign",
    ),
    "jwt": ('preset = "jwt-hs256-bodyhash"', "made-up-secret-of-thirty-two-bytes-", "jwt"),
    "rfc9421": ('preset = "rfc9421-hmac"', base64.b64encode(b"k" * 64).decode(), "rfc9421"),
    "a time in the body": ('preset = "linear"', "made-up", "body"),
    "a signature in the body": ('preset = "mailgun"', "made-up", "body"),
    "a token in the query": ('preset = "url-token"', "made-up", "?access_token="),
    "a digest in the query": ('preset = "twilio-json"', "made-up", "?bodySHA256="),
    "a token in the body": ('verify = { kind = "token", from = "json:token" }', "made-up", "body"),
}
WITHIN = b'{"webhookTimestamp": 1, "signature": {"timestamp": "1", "token": "t", "signature": "s"}}'


@pytest.mark.parametrize("case", CANNOT)
def test_a_scheme_that_has_no_headers_to_print_says_why(call, tmp_path, case):
    scheme, secret, complaint = CANNOT[case]
    config = write_config(tmp_path, scheme, [secret], public_url=PUBLIC_URL)
    code, printed, said = call("sign", "--config", config, "--source", "producer", "--id", "e", stdin=WITHIN)
    assert (code, printed) == (2, "")
    (line,) = said.splitlines()
    assert complaint in line
    assert secret not in line


def test_verify_says_that_only_a_secret_whose_time_is_over_or_that_is_a_shadow_matches(call, tmp_path):
    table = 'verify = { kind = "token", from = "bearer" }\nsecrets = [{ value = "a", not_after = 2026-01-01T00:00:00Z }, { value = "b", shadow = true }, { value = "c", not_before = 2027-01-01T00:00:00Z }, "d"]'
    config = tmp_path / "gateway.toml"
    config.write_text(f'[[sources]]\nname = "producer"\n{table}\n')
    details = {}
    for secret in "abcde":
        request = write_request(tmp_path, headers=[("authorization", f"Bearer {secret}")], body=b"")
        arguments = ("--config", config, "--source", "producer", "--request", request, "--at", NOW)
        code, said, _ = call("verify", *arguments)
        details[secret] = json.loads(said).get("detail")
        assert code == (0 if secret == "d" else 1)
    assert "is over" in details["a"]
    assert "shadow" in details["b"]
    assert "has not begun" in details["c"]
    assert details["d"] is None
    assert "no secret" in details["e"]
