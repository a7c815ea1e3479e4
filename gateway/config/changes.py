"""What a configuration says otherwise than the one that is served, and that only a restart takes."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from gateway.config.settings import Config, Destination, Source
from gateway.selector import Selector

TAKEN = {
    "server": {"admin_token"},
    # Of another scheme nothing is taken, and another line says so.
    "sources": {"verifier", "secrets", "verify_token", "shadow", "verify", "public_url"},
    "destinations": {"bearer_token", "headers", "sign"},
}
"""Settings of which SIGHUP takes what it may."""


def waiting_for_restart(served: Config, loaded: Config) -> list[str]:
    """Their places, as in faults: `server.port`, `destinations (app).url`, `sources (new)`. No values."""
    return [
        *_differing(served.server, loaded.server, place="server", taken=TAKEN["server"]),
        *_differing(served.store, loaded.store, place="store", taken=set()),
        *_of_named("sources", served.sources, loaded.sources),
        *_of_named("destinations", served.destinations, loaded.destinations),
        *(["tracing"] if served.tracing != loaded.tracing else []),
    ]


def _of_named(
    kind: str, served: Sequence[Source | Destination], loaded: Sequence[Source | Destination]
) -> Iterator[str]:
    before, after = ({str(one.name): one for one in some} for some in (served, loaded))
    for name in dict.fromkeys([*before, *after]):
        place = f"{kind} ({name})"
        if name in before and name in after:
            yield from _differing(before[name], after[name], place=place, taken=TAKEN[kind])
        else:
            yield place


def _differing(served: Any, loaded: Any, *, place: str, taken: set[str]) -> Iterator[str]:
    for field in dataclasses.fields(served):
        if field.name not in taken and _said(served, field.name) != _said(loaded, field.name):
            yield f"{place}.{field.name}"


def _said(settings: Any, name: str) -> Any:
    value = getattr(settings, name)
    return value.text if isinstance(value, Selector) else value
