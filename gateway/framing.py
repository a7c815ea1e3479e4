"""Where a request ends and whom it is for: what two readers could read in two ways is refused."""

from typing import Literal

RefusedStatus = Literal[400, 408, 414, 431, 501, 505]


class Refused(Exception):
    """The request is none that can be handed on. The message is a sentence for whoever sent it."""

    def __init__(self, status: RefusedStatus, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


MALFORMED = Refused(400, "The request is no sound HTTP/1.1.")


class Nowhere(list[tuple[bytes, bytes]]):
    def append(self, _: tuple[bytes, bytes]) -> None:
        """Keeps nothing."""


NOWHERE = Nowhere()
"""Where trailers go: nothing would bound how many of them a stranger leaves on idle connections."""


def check_framing(headers: list[tuple[bytes, bytes]], version: str) -> None:
    """Where two readers could see two different ends of a request, or two hosts, it is refused."""
    if version not in ("1.0", "1.1"):
        raise Refused(505, "Only HTTP 1.0 and 1.1 are spoken here.")
    names = [name for name, _ in headers]
    hosts = names.count(b"host")
    if hosts > 1 or (hosts == 0 and version == "1.1"):
        raise Refused(400, "A request needs one Host header.")
    lengths = names.count(b"content-length")
    codings = [value.lower() for name, value in headers if name == b"transfer-encoding"]
    if codings and (lengths or version == "1.0"):
        raise Refused(400, "A request has either a Content-Length or, in HTTP/1.1, a Transfer-Encoding.")
    if lengths > 1:
        raise Refused(400, "A request has one Content-Length.")
    if codings and codings != [b"chunked"]:
        raise Refused(501, "The only Transfer-Encoding that is understood is chunked.")
