"""What it costs to verify a request, by kind of scheme and size of body."""

import base64
import hashlib
import statistics
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import http_message_signatures
import jwt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.model import VerifiedWebhook, Webhook
from gateway.verify import PRESETS, compile_verifier
from tests.bench.place import Place
from tests.bench.result import Cell, Claim, Figure

SIZES = (200, 1024, 16_384, 102_400)
ROUNDS = 7
ROUND_SECONDS = 0.03
NOW = 1_795_341_600
URL = "https://hooks.example.com/in"
SECRET = "whsec_" + base64.b64encode(b"a made-up secret of thirty bytes").decode()
MOST_HMAC_US = 15

ED25519 = Ed25519PrivateKey.generate()
P256 = ec.generate_private_key(ec.SECP256R1())


class Keys(http_message_signatures.HTTPSignatureKeyResolver):
    def resolve_private_key(self, key_id: str) -> bytes:  # noqa: ARG002 - there is one
        return base64.b64decode(SECRET.removeprefix("whsec_"))


def measure(place: Place) -> Figure:
    rows: list[list[Cell]] = []
    hmac_us = 0.0
    for name, make in REQUESTS.items():
        row: list[Cell] = [name]
        for size in SIZES:
            parameters, secret, webhook = make(body(size))
            us = _cost_us(parameters, secret, webhook, rounds=place.scale.number(ROUNDS))
            row.append(us)
            if (name, size) == ("hmac: stripe", 1024):
                hmac_us = us
        rows.append(row)
    return Figure(
        title="Verifying",
        how=(
            "Microseconds of CPU for one request that is authentic, in one process, the median of the rounds; by the bytes "
            "of its body. The answer to all of it is a verified webhook; nothing is parsed that the scheme does not sign."
        ),
        columns=["kind: producer", *(f"{size} bytes" for size in SIZES)],
        rows=rows,
        claims=[Claim("HMAC of 1024 bytes", hmac_us, at_most=MOST_HMAC_US, unit="µs")],
    )


def body(size: int) -> bytes:
    """JSON of exactly so many bytes."""
    empty = b'{"id":"evt_1","type":"thing.happened","data":""}'
    return empty[:-2] + b"x" * (size - len(empty)) + empty[-2:]


def _cost_us(parameters: Mapping[str, Any], secret: str, webhook: Webhook, *, rounds: int) -> float:
    verifier = compile_verifier(parameters, [secret], public_url=URL)
    verified = verifier.verify(webhook, now=NOW)
    assert isinstance(verified, VerifiedWebhook), verified
    number = 0
    until = time.perf_counter() + ROUND_SECONDS
    while time.perf_counter() < until:
        verifier.verify(webhook, now=NOW)
        number += 1
    costs = []
    for _ in range(rounds):
        began = time.process_time()
        for _ in range(number):
            verifier.verify(webhook, now=NOW)
        costs.append((time.process_time() - began) / number * 1e6)
    return statistics.median(costs)


Made = tuple[Mapping[str, Any], str, Webhook]


def signed_here(preset: str, *, secret: str = SECRET, headers: tuple[tuple[bytes, bytes], ...] = ()) -> Any:
    def make(content: bytes) -> Made:
        parameters = PRESETS[preset].verify
        verifier = compile_verifier(parameters, [secret], public_url=URL)
        signed = verifier.sign(Webhook(headers, b"", content), now=NOW, url=URL)
        return parameters, secret, Webhook(signed.headers, b"", content)

    return make


def standard_v1a(content: bytes) -> Made:
    signature = ED25519.sign(b"msg_1.%d." % NOW + content)
    public = base64.b64encode(ED25519.public_key().public_bytes_raw()).decode()
    headers = (
        (b"webhook-id", b"msg_1"),
        (b"webhook-timestamp", b"%d" % NOW),
        (b"webhook-signature", b"v1a," + base64.b64encode(signature)),
    )
    return PRESETS["standard-webhooks"].verify, f"whpk_{public}", Webhook(headers, b"", content)


def discord(content: bytes) -> Made:
    signature = ED25519.sign(b"%d" % NOW + content).hex().encode()
    headers = ((b"x-signature-ed25519", signature), (b"x-signature-timestamp", b"%d" % NOW))
    secret = ED25519.public_key().public_bytes_raw().hex()
    return PRESETS["discord"].verify, secret, Webhook(headers, b"", content)


def sendgrid(content: bytes) -> Made:
    signature = base64.b64encode(P256.sign(b"%d" % NOW + content, ec.ECDSA(hashes.SHA256())))
    name = b"x-twilio-email-event-webhook-"
    headers = ((name + b"signature", signature), (name + b"timestamp", b"%d" % NOW))
    public = P256.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return PRESETS["sendgrid"].verify, base64.b64encode(public).decode(), Webhook(headers, b"", content)


def json_web_token(content: bytes) -> Made:
    claims = {"iat": NOW, "jti": "evt_1", "payload_hash": hashlib.sha256(content).hexdigest()}
    token = jwt.encode(claims, SECRET, "HS256")
    headers = ((b"authorization", f"Bearer {token}".encode()),)
    return PRESETS["jwt-hs256-bodyhash"].verify, SECRET, Webhook(headers, b"", content)


def message_signature(content: bytes) -> Made:
    message = SimpleNamespace(method="POST", url=URL, headers={})
    signer = http_message_signatures.HTTPMessageSigner(
        signature_algorithm=http_message_signatures.algorithms.HMAC_SHA256, key_resolver=Keys()
    )
    created = datetime.fromtimestamp(NOW, UTC)
    signer.sign(
        message,
        key_id="bench",
        created=created,
        covered_component_ids=("@method", "@target-uri"),
        body=content,
    )
    parameters = {"kind": "rfc9421", "algorithm": "hmac-sha256", "require_components": ["content-digest"]}
    headers = tuple((name.lower().encode(), value.encode()) for name, value in message.headers.items())
    return parameters, SECRET.removeprefix("whsec_"), Webhook(headers, b"", content)


REQUESTS: Mapping[str, Callable[[bytes], Made]] = {
    "standard: v1": signed_here("standard-webhooks", headers=((b"webhook-id", b"msg_1"),)),
    "standard: v1a": standard_v1a,
    "hmac: github": signed_here("github"),
    "hmac: stripe": signed_here("stripe"),
    "hmac: slack": signed_here("slack"),
    "hmac: SHA-512": signed_here("hmac-sha512-hex"),
    "asymmetric: discord, ed25519": discord,
    "asymmetric: sendgrid, ECDSA": sendgrid,
    "token: bearer": signed_here("bearer"),
    "jwt: HS256 and body hash": json_web_token,
    "rfc9421: HMAC and digest": message_signature,
}
