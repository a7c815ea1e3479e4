"""The admin API of a running gateway, asked over HTTP."""

from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from gateway.errors import AdminRefused, AdminUnreachable
from gateway.problem import NOTHING_HERE

TIMEOUT_SECONDS = 30.0
PAGE = 200


class Client:
    """Every method raises AdminRefused with the gateway's sentence, or AdminUnreachable where there is no answer of one."""

    def __init__(self, url: str, *, token: str) -> None:
        self._url = url.rstrip("/")
        try:
            # Without what the environment says of proxies and passwords: the token goes to the gateway alone.
            self._http = httpx.Client(
                base_url=self._url,
                headers={"authorization": f"Bearer {token}"},
                timeout=TIMEOUT_SECONDS,
                trust_env=False,
            )
        except (httpx.InvalidURL, ValueError) as error:
            raise AdminUnreachable(f"{url} is not a URL: {error}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def get(self, *path: str, **parameters: str | int | None) -> dict[str, Any]:
        given = {name: value for name, value in parameters.items() if value is not None}
        return self._ask("GET", path, params=given)

    def post(self, *path: str, content: Mapping[str, Any] | None = None) -> dict[str, Any]:
        return self._ask("POST", path, json=content)

    def delete(self, *path: str) -> None:
        self._ask("DELETE", path)

    def items(self, *path: str, limit: int = 0, **parameters: str | int | None) -> Iterator[dict[str, Any]]:
        """Of a list, page by page, up to `limit`; 0: all."""
        left, cursor = limit, None
        while True:
            page = self.get(*path, limit=min(left, PAGE) if limit else PAGE, cursor=cursor, **parameters)
            yield from page["items"]
            left, cursor = left - len(page["items"]), page["next_cursor"]
            if cursor is None or (limit and left <= 0):
                return

    def _ask(self, method: str, path: tuple[str, ...], **content: Any) -> dict[str, Any]:
        place = "/v1/" + "/".join(quote(part, safe="") for part in path)
        try:
            response = self._http.request(method, place, **content)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            hint = "where this is not the gateway's address, --url names another"
            raise AdminUnreachable(f"no answer from {self._url}: {error}; {hint}") from None
        except httpx.TransportError as error:
            raise AdminUnreachable(f"no answer from {self._url}: {error}") from None
        try:
            answer = response.json() if response.content else {}
        except ValueError:
            answer = None
        if not isinstance(answer, dict) or not (response.is_success or "detail" in answer):
            raise AdminUnreachable(f"{self._url} answers, but not as a gateway does")
        if answer.get("detail") == NOTHING_HERE:
            raise AdminUnreachable(
                f"{self._url} has no such path. Where admin_listen is set, the admin API is at that address alone"
            )
        if not response.is_success:
            raise AdminRefused(response.status_code, str(answer["detail"]))
        return answer
