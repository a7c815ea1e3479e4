"""Reads what was asked in a query or a JSON body. Whatever is not as it should be is a RequestError that names it."""

import asyncio
import json
from collections.abc import Collection
from typing import Any

from starlette.requests import ClientDisconnect, Request

from transcriber.errors import RequestError

MAX_LIMIT = 100
DEFAULT_LIMIT = 20
MAX_DIGITS = 18  # SQLite's integers have 64 bits
MAX_BODY_BYTES = 65_536
BODY_SECONDS = 30.0


def limit(value: str | None) -> int:
    if value is None:
        return DEFAULT_LIMIT
    if not (value.isascii() and value.isdigit() and len(value) <= 3 and 1 <= int(value) <= MAX_LIMIT):
        raise RequestError(400, "bad_query", f"limit must be a whole number from 1 to {MAX_LIMIT}")
    return int(value)


def position(cursor: str | None) -> int | None:
    if cursor is None:
        return None
    if not _is_whole(cursor):
        raise RequestError(400, "bad_query", "cursor must be the next_cursor of an earlier page")
    return int(cursor)


def moment(name: str, value: str | None) -> int | None:
    """Unix ms."""
    if value is None:
        return None
    if not _is_whole(value):
        raise RequestError(400, "bad_query", f"{name} must be a time in Unix milliseconds")
    return int(value)


async def body(request: Request, known: Collection[str], *, unsent: str | None = None) -> dict[str, Any]:
    """The JSON object that was sent, with no field but those known; nothing at all is the empty one.

    `unsent` is what is said to whoever sends nothing at all, where that is refused.
    """
    try:
        async with asyncio.timeout(BODY_SECONDS):
            sent = await _read(request)
    except TimeoutError as error:
        raise RequestError(408, "too_slow", f"the body was not there within {BODY_SECONDS:.0f} s") from error
    except ClientDisconnect as error:
        raise RequestError(400, "malformed", "the body was cut off") from error
    if unsent is not None and not sent.strip():
        raise RequestError(400, "malformed", unsent)
    try:
        value = json.loads(sent) if sent.strip() else {}
    except (ValueError, RecursionError) as error:
        raise RequestError(400, "malformed", "the body is not JSON") from error
    if not isinstance(value, dict):
        raise RequestError(400, "malformed", "the body must be a JSON object")
    for name in value:
        if name not in known:
            raise RequestError(
                422, "unknown_field", f"field {name[:100]!r} is unknown: there are {', '.join(known)}"
            )
    return value


def text(fields: dict[str, Any], name: str) -> str | None:
    value = fields.get(name)
    if value is not None and not _is_text(value):
        raise _bad_field(name, "a string")
    return None if value is None else str(value)


def texts(fields: dict[str, Any], name: str) -> list[str] | None:
    value = fields.get(name)
    if value is None:
        return None
    if not isinstance(value, list) or not value or not all(_is_text(item) for item in value):
        raise _bad_field(name, "a list of at least one string")
    return value


def time(fields: dict[str, Any], name: str) -> int | None:
    """Unix ms."""
    value = fields.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 10**MAX_DIGITS:
        raise _bad_field(name, "a time in Unix milliseconds")
    return value


def flag(fields: dict[str, Any], name: str) -> bool:
    value = fields.get(name)
    if value is not None and not isinstance(value, bool):
        raise _bad_field(name, "true or false")
    return bool(value)


async def _read(request: Request) -> bytes:
    pieces, size = [], 0
    async for piece in request.stream():
        size += len(piece)
        if size > MAX_BODY_BYTES:
            raise RequestError(413, "too_large", f"the body is larger than {MAX_BODY_BYTES} bytes")
        pieces.append(piece)
    return b"".join(pieces)


def _is_text(value: Any) -> bool:
    """Half of a surrogate pair, which JSON can name, is no text: nothing can store it."""
    return isinstance(value, str) and value == value.encode("utf-8", "replace").decode()


def _is_whole(value: str) -> bool:
    return value.isascii() and value.isdigit() and len(value) <= MAX_DIGITS


def _bad_field(name: str, kind: str) -> RequestError:
    return RequestError(422, "bad_field", f"{name} must be {kind}")
