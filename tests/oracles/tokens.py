"""Producers that send a JSON Web Token with the body's hash. Packages: livekit-api, PyJWT, vonage-jwt."""

from datetime import timedelta
from functools import partial
from hashlib import sha256

import jwt
import time_machine
import vonage_jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from livekit.api import AccessToken, TokenVerifier, WebhookReceiver

from tests.oracles.made_up import BODY, DOCUMENT, JSON, KEY, SEED, URL, base64_of, curve_key, pem
from tests.oracles.producer import ALWAYS, Producer
from tests.oracles.request import Request

LIFETIME_SECONDS = 300
CLAIMS = {"iss": "producer", "jti": DOCUMENT["id"]}


def _scheme(algorithm):
    return {
        "kind": "jwt",
        "algorithms": [algorithm],
        "require": ["iat", "exp", "jti"],
        "max_age": LIFETIME_SECONDS,
        "body_hash_claim": "payload_hash",
        "issuer": CLAIMS["iss"],
    }


def _sign(request: Request, key: bytes, at: int, *, algorithm: str, signer) -> Request:
    claims = {
        **CLAIMS,
        "iat": at,
        "exp": at + LIFETIME_SECONDS,
        "payload_hash": sha256(request.body).hexdigest(),
    }
    token = jwt.encode(claims, signer(key), algorithm=algorithm)
    return request.with_headers({"authorization": f"Bearer {token}"})


def _check(request: Request, secret: str, *, algorithm: str) -> bool:
    claims = jwt.decode(
        request.headers["authorization"].partition(" ")[2],
        secret,
        algorithms=[algorithm],
        issuer=CLAIMS["iss"],
        options={"require": ["iat", "exp", "jti", "payload_hash"]},
    )
    return claims["payload_hash"] == sha256(request.body).hexdigest()


def _sign_vonage(request: Request, key: bytes, at: int) -> Request:
    claims = {"iss": "Vonage", "jti": "1", "iat": at, "payload_hash": sha256(request.body).hexdigest()}
    return request.with_headers({"authorization": f"Bearer {jwt.encode(claims, key.decode())}"})


def _check_vonage(request: Request, secret: str) -> bool:
    """The package leaves the hash to its caller."""
    token = request.headers["authorization"].partition(" ")[2]
    if not vonage_jwt.verify_signature(token, secret):
        return False
    claims = jwt.decode(token, options={"verify_signature": False})
    return claims["payload_hash"] == sha256(request.body).hexdigest()


def _sign_livekit(request: Request, key: bytes, at: int) -> Request:
    with time_machine.travel(at, tick=False):
        token = (
            AccessToken("key-1", key.decode())
            .with_ttl(timedelta(seconds=LIFETIME_SECONDS))
            .with_sha256(base64_of(sha256(request.body).digest()))
            .to_jwt()
        )
    return request.with_headers({"authorization": token})


def _check_livekit(request: Request, secret: str) -> None:
    WebhookReceiver(TokenVerifier("key-1", secret)).receive(request.text, request.headers["authorization"])


def _producer(name, *, key=SEED, **options):
    return Producer(name=name, request=Request(URL, BODY, JSON), key=key, can_sign_anew=False, **options)


def _of_algorithm(algorithm, *, key=SEED, signer, spelled):
    return _producer(
        f"jwt {algorithm}",
        scheme=_scheme(algorithm),
        key=key,
        spelled=spelled,
        sign=partial(_sign, algorithm=algorithm, signer=signer),
        check=partial(_check, algorithm=algorithm),
        late=LIFETIME_SECONDS - 1,
        early=0,
    )


PRODUCERS = (
    _of_algorithm("HS256", key=KEY, signer=bytes.decode, spelled=bytes.decode),
    _of_algorithm("ES256", signer=curve_key, spelled=lambda seed: pem(curve_key(seed))),
    _of_algorithm(
        "EdDSA",
        signer=Ed25519PrivateKey.from_private_bytes,
        spelled=lambda seed: pem(Ed25519PrivateKey.from_private_bytes(seed)),
    ),
    _producer(
        "livekit",
        scheme="livekit",
        key=KEY,
        spelled=bytes.decode,
        sign=_sign_livekit,
        check=_check_livekit,
        late=LIFETIME_SECONDS + 59,
        early=60,
    ),
    _producer(
        "vonage",
        scheme="vonage",
        key=KEY,
        spelled=bytes.decode,
        sign=_sign_vonage,
        check=_check_vonage,
        late=ALWAYS,
        early=0,
    ),
)
