"""Producers of HTTP Message Signatures, RFC 9421. Package: http-message-signatures."""

from base64 import b64decode
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from types import SimpleNamespace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from http_message_signatures import HTTPMessageSigner, HTTPMessageVerifier, MappingKeyResolver
from http_message_signatures.algorithms import ECDSA_P256_SHA256, ED25519, HMAC_SHA256

from tests.oracles.made_up import BODY, JSON, KEY, SEED, URL, base64_of, curve_key, pem
from tests.oracles.producer import Producer
from tests.oracles.request import Request

COMPONENTS = ("@method", "@target-uri", "content-digest")
TOLERANCE_SECONDS = 300


class _Verifier(HTTPMessageVerifier):
    max_clock_skew = timedelta(seconds=TOLERANCE_SECONDS)


def _message(request):
    return SimpleNamespace(method=request.method, url=request.url, headers=dict(request.headers))


def _sign(request: Request, key: bytes, at: int, *, algorithm, private) -> Request:
    keys = MappingKeyResolver(public_keys={}, private_keys={"key-1": private(key)})
    message = _message(request)
    HTTPMessageSigner(signature_algorithm=algorithm, key_resolver=keys).sign(
        message,
        key_id="key-1",
        created=datetime.fromtimestamp(at, UTC),
        covered_component_ids=COMPONENTS,
        body=request.body,
    )
    return replace(request, headers={name.lower(): value for name, value in message.headers.items()})


def _check(request: Request, secret: str, *, algorithm, public) -> None:
    keys = MappingKeyResolver(public_keys={"key-1": public(secret)}, private_keys={})
    _Verifier(signature_algorithm=algorithm, key_resolver=keys).verify(
        _message(request), max_age=timedelta(0), require_components=COMPONENTS, body=request.body
    )


def _producer(algorithm, *, key=SEED, private, spelled, public=str.encode):
    return Producer(
        name=f"rfc9421 {algorithm.algorithm_id}",
        scheme={
            "kind": "rfc9421",
            "algorithm": algorithm.algorithm_id,
            "keyid": "key-1",
            "max_age": TOLERANCE_SECONDS,
            "require_components": list(COMPONENTS),
        },
        request=Request(f"{URL}?a=1&b=%2F", BODY, JSON),
        key=key,
        spelled=spelled,
        sign=partial(_sign, algorithm=algorithm, private=private),
        check=partial(_check, algorithm=algorithm, public=public),
        signs_url=True,
        signs_method=True,
        can_sign_anew=False,
    )


PRODUCERS = (
    _producer(HMAC_SHA256, key=KEY, private=bytes, spelled=base64_of, public=b64decode),
    _producer(
        ED25519,
        private=Ed25519PrivateKey.from_private_bytes,
        spelled=lambda seed: pem(Ed25519PrivateKey.from_private_bytes(seed)),
    ),
    _producer(ECDSA_P256_SHA256, private=curve_key, spelled=lambda seed: pem(curve_key(seed))),
)
