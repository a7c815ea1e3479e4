"""Replaces `${NAME}`, `${NAME:-default}` and `${file:/path}` in the strings of the file."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_REFERENCE = re.compile(
    r"\$\{(?:file:(?P<path>[^}]+)|(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?)\}", re.ASCII
)


class Unresolved(str):
    """The empty string that stands where something could not be expanded: its fault is noted already."""

    __slots__ = ()


def expand(value: Any, environment: Mapping[str, str], faults: list[str], place: str = "") -> Any:
    """`value` with every string in it expanded. Faults name the place and the variable or file, never a value."""
    if isinstance(value, str):
        return _expand_text(value, environment, faults, place)
    if isinstance(value, dict):
        return {
            key: expand(item, environment, faults, f"{place}.{key}" if place else key)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [expand(item, environment, faults, f"{place}[{index}]") for index, item in enumerate(value)]
    return value


def _expand_text(text: str, environment: Mapping[str, str], faults: list[str], place: str) -> str:
    before = len(faults)

    def replaced(match: re.Match[str]) -> str:
        if match["path"]:
            return _read(match["path"], faults, place)
        value = environment.get(match["name"]) or match["default"]
        if value is None:
            faults.append(f"{place} needs the variable {match['name']}, which is not set or empty")
        return value or ""

    if "${" in _REFERENCE.sub("", text):
        faults.append(f"{place} has a ${{ that begins none of ${{NAME}}, ${{NAME:-default}}, ${{file:/path}}")
    expanded = _REFERENCE.sub(replaced, text)
    return expanded if len(faults) == before else Unresolved("")


def _read(path: str, faults: list[str], place: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        faults.append(f"{place} names the file {path!r}, which cannot be read: {error}")
        return ""
