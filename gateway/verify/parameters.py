"""Reads a scheme's parameters: the first that does not fit is a ValueError with a sentence for the operator."""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from gateway.selector import Selector, parse_selector

HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)
LONGEST_TOLERANCE_SECONDS = 86_400


class Parameters:
    """Those of one kind; None counts as absent. What nobody asked for by the time of `close` is refused."""

    def __init__(self, table: Mapping[str, Any], *, of: str) -> None:
        self._table = {key: value for key, value in table.items() if value is not None}
        self._known = {"kind"}
        self._of = of

    def __contains__(self, key: str) -> bool:
        return key in self._table

    def text(self, key: str, default: str | None = None) -> str:
        """Raise ValueError where it is absent and there is no default."""
        value = self._take(key, default)
        if not isinstance(value, str) or not value:
            raise ValueError(f"{self._of}: {key} {'is missing' if value is None else 'must be a text'}")
        return value

    def optional(self, key: str) -> str | None:
        self._known.add(key)
        return self.text(key) if key in self._table else None

    def may_be_empty(self, key: str, default: str) -> str:
        return self.text(key, default) if self._take(key, default) != "" else ""

    def choice(self, key: str, choices: Iterable[str], default: str | None = None) -> str:
        value = self.text(key, default)
        if value not in choices:
            raise ValueError(f"{self._of}: {key} {value!r} is none of {', '.join(choices)}")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        value = self._take(key, ())
        if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
            raise ValueError(f"{self._of}: {key} must be a list of texts")
        return tuple(value)

    def seconds(self, key: str, default: int) -> int:
        value = self._take(key, default)
        if type(value) is not int or not 0 < value <= LONGEST_TOLERANCE_SECONDS:
            raise ValueError(
                f"{self._of}: {key} must be a whole number of seconds from 1 to {LONGEST_TOLERANCE_SECONDS}"
            )
        return value

    def number(self, key: str, default: int, *, least: int, most: int) -> int:
        value = self._take(key, default)
        if type(value) is not int or not least <= value <= most:
            raise ValueError(f"{self._of}: {key} must be a whole number from {least} to {most}")
        return value

    def header(self, key: str, default: str | None = None) -> bytes:
        """In lower case."""
        name = self.text(key, default)
        if not HEADER_NAME.fullmatch(name):
            raise ValueError(f"{self._of}: {key} {name!r} is not a header's name")
        return name.lower().encode()

    def table(self, key: str) -> "Parameters | None":
        value = self._take(key, None)
        if value is None:
            return None
        if not isinstance(value, Mapping):
            raise ValueError(f"{self._of}: {key} must be a table")  # noqa: TRY004 - for the operator
        return Parameters(value, of=f"{self._of}, {key}")

    def selectors(self, key: str) -> dict[str, Selector]:
        value = self._take(key, {})
        if not isinstance(value, Mapping) or not all(isinstance(item, str) for item in value.values()):
            raise ValueError(f"{self._of}: {key} must be a table of texts")
        return {name: self.selector(text, key) for name, text in value.items()}

    def selector(self, text: str, key: str) -> Selector:
        try:
            return parse_selector(text)
        except ValueError as error:
            raise ValueError(f"{self._of}: {key}: {error}") from None

    def close(self) -> None:
        for key in sorted(set(self._table) - self._known):
            near = get_close_matches(key, self._known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(sorted(self._known))}"
            raise ValueError(f"{self._of} has no parameter {key!r}; {hint}")

    def _take(self, key: str, default: Any) -> Any:
        self._known.add(key)
        return self._table.get(key, default)


def usable(secret: str) -> str:
    """Raise ValueError for one that anybody could guess, or that was not pasted as it is."""
    if not secret:
        raise ValueError("a secret is empty: anybody could sign with it")
    if secret != secret.strip() and not secret.startswith("-----BEGIN "):
        raise ValueError("a secret has white space around it: it was probably pasted with a line end")
    if "PRIVATE KEY-----" in secret:
        raise ValueError(
            "a secret is a private key: only the producer may have it, here belongs the public one"
        )
    return secret


def no_public_key(secret: str) -> str:
    """Raise ValueError for a key that anybody may have: who has it could sign with it, where it is taken for a shared one."""
    if "-----BEGIN " in secret or secret.startswith(("whpk_", "ssh-")):
        raise ValueError(
            "a secret is a key of a pair, and this scheme needs one that is shared with the producer"
        )
    return secret
