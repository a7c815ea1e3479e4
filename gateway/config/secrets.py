"""Reads the secrets of a source: texts, or tables with the time in which they count."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from gateway.config.reader import Reader, Unresolved
from gateway.verify import Secret

KEYS = ("value", "not_before", "not_after", "shadow")


def read_secrets(table: Reader) -> list[Secret] | None:
    """None where one of them could not be read; its fault is noted."""
    items = table.raw("secrets")
    if items is None:
        return []
    if not isinstance(items, list):
        table.fault("secrets", "must be a list")
        return None
    read = [_read(table, f"secrets[{index}]", item) for index, item in enumerate(items)]
    secrets = [secret for secret in read if secret is not None]
    return secrets if len(secrets) == len(read) else None


def _read(table: Reader, place: str, item: Any) -> Secret | None:
    if isinstance(item, Unresolved):
        return None
    if isinstance(item, str):
        return Secret(item)
    if not isinstance(item, Mapping) or not isinstance(item.get("value"), str):
        table.fault(place, "must be a text, or a table with value, not_before, not_after, shadow")
        return None
    unknown = sorted(set(item) - set(KEYS))
    if unknown:
        table.fault(place, f"unknown key {unknown[0]!r}; known are {', '.join(KEYS)}")
    not_before, not_after = (_time(table, f"{place}.{key}", item.get(key)) for key in KEYS[1:3])
    shadow = item.get("shadow", False)
    if not isinstance(shadow, bool):
        table.fault(f"{place}.shadow", "must be true or false")
        return None
    if not_before is not None and not_after is not None and not_after < not_before:
        table.fault(place, "ends before it begins")
    return (
        None
        if isinstance(item["value"], Unresolved)
        else Secret(item["value"], not_before, not_after, shadow)
    )


def _time(table: Reader, place: str, value: Any) -> int | None:
    """Unix seconds of a date with its offset, in TOML's form or as a text."""
    if value is None:
        return None
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            value = None
    if not isinstance(value, datetime) or value.tzinfo is None:
        table.fault(place, "must be a time with its offset, such as 2026-12-01T00:00:00Z")
        return None
    return int(value.timestamp())
