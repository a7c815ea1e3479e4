"""Replaces `${NAME}`, `${NAME:-default}` and `${file:/path}` in the strings of a configuration."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.config.reader import Unresolved

REFERENCE = re.compile(
    r"\$\{(?:file:(?P<path>[^}]+)|(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>(?:(?!\$\{)[^}])*))?)\}"
)


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

    Raise OSError or ValueError where the file cannot be read.
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
            found = _read(match["path"]) if match["path"] else variable(match["name"], environ=environ)
        except (OSError, ValueError) as error:
            failed = True
            if match["path"] and isinstance(error, OSError):  # the reason ends with the path
                faults.append(f"{place}: {reason(error)}")
            else:
                faults.append(f"{place}: {match['path'] or match['name']}: {reason(error)}")
            return ""
        if match["path"] and not found:
            failed = True
            faults.append(f"{place}: the file {match['path']} is empty")
        elif found is None and match["default"] is None:
            failed = True
            faults.append(f"{place}: the environment variable {match['name']} is not set or empty")
        return found or match["default"] or ""

    if "${" in REFERENCE.sub("", text):
        failed = True
        faults.append(
            f"{place}: has a ${{ that begins none of ${{NAME}}, ${{NAME:-default}}, ${{file:/path}}"
        )
    expanded = REFERENCE.sub(replace, text)
    return Unresolved("") if failed else expanded


def _read(path: str) -> str:
    return Path(path).read_text("utf-8").removesuffix("\n").removesuffix("\r")


def reason(error: Exception) -> str:
    """Why a file that a variable names could not be read; for the end of a fault."""
    if isinstance(error, OSError):
        return f"{error.strerror}: {error.filename}"
    if isinstance(error, UnicodeDecodeError):
        return "the file is not UTF-8 text"
    return f"is no path: {error}"
