"""Reads one of `[[sources]]`."""

from collections.abc import Mapping
from typing import Any

from gateway.config.reader import Reader, Unresolved, nearest
from gateway.config.settings import Source
from gateway.model import SourceName
from gateway.selector import NOWHERE, Selector, parse_selector
from gateway.verify import PRESETS, NoVerifier, Preset, Verifier, compile_verifier, default_dedupe_key


def read_source(table: Reader) -> Source:
    name = table.name()
    preset = _preset(table)
    parameters = preset.verify if preset else _parameters(table)
    source = Source(
        name=SourceName(name),
        verifier=_verifier(table, parameters),
        event_type=_selector(table, "event_type", preset.event_type if preset else "json:type"),
        dedupe_key=_dedupe_key(table, preset.dedupe_key if preset else default_dedupe_key(parameters)),
        ordering_key=_selector(table, "ordering_key", "") if table.peek("ordering_key") else None,
        same_id=table.choice("same_id", "new", ("new", "duplicate")),
        rate_per_second=table.number("rate_per_second", 0, least=0, most=100_000),
    )
    for key in (
        "preset",
        "verify",
        "ordering_key",
        "public_url",
    ):  # public_url: only for schemes that sign the URL
        table.raw(key)
    for key, unset in (("allow_ips", []), ("replay_guard", False)):
        table.later(key, unset)
    table.close()
    return source


def _preset(table: Reader) -> Preset | None:
    name = table.text("preset", "")
    if not name:
        if not isinstance(table.peek("verify"), dict) or not table.peek("verify"):
            table.fault("", 'needs a preset or [sources.verify]; { kind = "none" } has to be written out')
        return None
    if table.peek("verify") is not None:
        table.fault("", "has both preset and verify: keep one")
    if name not in PRESETS:
        table.fault("preset", f"{name!r} is not known{nearest(name, PRESETS)}")
    return PRESETS.get(name)


def _parameters(table: Reader) -> Mapping[str, Any]:
    """Those of `[sources.verify]`; empty where there are none, which `_preset` has noted as a fault."""
    verify = table.raw("verify")
    return verify if isinstance(verify, dict) else {}


def _verifier(table: Reader, parameters: Mapping[str, Any]) -> Verifier:
    """The fault is noted where none can be made; what is returned then is never used."""
    secrets = table.texts("secrets") or ()
    resolved = [secret for secret in secrets if not isinstance(secret, Unresolved)]
    unresolved = len(secrets) - len(resolved)
    try:
        if parameters and not unresolved:
            return compile_verifier(parameters, resolved)
    except ValueError as error:
        table.fault("", str(error))
    return NoVerifier()


def _selector(table: Reader, key: str, default: str) -> Selector:
    text = table.text(key, default)
    try:
        return parse_selector(text)
    except ValueError as error:
        table.fault(key, str(error))
        return NOWHERE


def _dedupe_key(table: Reader, default: str) -> Selector | None:
    match table.text("dedupe_key", default):
        case "none":
            return None
        case "body":
            return NOWHERE
        case _:
            return _selector(table, "dedupe_key", default)
