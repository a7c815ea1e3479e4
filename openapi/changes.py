"""Names what breaks whoever relies on the contracts of the last release: `python -m openapi.changes`.

It ends with 1 where something breaks that is not named in breaking.md, or something is named there that does not.
"""

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from openapi.document import FOLDER, NAMES, Node, Operation, operations, read, resolved
from openapi.narrowing import GONE, REQUIRED_SINCE, Comparison, Side, Version

NAMED = re.compile(r"^- `(.+)`", re.MULTILINE)


def breaks(before: Node, after: Node) -> list[str]:
    """A sentence for each, with its place."""
    return list(dict.fromkeys(_breaks(before, after)))


def _breaks(before: Node, after: Node) -> Iterator[str]:
    schemes = _schemes(after)
    yield from (
        f"{name} is another kind of credential"
        for name, one in _schemes(before).items()
        if schemes.get(name, one) != one
    )
    later = {(one.is_webhook, one.path, one.method): one for one in operations(after)}
    for one in operations(before):
        place = f"{one.method.upper()} {one.path}"
        other = later.get((one.is_webhook, one.path, one.method))
        if other is None:
            yield f"{place} is gone"
        else:
            yield from _Pair(before, after, one, other, place).breaks()


class _Pair:
    """One operation, earlier and later. Who is asked takes its request and gives its answers; of a webhook, the other way round."""

    def __init__(self, before: Node, after: Node, one: Operation, other: Operation, place: str) -> None:
        self._before, self._after = before, after
        self._one, self._other = one, other
        self._place = place
        self._asked: Side = "given" if one.is_webhook else "taken"
        self._answered: Side = "taken" if one.is_webhook else "given"

    def breaks(self) -> Iterator[str]:
        if self._one.node["operationId"] != self._other.node["operationId"]:
            yield f"{self._place} has another operationId"
        yield from self._credentials()
        before, after = _by_name(self._one.parameters), _by_name(self._other.parameters)
        yield from self._named(self._asked, before, after, self._place)
        yield from self._body()
        for status, response in self._one.responses.items():
            yield from self._response(status, response)

    def _credentials(self) -> Iterator[str]:
        """Whoever brings what was enough before is let in after."""
        asked = [
            set(one) for one in self._other.node.get("security", self._after.get("security", [])) or [{}]
        ]
        for enough in self._one.node.get("security", self._before.get("security", [])) or [{}]:
            if not any(one <= set(enough) for one in asked):
                yield f"{self._place} is no longer answered with {' and '.join(enough) or 'no credentials'}"

    def _named(
        self, side: Side, before: Mapping[str, Node], after: Mapping[str, Node], place: str
    ) -> Iterator[str]:
        """Parameters, or headers of an answer."""
        for key, one in before.items():
            if key not in after:
                yield f"{place}: {key} {GONE[side]}"
            else:
                yield from self._required(side, one, after[key], f"{place}: {key}")
                yield from self._schemas(side, one, after[key], f"{place}: {key}")
        if side == "taken":
            for key in after.keys() - before.keys():
                yield from self._required(side, {}, after[key], f"{place}: {key}")

    def _required(self, side: Side, before: Node, after: Node, place: str) -> Iterator[str]:
        was, now = before.get("required", False), after.get("required", False)
        if was != now and now == (side == "taken"):
            yield f"{place} {REQUIRED_SINCE[side]}"

    def _body(self) -> Iterator[str]:
        before, after, place = self._one.body, self._other.body, f"{self._place}: body"
        yield from self._required(self._asked, before, after, place)
        yield from self._contents(self._asked, before, after, place)

    def _response(self, status: str, response: Node) -> Iterator[str]:
        place, other = f"{self._place}: {status}", self._other.responses.get(status)
        if other is None:
            if status.startswith("2"):
                yield f"{place} is gone"
            return
        before, after = _headers(self._before, response), _headers(self._after, other)
        yield from self._named(self._answered, before, after, place)
        yield from self._contents(self._answered, response, other, place)

    def _contents(self, side: Side, before: Node, after: Node, place: str) -> Iterator[str]:
        """By media type: none is missing, and of what is given none is new."""
        earlier, later = before.get("content", {}), after.get("content", {})
        for kind, media in earlier.items():
            if kind not in later:
                yield f"{place}: {kind} is gone"
            else:
                yield from self._schemas(side, media, later[kind], f"{place}: {kind}")
        if side == "given":
            yield from (f"{place}: may now be {kind}" for kind in later if earlier and kind not in earlier)

    def _schemas(self, side: Side, before: Node, after: Node, place: str) -> Iterator[str]:
        earlier = Version(self._before, before.get("schema", {}))
        yield from Comparison(side).breaks(earlier, Version(self._after, after.get("schema", {})), place)


def _by_name(parameters: Iterable[Node]) -> Mapping[str, Node]:
    """Names of headers are the same in any letters."""
    return {
        f"{one['in']} {one['name'].lower() if one['in'] == 'header' else one['name']}": one
        for one in parameters
    }


def _headers(document: Node, response: Node) -> Mapping[str, Node]:
    found = response.get("headers", {}).items()
    return _by_name({**resolved(document, one), "in": "header", "name": name} for name, one in found)


def _schemes(document: Node) -> Mapping[str, Node]:
    """What credentials are, but for what is said of them."""
    found = document.get("components", {}).get("securitySchemes", {}).items()
    return {name: {**scheme, "description": ""} for name, scheme in found}


def may_break(before: str, after: str) -> bool:
    """Whether the later version is one that may: another major, or before 1.0 another minor, as Semantic Versioning has it."""
    old, new = ([int(part) for part in version.split(".")] for version in (before, after))
    return new[0] > old[0] or (new[0] == old[0] == 0 and new[1] > old[1])


def main(*, folder: Path = FOLDER) -> int:
    named = set(NAMED.findall((folder / "breaking.md").read_text("utf-8")))
    found: set[str] = set()
    to_be_named: set[str] = set()
    for name in NAMES:
        before, after = read(folder / "released" / f"{name}.yaml"), read(folder / f"{name}.yaml")
        of_it = {f"{name}: {one}" for one in breaks(before, after)}
        found |= of_it
        if not may_break(before["info"]["version"], after["info"]["version"]):
            to_be_named |= of_it
    for one in sorted(to_be_named - named):
        print(f"breaks since the last release: {one}", file=sys.stderr)
    for one in sorted(named - found):
        print(f"openapi/breaking.md names what does not break: {one}", file=sys.stderr)
    return 1 if to_be_named - named or named - found else 0


if __name__ == "__main__":
    sys.exit(main())
