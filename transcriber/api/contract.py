"""The contract as it is served: written beforehand (openapi/), read once, never made of anything at a request."""

import hashlib
from collections.abc import Iterator
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

FILES = {
    "/openapi.yaml": ("openapi.yaml", "application/yaml"),
    "/openapi.json": ("openapi.json", "application/json"),
    "/docs": ("docs.html", "text/html"),
}
PAGE_MAY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
"""It has one style within it, and nothing else."""


class Document:
    def __init__(self, name: str, media_type: str) -> None:
        self._content = (files("transcriber") / name).read_bytes()
        self._etag = f'"{hashlib.sha256(self._content).hexdigest()[:32]}"'
        self._media_type = media_type

    async def answer(self, request: Request) -> Response:
        """304 where the caller has it already."""
        headers = {
            "etag": self._etag,
            "cache-control": "no-cache",  # kept, but asked about: an upgrade shows at once
            "content-security-policy": PAGE_MAY,
            "x-content-type-options": "nosniff",
        }
        if self._etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(self._content, headers=headers, media_type=self._media_type)


def routes() -> Iterator[Route]:
    for path, (name, media_type) in FILES.items():
        yield Route(path, Document(name, media_type).answer)
