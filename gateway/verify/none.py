"""No verification: anybody who can reach the URL is believed. It has to be written out, and is warned about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.model import VerifiedWebhook, Webhook


@dataclass(frozen=True, slots=True)
class NoVerifier:
    required_headers: tuple[bytes, ...] = ()
    tolerance_seconds: int = 0

    def verify(self, webhook: Webhook, *, now: int) -> VerifiedWebhook:  # noqa: ARG002 - one shape for all kinds
        return VerifiedWebhook(webhook, secret=-1)

    def sign(self, event_id: str, body: bytes, *, now: int) -> dict[str, str]:  # noqa: ARG002 - see verify
        return {}


def compile_none(parameters: Mapping[str, Any], secrets: Sequence[str]) -> NoVerifier:
    if set(parameters) > {"kind"}:
        raise ValueError('{ kind = "none" } takes no further parameter')
    if secrets:
        raise ValueError(
            '{ kind = "none" } uses no secret: remove the secrets, or name a scheme that checks them'
        )
    return NoVerifier()
