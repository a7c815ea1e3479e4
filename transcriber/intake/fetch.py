"""Fetches a recording from an address that a client gave: from public hosts only, and within bounds.

A name is resolved here, each address judged, and that very address connected to: a name that means something else a
moment later changes nothing. A redirect is a new address and judged as the first one was.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from transcriber import __version__
from transcriber.backoff import retry_after_seconds
from transcriber.errors import SpeechError
from transcriber.intake import audio_url
from transcriber.intake.address import may_be_fetched_from
from transcriber.intake.audio_url import host_of
from transcriber.intake.resolve import Resolve
from transcriber.model import AudioUrl, UnixMs
from transcriber.store.recordings import MIN_FREE_BYTES

MAX_REDIRECTS = 3
WRITE_BYTES = 1_048_576
REDIRECTS = frozenset({301, 302, 303, 307, 308})
PASSING = frozenset({408, 425, 429})
"""With 5xx, the answers that another attempt may change."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """`seconds` is for one whole fetch, `idle_seconds` for a moment of it in which nothing comes."""

    max_bytes: int
    seconds: float
    allow_private: bool
    connect_seconds: float = 10.0
    idle_seconds: float = 30.0


class Fetcher:
    """`tls` says whom to trust. `free_bytes` tells what the disk has left."""

    concurrency = 8  # so that a few hosts that answer slowly do not hold up the recordings of all others

    def __init__(
        self,
        *,
        bounds: Bounds,
        resolve: Resolve,
        tls: ssl.SSLContext,
        free_bytes: Callable[[], int],
        now: Callable[[], UnixMs],
    ) -> None:
        self._bounds = bounds
        self._resolve = resolve
        self._tls = tls
        self._free_bytes = free_bytes
        self._now = now

    async def fetch(self, source: AudioUrl, destination: Path) -> int:
        """Writes the recording to `destination`, a new file; the number of its bytes. Raises SpeechError, or OSError of the disk.

        Where this raises, or is cancelled, part of the file may be there.
        """
        url = audio_url.parse(source.url, allow_private=self._bounds.allow_private)
        try:
            async with asyncio.timeout(self._bounds.seconds), self._answer(url) as (response, host):
                return await self._save(response, host, destination)
        except TimeoutError as error:
            raise _too_slow(host_of(url), self._bounds.seconds) from error

    @asynccontextmanager
    async def _answer(self, url: httpx.URL) -> AsyncIterator[tuple[httpx.Response, str]]:
        """The answer after all redirects, its body unread, and the host that gave it."""
        # the transport alone: no cookies, no proxies of the environment, no redirects, no headers but these
        async with httpx.AsyncHTTPTransport(verify=self._tls, trust_env=False) as transport:
            for _ in range(MAX_REDIRECTS + 1):
                response = await self._ask(transport, url)
                try:
                    if response.status_code not in REDIRECTS:
                        self._require_recording(response, host_of(url))
                        yield response, host_of(url)
                        return
                    url = self._redirected(url, response)
                finally:
                    await response.aclose()
        raise _bad_redirect(host_of(url), f"more than {MAX_REDIRECTS} times")

    async def _ask(self, transport: httpx.AsyncHTTPTransport, url: httpx.URL) -> httpx.Response:
        """From the first address of the host that can be connected to."""
        failure: Exception | None = None
        for address in await self._addresses(url):
            try:
                return await transport.handle_async_request(self._request(url, address))
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                failure = error
            except httpx.TimeoutException as error:
                raise _too_slow(host_of(url), self._bounds.idle_seconds) from error
            except (httpx.TransportError, httpx.InvalidURL, ValueError) as error:
                raise _unreachable(host_of(url), "does not answer as a web server does") from error
        raise _unreachable(host_of(url), "cannot be connected to") from failure

    async def _addresses(self, url: httpx.URL) -> list[str]:
        host, port = host_of(url), url.port or (443 if url.scheme == "https" else 80)
        try:
            found = list(dict.fromkeys(await self._resolve(host, port)))
        except OSError as error:
            raise _unreachable(host, "is not known to the name servers") from error
        allowed = [
            address
            for address in found
            if may_be_fetched_from(address, allow_private=self._bounds.allow_private)
        ]
        if found and not allowed:
            raise audio_url.not_public(host)
        return allowed

    def _request(self, url: httpx.URL, address: str) -> httpx.Request:
        """To the address itself; the host's name goes where the server and the certificate need it."""
        bounds = self._bounds
        return httpx.Request(
            "GET",
            url.copy_with(host=address),
            headers={
                "Host": url.netloc.decode("ascii"),
                "User-Agent": f"transcriber/{__version__}",
                "Accept": "audio/*, video/*, */*;q=0.5",
                "Accept-Encoding": "identity",
                "Connection": "close",
            },
            extensions={
                "sni_hostname": host_of(url).rstrip("."),
                "timeout": {
                    "connect": bounds.connect_seconds,
                    "read": bounds.idle_seconds,
                    "write": bounds.idle_seconds,
                    "pool": None,
                },
            },
        )

    def _redirected(self, url: httpx.URL, response: httpx.Response) -> httpx.URL:
        host, location = host_of(url), response.headers.get("location", "")
        if not location:
            raise _bad_redirect(host, "nowhere")
        try:
            target = audio_url.parse(str(url.join(location)), allow_private=self._bounds.allow_private)
        except (httpx.InvalidURL, ValueError) as error:
            raise _bad_redirect(host, "to something that is no address") from error
        except SpeechError as error:
            if error.code == "audio_url_private":
                raise
            raise _bad_redirect(host, f"to an address that cannot be used: {error.message}") from error
        if url.scheme == "https" and target.scheme == "http":
            raise _bad_redirect(host, "from https to http")
        return target

    def _require_recording(self, response: httpx.Response, host: str) -> None:
        status, headers = response.status_code, response.headers
        if status != httpx.codes.OK:
            raise SpeechError(
                "audio_url_refused",
                f"{host} answered {status}: check that the address can be read by everyone who has it",
                retryable=status in PASSING or status >= 500,
                retry_after_seconds=retry_after_seconds(headers.get("retry-after", ""), self._now()),
            )
        if headers.get("content-encoding", "identity").lower() not in {"", "identity"}:
            raise SpeechError(
                "audio_url_encoded", f"{host} sends the recording compressed, although that was not asked for"
            )
        promised = int(headers.get("content-length", "0"))
        if promised > self._bounds.max_bytes:
            raise self._too_large()
        self._require_room(promised)

    async def _save(self, response: httpx.Response, host: str, destination: Path) -> int:
        try:
            with destination.open("xb") as file:
                return await self._write(response, file.write)
        except httpx.TimeoutException as error:
            raise _too_slow(host, self._bounds.idle_seconds) from error
        except httpx.TransportError as error:
            raise SpeechError(
                "audio_url_truncated", f"{host} broke off before the recording's end", retryable=True
            ) from error

    async def _write(self, response: httpx.Response, write: Callable[[bytes], object]) -> int:
        size, unwritten = 0, bytearray()
        async for piece in response.aiter_raw():
            size += len(piece)
            if size > self._bounds.max_bytes:
                raise self._too_large()
            unwritten += piece
            if len(unwritten) >= WRITE_BYTES:
                self._require_room(len(unwritten))
                await asyncio.to_thread(write, bytes(unwritten))
                unwritten.clear()
        await asyncio.to_thread(write, bytes(unwritten))
        return size

    def _require_room(self, size_bytes: int) -> None:
        if self._free_bytes() < MIN_FREE_BYTES + size_bytes:
            raise no_room()

    def _too_large(self) -> SpeechError:
        return SpeechError("audio_too_large", f"the recording is larger than {self._bounds.max_bytes} bytes")


def _unreachable(host: str, what: str) -> SpeechError:
    return SpeechError("audio_url_unreachable", f"{host} {what}", retryable=True)


def _too_slow(host: str, seconds: float) -> SpeechError:
    return SpeechError(
        "audio_url_timeout", f"{host} did not send the recording within {seconds:g} s", retryable=True
    )


def _bad_redirect(host: str, where: str) -> SpeechError:
    return SpeechError("audio_url_bad_redirect", f"{host} redirects {where}")


def no_room() -> SpeechError:
    return SpeechError("disk_full", "there is no room for the recording", retryable=True)
