"""Is this webhook authentic? A raw request, the source's secrets and the time in; verified or rejected out.

One module a kind of scheme; a producer is a row of data in `presets`. Everything here is pure and takes hostile
input without raising.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from gateway.model import Rejected, VerifiedWebhook, Webhook
from gateway.verify.none import NoVerifier, compile_none
from gateway.verify.preset import Preset
from gateway.verify.presets import PRESETS
from gateway.verify.standard import compile_standard

__all__ = ["PRESETS", "NoVerifier", "Preset", "Verifier", "compile_verifier", "default_dedupe_key"]


class Verifier(Protocol):
    @property
    def required_headers(self) -> tuple[bytes, ...]:
        """Names in lower case. A request that lacks one is refused before its body is read."""
        ...

    @property
    def tolerance_seconds(self) -> int:
        """By how much a signed time may be off; 0 where none is signed."""
        ...

    def verify(self, webhook: Webhook, *, now: int) -> VerifiedWebhook | Rejected:
        """`now` in Unix seconds."""
        ...

    def sign(self, event_id: str, body: bytes, *, now: int) -> dict[str, str]:
        """The headers that a producer would send. Raise ValueError where the gateway has no signing key."""
        ...


def compile_verifier(parameters: Mapping[str, Any], secrets: Sequence[str]) -> Verifier:
    """Raise ValueError with a sentence for the operator, which never quotes a secret, where they do not fit."""
    match parameters.get("kind"):
        case "standard":
            return compile_standard(parameters, secrets)
        case "none":
            return compile_none(parameters, secrets)
        case kind:
            raise ValueError(f"verify.kind {kind!r} is not known to this version; it knows none, standard")


def default_dedupe_key(parameters: Mapping[str, Any]) -> str:
    """For a scheme that is not a preset: its signed id, else the body's digest."""
    if parameters.get("kind") == "standard":
        return f"header:{parameters.get('prefix') or 'webhook-'}id"
    return "body"
