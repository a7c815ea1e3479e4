"""Reads one table of the configuration: typed values out, every fault noted with its place, none raised."""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, overload

NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?", re.ASCII)
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}", re.ASCII)


class Reader:
    """One table. Keys that nobody asked for by the time of `close` are faults, with the nearest known key."""

    def __init__(self, table: Any, *, place: str, faults: list[str]) -> None:
        self.place = place
        self.faults = faults
        self._known: list[str] = []
        self._table: Mapping[str, Any] = table if isinstance(table, Mapping) else {}
        if not isinstance(table, Mapping):
            self.fault("", "must be a table")

    def fault(self, key: str, message: str) -> None:
        where = ".".join(part for part in (self.place, key) if part)
        self.faults.append(f"{where}: {message}" if where else message)

    def peek(self, key: str) -> Any:
        return self._table.get(key)

    def rest(self) -> Mapping[str, Any]:
        """The whole table as it is."""
        return self._table

    def raw(self, key: str) -> Any:
        self._known.append(key)
        return self._table.get(key)

    @overload
    def text(self, key: str, default: str) -> str: ...
    @overload
    def text(self, key: str, default: None) -> str | None: ...
    def text(self, key: str, default: str | None) -> str | None:
        """A string that is not empty; an empty one counts as absent."""
        value = self.raw(key)
        if value is None or value == "":
            return default
        if not isinstance(value, str):
            self.fault(key, "must be a string")  # the value may be a secret
            return default
        return value

    def required_text(self, key: str) -> str:
        value = self.text(key, "")
        if not value and not isinstance(self._table.get(key), Unresolved):
            self.fault(key, "is missing")
        return value

    def name(self) -> str:
        """The table's `name`, which from then on is part of its place."""
        name = self.required_text("name")
        if name and not NAME.fullmatch(name):
            self.fault(
                "name", f"{name!r} must be 1 to 64 of a-z, 0-9, - and _, and begin with a letter or digit"
            )
        if name == "unknown":
            self.fault("name", "'unknown' is what metrics call a source that does not exist: choose another")
        if name:
            self.place += f" ({name})"
        return name

    def choice(self, key: str, default: str, choices: Iterable[str]) -> str:
        value = self.text(key, default)
        if value not in choices:
            self.fault(key, f"must be one of {', '.join(choices)}, not {value!r}")
            return default
        return value

    def boolean(self, key: str, *, default: bool) -> bool:
        value = self.raw(key)
        if value is None or isinstance(value, bool):
            return default if value is None else value
        if value in ("true", "false"):  # as a variable gives it
            return bool(value == "true")
        self.fault(key, f"must be true or false, not {value!r}")
        return default

    def integer(self, key: str, default: int, *, least: int, most: int) -> int:
        return int(self._number(key, default, least=least, most=most, parse=int, kind="a whole number"))

    def number(self, key: str, default: float, *, least: float, most: float) -> float:
        return float(self._number(key, default, least=least, most=most, parse=float, kind="a number"))

    def texts(self, key: str) -> tuple[str, ...] | None:
        value = self.raw(key)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self.fault(key, "must be a list of strings")
            return None
        return tuple(value)

    def text_table(self, key: str) -> dict[str, str]:
        value = self.raw(key)
        if value is None:
            return {}
        if not isinstance(value, Mapping) or not all(isinstance(item, str) for item in value.values()):
            self.fault(key, "must be a table of strings")
            return {}
        return dict(value)

    def table(self, key: str) -> "Reader":
        value = self.raw(key)
        place = ".".join(part for part in (self.place, key) if part)
        return Reader({} if value is None else value, place=place, faults=self.faults)

    def tables(self, key: str) -> list["Reader"]:
        value = self.raw(key)
        if value is None:
            return []
        if not isinstance(value, list):
            self.fault(key, f"must be written as [[{key}]]")
            return []
        return [Reader(item, place=f"{key}[{index}]", faults=self.faults) for index, item in enumerate(value)]

    def close(self) -> None:
        for key in self._table:
            if key not in self._known:
                self.fault("", f"unknown key {key!r}{nearest(key, self._known)}")

    def _number(
        self, key: str, default: float, *, least: float, most: float, parse: Callable[[str], float], kind: str
    ) -> float:
        value = self.raw(key)
        if value is None or isinstance(value, Unresolved):
            return default
        if isinstance(value, str):  # as a variable gives it
            try:
                value = parse(value) if NUMBER.fullmatch(value) else None
            except ValueError:
                value = None
        allowed = int if parse is int else (int, float)
        if isinstance(value, bool) or not isinstance(value, allowed) or not least <= value <= most:
            self.fault(key, f"must be {kind} from {least} to {most}")
            return default
        return value


def nearest(word: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown word: the nearest known one, or all of them."""
    words = sorted(set(known))
    near = difflib.get_close_matches(word, words, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(words)}"


class Unresolved(str):
    """The empty string that stands where a variable could not be expanded: its fault is noted already."""

    __slots__ = ()
