"""What a command prints: JSON lines for machines, words and tables where a person watches."""

import base64
import json
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

WIDEST = 48
"""Characters of one cell of a table."""


def to_person() -> bool:
    return sys.stdout.isatty()


def json_lines(items: Iterable[Mapping[str, Any]]) -> None:
    for item in items:
        print(json.dumps(item), flush=True)


def table(items: Sequence[Mapping[str, Any]], columns: Sequence[str], *, whole: Collection[str] = ()) -> None:
    """A line for each item, under the columns' names; those that end in `_at` are times, those of `whole` are not cut."""
    rows = [
        [_shown(name, item[name]) if name in whole else _cell(name, item[name]) for name in columns]
        for item in items
    ]
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    for row in [[name.upper() for name in columns], *rows]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def fields(item: Mapping[str, Any], names: Iterable[str]) -> None:
    """A line for each field."""
    for name in names:
        print(f"{name}: {_shown(name, item[name])}")


def deliveries(items: Sequence[Mapping[str, Any]]) -> str | None:
    """To whom, how far, and why not, in one cell."""
    return ", ".join(map(_delivery, items)) or None


def filters(given: Mapping[str, Any]) -> str | None:
    """Those that are set, in one cell."""
    times = {name: shown_time(given[name]) for name in ("since", "until") if given[name] is not None}
    texts = {name: _cut(one_line(value)) for name, value in given.items() if value is not None}
    return ", ".join(f"{name}={value}" for name, value in {**texts, **times}.items()) or None


def explained(delivery: Mapping[str, Any]) -> dict[str, Any]:
    """Says why a delivery that is pending has no time."""
    if delivery["state"] != "pending" or delivery["next_attempt_at"] is not None:
        return dict(delivery)
    return {**delivery, "next_attempt_at": "- (an earlier delivery of its key goes first)"}


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
    """Local time of `at`, in Unix ms; `at` itself where the calendar ends before it."""
    try:
        return datetime.fromtimestamp(at / 1000).astimezone().isoformat(" ", "seconds")
    except (ValueError, OverflowError, OSError):
        return str(at)


def one_line(value: Any) -> str:
    """Escaped where it would break the line or drive the terminal: what an event says is the producer's choice."""
    text = str(value)
    return text if text.isprintable() else ascii(text)


def _delivery(item: Mapping[str, Any]) -> str:
    why = {"dead": item["dead_reason"], "pending": item["last_error"]}.get(item["state"])
    return f"{item['destination']} {item['state']}{f' ({_cut(one_line(why))})' if why else ''}"


def _cell(name: str, value: Any) -> str:
    return _cut(_shown(name, value))


def _cut(text: str) -> str:
    return text if len(text) <= WIDEST else f"{text[: WIDEST - 1]}…"


def _shown(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if name.endswith("_at") and isinstance(value, int):
        return shown_time(value)
    return one_line(value)
