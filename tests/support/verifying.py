"""What the tests of verification share: requests, keys, vectors, and what a verifier said."""

import base64
import functools
import hashlib
import hmac
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.model import Rejected, VerifiedWebhook, Webhook
from gateway.verify import Verifier, compile_verifier
from tests.support.gateway_app import KEY

NOW = 1_795_341_600
BODY = b'{"type":"thing.happened","data":{"jobId":"j1"}}'
SENSITIVE = "do-not-print-me"
VECTORS: list[dict[str, Any]] = [
    vector for vector in json.loads(Path("tests/data/signatures.json").read_bytes()) if "config" in vector
]
VALID = [vector for vector in VECTORS if vector["expect"] == "valid"]


def named(vector: Mapping[str, Any]) -> str:
    return str(vector["id"])


def webhook(
    headers: Mapping[str, str] | Iterable[tuple[str, str]],
    body: bytes = BODY,
    *,
    query: bytes = b"",
    method: str = "POST",
) -> Webhook:
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    return Webhook(
        tuple((name.lower().encode(), value.encode()) for name, value in pairs), query, body, method
    )


def accepted(result: VerifiedWebhook | Rejected) -> VerifiedWebhook:
    assert isinstance(result, VerifiedWebhook), result
    return result


def refused(result: VerifiedWebhook | Rejected) -> Rejected:
    assert isinstance(result, Rejected), result
    return result


def mac(message: bytes, *, key: bytes = b"shared", algorithm: str = "sha256") -> bytes:
    return hmac.digest(key, message, algorithm)


def in_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def in_base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def with_one_bit_changed(data: bytes, bits: Iterable[int] | None = None) -> Iterator[tuple[int, bytes]]:
    """Each bit's number, and the data with this one changed; of all bits where none are named."""
    for bit in range(len(data) * 8) if bits is None else bits:
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        yield bit, bytes(changed)


def request_of(vector: Mapping[str, Any]) -> Webhook:
    headers = vector.get("headers_list") or vector["headers"].items()
    body = base64.b64decode(vector["body_base64"]) if "body_base64" in vector else vector["body"].encode()
    return Webhook(
        headers=tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in headers),
        query=vector["url"].partition("?")[2].encode(),
        body=body,
        method=vector["method"],
    )


def verifier_of(vector: Mapping[str, Any]) -> Verifier:
    secrets = vector.get("secrets") or [vector["secret"]]
    return compile_verifier(vector["config"], secrets, public_url=vector["url"])


# Private keys of the made-up producers: the gateway only ever gets the public ones.


@functools.cache
def ed25519() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(KEY)


@functools.cache
def p256() -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(KEY), ec.SECP256R1())


@functools.cache
def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


def public_pem(private: Any) -> str:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return str(private.public_key().public_bytes(serialization.Encoding.PEM, form).decode())


def public_der(private: Any) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return bytes(private.public_key().public_bytes(serialization.Encoding.DER, form))


def private_pem(private: Any) -> str:
    return str(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode()
    )
