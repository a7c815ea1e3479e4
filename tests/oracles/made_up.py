"""Keys, bodies and addresses that the producers of these tests share."""

import base64
import hmac
import json

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

KEY = b"0123456789abcdefghijklmnopqrstuvwxyz"
"""36 bytes: base64 of them has no padding, and so no bits that mean nothing."""
SEED = KEY[:32]
"""Of a private key."""
URL = "https://hooks.example.com/in"
JSON = {"content-type": "application/json"}
FORM = {"content-type": "application/x-www-form-urlencoded"}
DOCUMENT = {"id": "evt_1", "type": "thing.happened", "events": []}
"""What some packages look for in a body once they have verified it."""
BODY = json.dumps({**DOCUMENT, "n": 1.50, "text": "Grüße 👋"}, ensure_ascii=False, indent=2).encode()


def mac(key: bytes, message: str) -> bytes:
    return hmac.digest(key, message.encode(), "sha256")


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


def curve_key(seed: bytes) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(seed), ec.SECP256R1())


def pem(private: ec.EllipticCurvePrivateKey | Ed25519PrivateKey) -> str:
    """Of its public key."""
    public = private.public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode().strip()
