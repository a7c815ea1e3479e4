"""Reads one of `[[sources]]`."""

from collections.abc import Mapping
from ipaddress import ip_network
from typing import Any
from urllib.parse import urlsplit

from gateway.config.reader import Reader, nearest
from gateway.config.secrets import read_secrets
from gateway.config.settings import Networks, Source
from gateway.model import SourceName
from gateway.selector import NOWHERE, Selector, parse_selector
from gateway.verify import (
    PRESETS,
    NoVerifier,
    Preset,
    Secret,
    Verifier,
    compile_verifier,
    default_dedupe_key,
)
from gateway.verify.handshake import HANDSHAKES, NO_HANDSHAKE

ACKNOWLEDGEMENTS = ("json", "empty")


def read_source(table: Reader) -> Source:
    name = table.name()
    preset = _preset(table)
    parameters = preset.verify if preset else _parameters(table)
    public_url = _public_url(table)
    secrets = read_secrets(table)
    handshake = table.text("handshake", (preset.handshake if preset else None) or "none")
    if handshake not in HANDSHAKES and handshake != "none":
        table.fault("handshake", f"{handshake!r} is not known{nearest(handshake, [*HANDSHAKES, 'none'])}")
    source = Source(
        name=SourceName(name),
        verifier=_verifier(table, parameters, secrets, public_url=public_url),
        event_type=_selector(table, "event_type", preset.event_type if preset else "json:type"),
        dedupe_key=_dedupe_key(table, preset.dedupe_key if preset else default_dedupe_key(parameters)),
        ordering_key=_selector(table, "ordering_key", "") if table.peek("ordering_key") else None,
        public_url=public_url,
        same_id=table.choice("same_id", preset.same_id if preset else "new", ("new", "duplicate")),
        replay_guard=table.boolean("replay_guard", default=preset.replay_guard if preset else False),
        rate_per_second=table.number("rate_per_second", 0, least=0, most=100_000),
        allow_ips=read_networks(table, "allow_ips"),
        acknowledgement=table.choice(
            "acknowledgement", preset.acknowledgement if preset else "json", ACKNOWLEDGEMENTS
        ),
        handshake=HANDSHAKES.get(handshake, NO_HANDSHAKE),
        verify_token=table.text("verify_token", None),
        secrets=tuple(secrets or ()),
        verify=parameters,
        shadow=_shadow(table, public_url=public_url),
    )
    for key in ("preset", "verify", "ordering_key"):
        table.raw(key)
    table.close()
    return source


def read_networks(table: Reader, key: str) -> Networks:
    networks = []
    for text in table.texts(key) or ():
        try:
            networks.append(ip_network(text))
        except ValueError:
            table.fault(key, f"{text!r} is neither an address nor a network such as 192.0.2.0/24")
    return tuple(networks)


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


def _public_url(table: Reader) -> str:
    url = table.text("public_url", "")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if url and (parts.scheme not in ("http", "https") or not host or parts.fragment or not url.isascii()):
        table.fault("public_url", "must be the URL that the producer calls: https://, a host, and its path")
        return ""
    return url


def _verifier(
    table: Reader, parameters: Mapping[str, Any], secrets: list[Secret] | None, *, public_url: str
) -> Verifier:
    """The fault is noted where none can be made; what is returned then is never used."""
    try:
        if parameters and secrets is not None:
            return compile_verifier(parameters, secrets, public_url=public_url)
    except ValueError as error:
        table.fault("", str(error))
    return NoVerifier()


def _shadow(table: Reader, *, public_url: str) -> Verifier | None:
    """Another scheme that is only tried, `[sources.shadow]`: preset or verify, and its secrets."""
    if table.raw("shadow") is None:
        return None
    shadow = table.table("shadow")
    preset = _preset(shadow)
    parameters = preset.verify if preset else _parameters(shadow)
    secrets = read_secrets(shadow)
    for key in ("preset", "verify"):
        shadow.raw(key)
    shadow.close()
    return _verifier(shadow, parameters, secrets, public_url=public_url)


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
