"""What a command prints: JSON lines for machines, words and tables where a person watches."""

import base64
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

WIDEST = 48
"""Characters of one cell of a table."""


def to_person() -> bool:
    return sys.stdout.isatty()


def json_lines(items: Iterable[Mapping[str, Any]]) -> None:
    for item in items:
        print(json.dumps(item), flush=True)


def table(items: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """A line for each item, under the columns' names; those that end in `_at` are times."""
    rows = [[_cell(name, item[name]) for name in columns] for item in items]
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    for row in [[name.upper() for name in columns], *rows]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def fields(item: Mapping[str, Any], names: Iterable[str]) -> None:
    """A line for each field."""
    for name in names:
        print(f"{name}: {_shown(name, item[name])}")


def content(item: Mapping[str, Any]) -> None:
    """Headers and body of an event."""
    if item["body_base64"] is None:
        print("\nThe content was erased.")
        return
    print("", *(f"{one_line(name)}: {one_line(value)}" for name, value in item["headers"]), sep="\n")
    print(
        "",
        *map(one_line, base64.b64decode(item["body_base64"]).decode("utf-8", "replace").splitlines()),
        sep="\n",
    )


def answer(attempts: Sequence[Mapping[str, Any]]) -> None:
    """What the destination said last, where it said anything."""
    said = [attempt["response_base64"] for attempt in attempts if attempt["response_base64"]]
    if said:
        print(f"last answer: {one_line(base64.b64decode(said[-1]).decode('utf-8', 'replace').strip())}")


def shown_time(at: int) -> str:
    """Local time of `at`, in Unix ms."""
    return datetime.fromtimestamp(at / 1000).astimezone().isoformat(" ", "seconds")


def one_line(value: Any) -> str:
    """Escaped where it would break the line or drive the terminal: what an event says is the producer's choice."""
    text = str(value)
    return text if text.isprintable() else ascii(text)


def _cell(name: str, value: Any) -> str:
    text = _shown(name, value)
    return text if len(text) <= WIDEST else f"{text[: WIDEST - 1]}…"


def _shown(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if name.endswith("_at") and isinstance(value, int):
        return shown_time(value)
    return one_line(value)
