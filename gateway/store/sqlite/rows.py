"""Many rows in one statement, and the answer to them in few.

Python lets other threads run around every step of a statement, and waits for its turn again afterwards: under load
that costs more than the step. So what is done for a group is done by few statements that return few rows.
"""

import functools
import itertools
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

MOST = 64
"""Rows of one statement."""

ROWS = "{rows}"
"""Where a statement's rows stand: behind VALUES. It must pass over rows of nothing but 0."""


KEPT_BYTES = 2**18


def each(
    db: sqlite3.Connection, sql: str, rows: Sequence[Sequence[Any]], *, content_bytes: int = 0
) -> list[Any]:
    """What `sql` returns for all of `rows`, which are of one width; in any order.

    A statement that is kept prepared holds on to its last values. Where those are of more `content_bytes` than a few, they
    are taken from it again.
    """
    found: list[Any] = []
    for first in range(0, len(rows), MOST):
        some = rows[first : first + MOST]
        number, width = _padded(len(some)), len(some[0])
        values = [*itertools.chain(*some), *itertools.repeat(PAD, (number - len(some)) * width)]
        found += db.execute(filled(sql, number, width), values).fetchall()
        if content_bytes > KEPT_BYTES:
            db.execute(filled(sql, number, width), [PAD] * (number * width))
    return found


def numbers(texts: Sequence[Any]) -> Iterator[int]:
    """Those of a column that is the `group_concat` of integers, but 0."""
    for text in texts:
        if text is not None:
            yield from filter(None, map(int, text.split(",")))


PAD = 0
"""Python hands integers on to SQLite at once; None and bytes it offers to every adapter first, which costs ten times as much."""

Blob = bytearray
"""For bytes: it is handed on at once too."""


@functools.cache
def filled(sql: str, number: int, width: int) -> str:
    row = f"({', '.join('?' * width)})"
    return sql.replace(ROWS, ", ".join([row] * number))


def _padded(number: int) -> int:
    """The next power of two or multiple of eight, so that few lengths of a statement have to be kept prepared."""
    return 1 << (number - 1).bit_length() if number <= 8 else -(-number // 8) * 8
