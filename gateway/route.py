"""Which destinations want an event."""

import re
from collections.abc import Callable, Iterable
from fnmatch import translate
from typing import Any

from gateway.config import Destination
from gateway.model import DestinationName, SourceName
from gateway.selector import Content, compile_expression


class Router:
    def __init__(self, destinations: Iterable[Destination]) -> None:
        self._routes = [(destination.name, _wants(destination)) for destination in destinations]

    def destinations(
        self, source: SourceName, event_type: str | None, content: Content
    ) -> tuple[DestinationName, ...]:
        return tuple(name for name, wants in self._routes if wants(source, event_type, content))


def _wants(destination: Destination) -> Callable[[SourceName, str | None, Content], bool]:
    sources = None if destination.sources is None else frozenset(destination.sources)
    types = _type_matcher(destination.event_types)
    holds = _condition(destination.filter)
    return lambda source, event_type, content: (
        (sources is None or source in sources) and types(event_type) and holds(content)
    )


def _type_matcher(globs: tuple[str, ...] | None) -> Callable[[str | None], bool]:
    """An event without a type matches only "all"."""
    if globs is None:
        return lambda _: True
    pattern = re.compile("|".join(translate(glob) for glob in globs) or r"(?!)")
    return lambda event_type: event_type is not None and pattern.match(event_type) is not None


def _condition(expression: str | None) -> Callable[[Content], bool]:
    if expression is None:
        return lambda _: True
    search: Callable[[Any], Any] = compile_expression(expression)
    return lambda content: search(content.json) is True
