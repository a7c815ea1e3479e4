"""The producers known by name, as data: one module a group."""

from collections.abc import Mapping
from types import MappingProxyType

from gateway.verify.preset import Preset
from gateway.verify.presets import (
    code,
    generic,
    identity,
    messaging,
    payments,
    speech,
    voice,
    work,
)

GROUPS: Mapping[str, Mapping[str, Preset]] = MappingProxyType(
    {
        "Speech, transcription and models": speech.PRESETS,
        "Calls and meetings": voice.PRESETS,
        "Payments and commerce": payments.PRESETS,
        "Code, deployment and operations": code.PRESETS,
        "Messages and mail": messaging.PRESETS,
        "Work, forms and customers": work.PRESETS,
        "Identity": identity.PRESETS,
        "Schemes without a producer": generic.PRESETS,
    }
)


def _merge(groups: Mapping[str, Mapping[str, Preset]]) -> Mapping[str, Preset]:
    merged: dict[str, Preset] = {}
    for title, presets in groups.items():
        for name, preset in presets.items():
            if name in merged:
                raise ValueError(f"preset {name!r} stands in two groups, the second is {title!r}")
            merged[name] = preset
    return MappingProxyType(merged)


PRESETS: Mapping[str, Preset] = _merge(GROUPS)
