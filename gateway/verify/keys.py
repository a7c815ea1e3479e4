"""Keys that say whether they made a signature. Lengths and values are compared in constant time."""

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key

from gateway.verify.encoding import from_base64, from_hex


class Key(Protocol):
    def find(self, signatures: Iterable[bytes], message: bytes) -> bytes | None:
        """The one that it made of this message."""
        ...


@dataclass(frozen=True, slots=True, repr=False)
class MacKey:
    key: bytes
    algorithm: str = "sha256"
    _keyed: hmac.HMAC = field(init=False, compare=False)
    """Copied for each message: to take in the key costs half of a short one's digest."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "_keyed", hmac.new(self.key, digestmod=self.algorithm))

    def sign(self, message: bytes) -> bytes:
        mac = self._keyed.copy()
        mac.update(message)
        return mac.digest()

    def find(self, signatures: Iterable[bytes], message: bytes) -> bytes | None:
        expected = self.sign(message)  # once: each of many forged ones would else cost a digest of the body
        return next((one for one in signatures if hmac.compare_digest(one, expected)), None)


@dataclass(frozen=True, slots=True, repr=False)
class HashKey:
    """A plain hash of secret and message, as producers made it before they knew of HMAC.

    Who knows the hash of one message can make that of a longer one, with the hash's own padding between them. The padding
    begins with a byte that can follow no UTF-8, so that only text is believed.
    """

    key: bytes

    def sign(self, message: bytes) -> bytes:
        return hashlib.sha256(self.key + message).digest()

    def find(self, signatures: Iterable[bytes], message: bytes) -> bytes | None:
        expected = self.sign(message)
        found = next((one for one in signatures if hmac.compare_digest(one, expected)), None)
        return found if _is_utf8(message) else None


@dataclass(frozen=True, slots=True, repr=False)
class PublicKey:
    key: Ed25519PublicKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey

    def find(self, signatures: Iterable[bytes], message: bytes) -> bytes | None:
        return next((one for one in signatures if self._made(one, message)), None)

    def _made(self, signature: bytes, message: bytes) -> bool:
        try:
            match self.key:
                case Ed25519PublicKey():
                    self.key.verify(signature, message)
                case ec.EllipticCurvePublicKey():
                    self.key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
                case _:
                    self.key.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            return False
        return True


NEEDED = {
    "ed25519": "an Ed25519 key",
    "ecdsa-p256-sha256": "an elliptic curve key on P-256",
    "rsa-sha256": "an RSA key of 2048 bits or more",
}
KEY_ENCODINGS = ("pem", "raw-hex", "raw-b64", "spki-b64")
LEAST_RSA_BITS = 2048


def public_key(text: str, *, algorithm: str, encoding: str) -> PublicKey:
    """Raise ValueError with a sentence for the operator, without the key, where it is none of this algorithm."""
    try:
        key = _load(text, algorithm=algorithm, encoding=encoding)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError(f"a secret is not a public key in the form {encoding}") from None
    if not _fits(key, algorithm):
        raise ValueError(f"a secret is a public key, but {algorithm} needs {NEEDED[algorithm]}")
    return PublicKey(key)


def _is_utf8(message: bytes) -> bool:
    try:
        message.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def is_short(key: object) -> bool:
    """Whether it is an RSA key that can be broken."""
    return isinstance(key, rsa.RSAPublicKey) and key.key_size < LEAST_RSA_BITS


def _fits(key: Any, algorithm: str) -> bool:
    match algorithm:
        case "ed25519":
            return isinstance(key, Ed25519PublicKey)
        case "rsa-sha256":
            return isinstance(key, rsa.RSAPublicKey) and not is_short(key)
        case _:
            return isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name == "secp256r1"


def _load(text: str, *, algorithm: str, encoding: str) -> Any:
    if encoding == "pem":
        return load_pem_public_key(text.encode())
    raw = from_hex(text.encode()) if encoding == "raw-hex" else from_base64(text.encode())
    if raw is None:
        raise ValueError(encoding)
    if encoding == "spki-b64":
        return load_der_public_key(raw)
    if algorithm != "ed25519":
        raise ValueError(encoding)
    return Ed25519PublicKey.from_public_bytes(raw)
