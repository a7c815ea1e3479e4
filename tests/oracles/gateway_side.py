"""The gateway's half: what it makes of a request, and what it makes of one that it signs anew."""

from dataclasses import replace
from urllib.parse import urlencode

from gateway.model import Rejected, VerifiedWebhook, Webhook
from gateway.verify import PRESETS, Verifier, compile_verifier
from tests.oracles.producer import Producer
from tests.oracles.request import Request


def parameters(producer):
    return PRESETS[producer.scheme].verify if isinstance(producer.scheme, str) else producer.scheme


def verifier(producer: Producer, *secrets: str, url: str | None = None) -> Verifier:
    """Of a source whose public URL is what the producer calls. Raise ValueError where a secret does not fit."""
    public_url = (url or producer.request.url).partition("?")[0]
    return compile_verifier(parameters(producer), secrets or (producer.secret,), public_url=public_url)


def webhook(request: Request) -> Webhook:
    return Webhook(
        headers=tuple((name.encode(), value.encode()) for name, value in request.headers.items()),
        query=request.query.encode(),
        body=request.body,
        method=request.method,
    )


def judged(producer: Producer, request: Request, *secrets: str, now: int) -> VerifiedWebhook | Rejected:
    return verifier(producer, *secrets).verify(webhook(request), now=now)


def accepted(producer: Producer, request: Request, *secrets: str, now: int) -> bool:
    return isinstance(judged(producer, request, *secrets, now=now), VerifiedWebhook)


def signed_anew(producer: Producer, request: Request, *, now: int, url: str | None = None) -> Request:
    """As a destination at `url` receives it. Raise ValueError where the gateway has no key that signs."""
    url = url or request.url
    signed = verifier(producer).sign(webhook(request), now=now, url=url)
    if signed.query:
        url += ("&" if "?" in url else "?") + urlencode(signed.query)
    return replace(
        request.with_headers({name.decode(): value.decode() for name, value in signed.headers}),
        url=url,
        body=signed.body,
    )
