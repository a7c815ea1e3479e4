"""A request as both halves see it: the producers' packages take parts of it, the gateway all."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True, slots=True)
class Request:
    url: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names in lower case."""
    method: str = "POST"

    @property
    def text(self) -> str:
        """The body as the packages want it that sign text."""
        return self.body.decode()

    @property
    def query(self) -> str:
        return urlsplit(self.url).query

    @property
    def form(self) -> dict[str, list[str]]:
        """The body's fields, as the web frameworks read a form."""
        fields: dict[str, list[str]] = {}
        for name, value in parse_qsl(self.text, keep_blank_values=True):
            fields.setdefault(name, []).append(value)
        return fields

    def with_json(self, **fields: object) -> "Request":
        """Those of the body's document put in place of what has their names."""
        document = {**json.loads(self.body), **fields}
        return replace(self, body=json.dumps(document, ensure_ascii=False).encode())

    def with_headers(self, headers: Mapping[str, str]) -> "Request":
        return replace(self, headers={**self.headers, **headers})

    def without_header(self, name: str) -> "Request":
        return replace(self, headers={key: value for key, value in self.headers.items() if key != name})
