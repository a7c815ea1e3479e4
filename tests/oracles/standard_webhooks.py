"""Producers of Standard Webhooks. Packages: standardwebhooks, svix, openai, polar-sdk, replicate, resend."""

from datetime import UTC, datetime
from types import ModuleType

import openai
import polar.webhooks
import replicate.webhook
import resend
import standardwebhooks
import svix.webhooks

from tests.oracles.made_up import BODY, DOCUMENT, JSON, KEY, URL, base64_of
from tests.oracles.producer import Producer
from tests.oracles.request import Request

OPENAI = openai.OpenAI(api_key="made-up")


def whsec(key: bytes) -> str:
    return f"whsec_{base64_of(key)}"


def _sign(
    request: Request, key: bytes, at: int, package: ModuleType = standardwebhooks, prefix: str = "webhook-"
) -> Request:
    message_id = request.headers[f"{prefix}id"]
    signature = package.Webhook(key).sign(message_id, datetime.fromtimestamp(at, UTC), request.text)
    return request.with_headers({f"{prefix}timestamp": str(at), f"{prefix}signature": signature})


def _sign_svix(request: Request, key: bytes, at: int) -> Request:
    return _sign(request, key, at, svix.webhooks, "svix-")


def _check(request: Request, secret: str) -> None:
    standardwebhooks.Webhook(secret).verify(request.body, request.headers, json_parse=False)


def _check_supabase(request: Request, secret: str) -> None:
    _check(request, secret.removeprefix("v1,"))


def _check_svix(request: Request, secret: str) -> None:
    svix.webhooks.Webhook(secret).verify(request.body, request.headers)


def _check_openai(request: Request, secret: str) -> None:
    OPENAI.webhooks.verify_signature(request.body, request.headers, secret=secret)


def _check_polar(request: Request, secret: str) -> None:
    polar.webhooks.validate_event(
        request.body, request.headers, secret, event_types=frozenset({DOCUMENT["type"]}), payload_loader=dict
    )


def _check_replicate(request: Request, secret: str) -> None:
    replicate.webhook.Webhooks.validate(
        headers=request.headers,
        body=request.text,
        secret=replicate.webhook.WebhookSigningSecret(key=secret),
        tolerance=300,
    )


def _check_resend(request: Request, secret: str) -> None:
    headers = {part: request.headers.get(f"svix-{part}") for part in ("id", "timestamp", "signature")}
    resend.Webhooks.verify({"payload": request.text, "headers": headers, "webhook_secret": secret})


def _standard(preset, *, check=_check, spelled=whsec):
    return Producer(
        name=preset,
        scheme=preset,
        request=Request(URL, BODY, {**JSON, "webhook-id": "msg_1"}),
        key=KEY,
        spelled=spelled,
        sign=_sign,
        check=check,
    )


def _svix(preset, *, check=_check_svix):
    return Producer(
        name=preset,
        scheme=preset,
        request=Request(URL, BODY, {**JSON, "svix-id": "msg_1"}),
        key=KEY,
        spelled=whsec,
        sign=_sign_svix,
        check=check,
    )


PRODUCERS = (
    _standard("standard-webhooks"),
    _standard("anthropic"),
    _standard("brex"),
    _standard("gitlab-signing-token"),
    _standard("openai", check=_check_openai),
    _standard("polar", check=_check_polar, spelled=bytes.decode),
    _standard("recall"),
    _standard("render"),
    _standard("replicate", check=_check_replicate),
    _standard("supabase-auth-hook", check=_check_supabase, spelled=lambda key: f"v1,{whsec(key)}"),
    _svix("svix"),
    _svix("clerk"),
    _svix("recall-svix"),
    _svix("resend", check=_check_resend),
)
