"""Producers of whom the gateway has a public key. Packages: discord-interactions, sendgrid, telnyx."""

import discord_interactions
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from nacl.signing import SigningKey
from sendgrid.helpers.eventwebhook import EventWebhook
from telnyx.lib.webhook_verification import verify_webhook_signature as verify_telnyx

from tests.oracles.made_up import BODY, JSON, SEED, URL, base64_of, curve_key
from tests.oracles.producer import ALWAYS, Producer
from tests.oracles.request import Request


def _spelled_by_sendgrid(seed: bytes) -> str:
    public = curve_key(seed).public_key()
    return base64_of(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def _sign_sendgrid(request: Request, seed: bytes, at: int) -> Request:
    signature = curve_key(seed).sign(str(at).encode() + request.body, ec.ECDSA(hashes.SHA256()))
    return request.with_headers(
        {
            "x-twilio-email-event-webhook-signature": base64_of(signature),
            "x-twilio-email-event-webhook-timestamp": str(at),
        }
    )


def _check_sendgrid(request: Request, secret: str) -> bool:
    return EventWebhook(secret).verify_signature(
        request.text,
        request.headers["x-twilio-email-event-webhook-signature"],
        request.headers["x-twilio-email-event-webhook-timestamp"],
    )


def _sign_discord(request: Request, seed: bytes, at: int) -> Request:
    signature = SigningKey(seed).sign(str(at).encode() + request.body).signature
    return request.with_headers({"x-signature-ed25519": signature.hex(), "x-signature-timestamp": str(at)})


def _check_discord(request: Request, secret: str) -> bool:
    return discord_interactions.verify_key(
        request.body,
        request.headers["x-signature-ed25519"],
        request.headers["x-signature-timestamp"],
        secret,
    )


def _sign_telnyx(request: Request, seed: bytes, at: int) -> Request:
    signature = SigningKey(seed).sign(f"{at}|{request.text}".encode()).signature
    return request.with_headers(
        {"telnyx-signature-ed25519": base64_of(signature), "telnyx-timestamp": str(at)}
    )


def _check_telnyx(request: Request, secret: str) -> None:
    verify_telnyx(request.body, request.headers, secret)


def _public(seed: bytes) -> bytes:
    return bytes(SigningKey(seed).verify_key)


def _producer(preset, **options):
    return Producer(
        name=preset,
        scheme=preset,
        request=Request(URL, BODY, JSON),
        key=SEED,
        can_sign_anew=False,
        **options,
    )


PRODUCERS = (
    _producer(
        "discord",
        spelled=lambda seed: _public(seed).hex(),
        sign=_sign_discord,
        check=_check_discord,
        late=ALWAYS,
        early=ALWAYS,
    ),
    _producer(
        "sendgrid",
        spelled=_spelled_by_sendgrid,
        sign=_sign_sendgrid,
        check=_check_sendgrid,
        late=ALWAYS,
        early=ALWAYS,
    ),
    _producer(
        "telnyx",
        spelled=lambda seed: base64_of(_public(seed)),
        sign=_sign_telnyx,
        check=_check_telnyx,
    ),
)
