"""No verification: anybody who can reach the URL is believed. It has to be written out, and is warned about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.model import VerifiedWebhook, Webhook
from gateway.selector import Content
from gateway.verify.scheme import Signed


@dataclass(frozen=True, slots=True)
class NoVerifier:
    required_headers: tuple[bytes, ...] = ()
    tolerance_seconds: int = 0
    credential_header: None = None
    signs_method: bool = False
    unsignable: None = None

    def without_credential(self, webhook: Webhook) -> Webhook:
        return webhook

    def verify(self, webhook: Webhook, *, now: int) -> VerifiedWebhook:  # noqa: ARG002 - one shape for all kinds
        return VerifiedWebhook(webhook, secret=-1, content=Content(webhook))

    def sign(self, webhook: Webhook, *, now: int, url: str) -> Signed:  # noqa: ARG002 - see verify
        return Signed(body=webhook.body)


def compile_none(parameters: Mapping[str, Any], secrets: Sequence[object]) -> NoVerifier:
    if set(parameters) > {"kind"}:
        raise ValueError('{ kind = "none" } takes no further parameter')
    if secrets:
        raise ValueError(
            '{ kind = "none" } uses no secret: remove the secrets, or name a scheme that checks them'
        )
    return NoVerifier()
