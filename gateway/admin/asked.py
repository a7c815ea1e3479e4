"""Reads what was asked, from a query or a body. Whatever is not as it should be is a Refusal that names it."""

import dataclasses
import json
import math
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any, get_args

from starlette.requests import ClientDisconnect, Request

from gateway.admin.access import Refusal
from gateway.model import DestinationName
from gateway.store import EventFilter, EventState

MAX_BODY_BYTES = 65_536
MAX_TEXT = 512
"""Characters; nothing that a filter can match is longer."""
MAX_LIMIT = 200
DEFAULT_LIMIT = 50
LARGEST = 2**63 - 1
HALF_PAIR = re.compile("[\ud800-\udfff]")
FILTERS = tuple(field.name for field in dataclasses.fields(EventFilter))
PAGING = ("cursor", "limit")


def parameters(request: Request, known: Collection[str]) -> dict[str, str]:
    """The query, each of whose parameters is known and stands once."""
    given = request.query_params
    for name in given:
        _demand_known(name, known, kind="parameter")
        if len(given.getlist(name)) > 1:
            raise Refusal(400, f"The parameter {name} stands more than once.")
    return dict(given)


def page_limit(given: Mapping[str, str]) -> int:
    limit = number_in(given, "limit")
    limit = DEFAULT_LIMIT if limit is None else limit
    if not 1 <= limit <= MAX_LIMIT:
        raise Refusal(400, f"The parameter limit must be from 1 to {MAX_LIMIT}.")
    return limit


def number_in(given: Mapping[str, str], name: str) -> int | None:
    text = given.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > 19 or int(text) > LARGEST:
        raise Refusal(400, f"The parameter {name} must be a whole number.")
    return int(text)


def filter_in_query(given: Mapping[str, str]) -> EventFilter:
    return EventFilter(
        source=given.get("source"),
        destination=given.get("destination"),
        state=_state(given.get("state"), kind="parameter"),
        type=given.get("type"),
        key=given.get("key"),
        since=number_in(given, "since"),
        until=number_in(given, "until"),
    )


def filter_in_body(fields: Mapping[str, Any]) -> EventFilter:
    """Null is as good as absent."""
    return EventFilter(
        source=_text(fields, "source"),
        destination=_text(fields, "destination"),
        state=_state(fields.get("state"), kind="field"),
        type=_text(fields, "type"),
        key=_text(fields, "key"),
        since=_time(fields, "since"),
        until=_time(fields, "until"),
    )


async def body(request: Request, known: Collection[str]) -> dict[str, Any] | None:
    """The JSON object that was sent, each of whose fields is known and stands once; None: nothing was sent."""
    sent = await _read(request)
    if not sent:
        return None
    try:
        value = json.loads(
            sent.decode(), object_pairs_hook=_without_repetition, parse_constant=_refuse_constant
        )
    except (ValueError, RecursionError) as error:
        raise Refusal(400, f"The body is not JSON: {str(error)[:200]}.") from None
    if not isinstance(value, dict):
        raise Refusal(400, "The body must be a JSON object.")
    for name in value:
        _demand_known(name, known, kind="field")
    return value


def boolean(fields: Mapping[str, Any], name: str) -> bool:
    value = fields.get(name)
    if value is not None and not isinstance(value, bool):
        raise Refusal(400, f"The field {name} must be true or false.")
    return bool(value)


def rate(fields: Mapping[str, Any], name: str, *, most: float) -> float:
    value = fields.get(name)
    if value is None:
        return 0.0
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise Refusal(400, f"The field {name} must be a number from 0 to {most:g}.")
    return float(value)


def texts(fields: Mapping[str, Any], name: str) -> list[str] | None:
    """A list of one string or more, each once."""
    values = fields.get(name)
    if values is None:
        return None
    if not isinstance(values, list) or not values:
        raise Refusal(400, f"The field {name} must be a list of strings, or be left out.")
    return list(dict.fromkeys(_checked(value, name) for value in values))


def destinations(names: Iterable[str], known: Collection[DestinationName]) -> tuple[DestinationName, ...]:
    """`names`, each of which is one of `known`."""
    for name in names:
        if name not in known:
            there_are = ", ".join(known) or "none"
            raise Refusal(400, f"There is no destination {name[:64]!a}; there are: {there_are}.")
    return tuple(DestinationName(name) for name in names)


async def _read(request: Request) -> bytes:
    chunks, size = [], 0
    try:
        async for chunk in request.stream():
            chunks.append(chunk)
            size += len(chunk)
            if size > MAX_BODY_BYTES:
                detail = f"The body is longer than {MAX_BODY_BYTES} bytes."
                raise Refusal(413, detail, headers={"connection": "close"})
    except ClientDisconnect:
        raise Refusal(408, "The body did not arrive.", headers={"connection": "close"}) from None
    return b"".join(chunks)


def _demand_known(name: str, known: Collection[str], *, kind: str) -> None:
    if name not in known:
        raise Refusal(
            400, f"There is no {kind} {name[:50]!a}; there are {', '.join(sorted(known)) or 'none'}."
        )


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands twice in one object")
    return found


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _text(fields: Mapping[str, Any], name: str) -> str | None:
    value = fields.get(name)
    return None if value is None else _checked(value, name)


def _checked(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise Refusal(400, f"The field {name} must hold text.")
    if len(value) > MAX_TEXT:
        raise Refusal(400, f"The field {name} holds more than {MAX_TEXT} characters.")
    if HALF_PAIR.search(value):  # JSON can carry half of a surrogate pair, which is no text
        raise Refusal(400, f"The field {name} holds half of a surrogate pair.")
    return value


def _time(fields: Mapping[str, Any], name: str) -> int | None:
    value = fields.get(name)
    if value is None:
        return None
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        value = int(value)  # JSON knows one kind of number
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LARGEST:
        raise Refusal(400, f"The field {name} must be a whole number from 0 to {LARGEST}.")
    return value


def _state(value: Any, *, kind: str) -> str | None:
    if value is None:
        return None
    if value not in get_args(EventState):
        raise Refusal(400, f"The {kind} state must be one of {', '.join(get_args(EventState))}.")
    return str(value)
