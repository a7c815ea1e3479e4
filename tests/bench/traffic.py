"""What one page asks for over the network, as its browser sees it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import Page

Said = Mapping[str, Any]
"""The parameters of an event of the DevTools protocol."""


@dataclass(frozen=True, slots=True)
class Request:
    at: float
    """Unix seconds, by the browser."""
    method: str
    url: str

    @property
    def is_upload(self) -> bool:
        return self.method == "POST" and urlsplit(self.url).path == "/v1/jobs"


@dataclass  # without slots: Playwright keeps something beside the methods that it calls
class Traffic:
    requests: list[Request] = field(default_factory=list)
    """HTTP, preflights included."""
    sockets: int = 0
    """WebSockets that were begun, whether they came about or not."""
    http_bytes: int = 0
    """Received, with headers."""
    socket_bytes: int = 0
    """Received, as the page gets them."""

    @property
    def after_upload(self) -> list[Request]:
        """All but the first upload, of any method; a second upload is among them."""
        upload = next((request for request in self.requests if request.is_upload), None)
        return [request for request in self.requests if request is not upload]

    @property
    def polls(self) -> list[Request]:
        return [request for request in self.requests if request.method == "GET"]

    @property
    def preflights(self) -> list[Request]:
        """The browser's own questions whether the page may ask."""
        return [request for request in self.requests if request.method == "OPTIONS"]

    def note_request(self, said: Said) -> None:
        request = said["request"]
        if request["url"].startswith("http"):
            self.requests.append(Request(said["wallTime"], request["method"], request["url"]))

    def note_socket(self, _: Said) -> None:
        self.sockets += 1

    def note_answer(self, said: Said) -> None:
        self.http_bytes += said["encodedDataLength"]

    def note_message(self, said: Said) -> None:
        self.socket_bytes += len(said["response"]["payloadData"].encode())


async def traffic(page: Page) -> Traffic:
    """Of this page from now on."""
    seen = Traffic()
    session = await page.context.new_cdp_session(page)
    session.on("Network.requestWillBeSent", seen.note_request)
    session.on("Network.webSocketCreated", seen.note_socket)
    session.on("Network.loadingFinished", seen.note_answer)
    session.on("Network.webSocketFrameReceived", seen.note_message)
    await session.send("Network.enable")
    return seen
