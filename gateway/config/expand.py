"""Replaces `${NAME}`, `${NAME:-default}` and `${file:/path}` in the strings of a configuration."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.config.reader import Unresolved

REFERENCE = re.compile(r"\$\{(?P<file>file:)?(?P<name>[^}:]+)(?::-(?P<default>[^}]*))?\}")


def expand(value: Any, *, environ: Mapping[str, str], faults: list[str], place: str = "") -> Any:
    """`value` with every string in it expanded. A secret may also be given as NAME_FILE, the path of a file.

    Faults name the variable and the place, never a value.
    """
    if isinstance(value, str):
        return _expand_text(value, environ=environ, faults=faults, place=place)
    if isinstance(value, dict):
        return {
            key: expand(item, environ=environ, faults=faults, place=f"{place}.{key}" if place else key)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [
            expand(item, environ=environ, faults=faults, place=f"{place}[{index}]")
            for index, item in enumerate(value)
        ]
    return value


def variable(name: str, *, environ: Mapping[str, str]) -> str | None:
    """The value of `name`, or the content of the file that `name`_FILE names; None where both are unset or empty.

    Raise OSError or UnicodeDecodeError where the file cannot be read.
    """
    if environ.get(name):
        return environ[name]
    if path := environ.get(f"{name}_FILE"):
        return _read(path) or None
    return None


def _expand_text(text: str, *, environ: Mapping[str, str], faults: list[str], place: str) -> str:
    failed = False

    def replace(match: re.Match[str]) -> str:
        nonlocal failed
        try:
            if match["file"]:
                return _read(match["name"])
            found = variable(match["name"], environ=environ)
        except (OSError, UnicodeDecodeError) as error:
            failed = True
            faults.append(f"{place}: {match['name']}: {_reason(error)}")
            return ""
        if found is None and match["default"] is None:
            failed = True
            faults.append(f"{place}: the environment variable {match['name']} is not set or empty")
        return found or match["default"] or ""

    expanded = REFERENCE.sub(replace, text)
    return Unresolved("") if failed else expanded


def _read(path: str) -> str:
    return Path(path).read_text("utf-8").removesuffix("\n").removesuffix("\r")


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"{error.strerror}: {error.filename}"
    return "the file is not UTF-8 text"
