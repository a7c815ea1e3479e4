"""What the fuzzer calls: requests as bytes, and what must hold of whatever it makes of them."""

import struct
from collections.abc import Sequence

from gateway.model import VerifiedWebhook, Webhook
from tests.support.known_requests import Known, differs


def written(number: int, request: Webhook) -> bytes:
    """Number, then each part after its length: a change within a part leaves the others where they are."""
    parts = [request.method.encode(), request.query]
    for name, value in request.headers:
        parts += [name, value]
    return (
        struct.pack("B", number)
        + b"".join(struct.pack(">H", len(part)) + part for part in parts)
        + request.body
    )


def read(data: bytes, headers: int) -> Webhook:
    """What `written` wrote of a request with so many headers; of anything else, some request."""
    parts, rest = [], data[1:]
    for _ in range(2 + 2 * headers):
        length = int.from_bytes(rest[:2])
        parts.append(rest[2 : 2 + length])
        rest = rest[2 + length :]
    method, query, *lines = parts
    pairs = tuple(zip(lines[::2], lines[1::2], strict=True))
    return Webhook(pairs, query, rest, method.decode("latin-1"))


class Target:
    def __init__(self, known: Sequence[Known]) -> None:
        self._known = known
        self.accepted = 0

    def seeds(self) -> list[bytes]:
        return [written(number, one.request) for number, one in enumerate(self._known)]

    def __call__(self, data: bytes) -> None:
        """Raise whatever the verifier raises, and AssertionError where it accepts what it must not."""
        one = self._known[(data[0] if data else 0) % len(self._known)]
        request = read(data, len(one.request.headers))
        result = one.verifier.verify(request, now=one.now)
        if isinstance(result, VerifiedWebhook):
            self.accepted += 1
            differences = [
                differs(each, request, result) for each in self._made_by(one, secret=result.secret)
            ]
            assert None in differences, f"{one.name} accepts another request: {differences[0]}"

    def _made_by(self, one: Known, *, secret: int) -> list[Known]:
        """`one`, and the known requests that are as good to its verifier: the same secret made them, by the same scheme."""
        keys = [each.key for each in getattr(one.verifier, "keys", ())][secret : secret + 1]
        others = [
            each
            for each in self._known
            if each.parameters == one.parameters
            and any(known.key in keys for known in getattr(each.verifier, "keys", ()))
        ]
        return [one, *others]
