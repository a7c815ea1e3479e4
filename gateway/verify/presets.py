"""The producers known by name, as data."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True, slots=True)
class Preset:
    """What `preset = "NAME"` stands for: the scheme's parameters and this producer's defaults."""

    verify: Mapping[str, Any]
    event_type: str = "json:type"
    dedupe_key: str = "header:webhook-id"


def _standard(*, prefix: str = "webhook-", event_type: str = "json:type", **parameters: Any) -> Preset:
    return Preset(
        verify=MappingProxyType({"kind": "standard", "prefix": prefix, **parameters}),
        event_type=event_type,
        dedupe_key=f"header:{prefix}id",
    )


PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        "standard-webhooks": _standard(),
        "svix": _standard(prefix="svix-"),
        "clerk": _standard(prefix="svix-"),
        "gitlab-signing-token": _standard(event_type="header:x-gitlab-event"),
        "openai": _standard(),
        "polar": _standard(secret_encoding="utf8"),  # noqa: S106 - names an encoding
        "recall": _standard(event_type="json:event"),
        "replicate": _standard(event_type="json:status"),
        "resend": _standard(prefix="svix-"),
        "supabase-auth-hook": _standard(),
    }
)
