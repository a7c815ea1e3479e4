"""Who may call: everyone who knows a job's id, or only those with the API key."""

import hmac
from dataclasses import dataclass

from starlette.requests import Request

from transcriber.errors import RequestError


@dataclass(frozen=True, slots=True)
class Access:
    """`api_key` opens the list; with `require_key` every job route asks for it. Empty: no key opens anything."""

    api_key: str
    require_key: bool

    def check(self, request: Request) -> None:
        """Raises RequestError, 401, where the key is asked for and missing or wrong."""
        if self.require_key:
            self.check_key(request)

    def check_list(self, request: Request) -> None:
        """Raises RequestError: 403 if the list has no key, 401 if the request's is missing or wrong."""
        if not self.api_key:
            raise RequestError(403, "list_closed", "the list is closed: set TRANSCRIBER_API_KEY to open it")
        self.check_key(request)

    def check_key(self, request: Request) -> None:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        right = hmac.compare_digest(key.strip().encode(), self.api_key.encode())
        if scheme.lower() != "bearer" or not right:
            raise RequestError(
                401,
                "unauthorized",
                "send Authorization: Bearer and the API key",
                {"WWW-Authenticate": "Bearer"},
            )
