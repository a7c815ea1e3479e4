"""Makes one attempt over HTTP and says what came of it. A destination's error is a value, never an exception."""

import asyncio
import contextlib
import dataclasses
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import httpx

from gateway.address import is_address, refusal
from gateway.clock import Clock
from gateway.config import Destination
from gateway.model import Claim, Outcome, OutcomeKind
from gateway.outgoing import Composer, Outgoing, PayloadError

KEPT_RESPONSE_BYTES = 4096


class AddressRefusedError(Exception):
    """The destination resolves to an address that it may not have."""


Resolve = Callable[[str, int], Awaitable[list[str]]]
"""The addresses of a name, in the order to try them. Raise OSError where it has none."""


async def resolve_by_system(host: str, port: int) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(sockaddr[0]) for *_, sockaddr in found]


@dataclass(slots=True)
class Answer:
    """What is known of an attempt so far."""

    kind: OutcomeKind = "no_answer"
    status: int | None = None
    error: str | None = None
    retry_after: str | None = None
    response: bytearray = field(default_factory=bytearray)

    def take(self, response: httpx.Response) -> None:
        self.kind = _kind(response.status_code)
        self.status = response.status_code
        self.retry_after = response.headers.get("retry-after")
        if self.kind != "success":
            self.error = f"answered {response.status_code}"

    def fail(self, kind: OutcomeKind, error: str) -> None:
        """Once there is a status it stands: an event that was taken is not sent again for a cut body."""
        if self.status is None:
            self.kind, self.error = kind, error


class Forwarder:
    """Forwards to one destination, over connections that it keeps.

    httpx's transport is used directly: its client would follow cookies and add headers of its own.
    """

    def __init__(
        self, destination: Destination, *, clock: Clock, resolve: Resolve = resolve_by_system
    ) -> None:
        self._destination = destination
        self._clock = clock
        self._resolve = resolve
        self._composer = Composer(destination)
        self._url = httpx.URL(destination.url)
        # No bound on connections: the lane bounds attempts, and a pool that is full waits for ever for connections whose
        # requests were cancelled by their time-out.
        limits = httpx.Limits(
            max_connections=None, max_keepalive_connections=destination.max_in_flight, keepalive_expiry=30
        )
        self._transport = httpx.AsyncHTTPTransport(
            verify=ssl.create_default_context(), limits=limits, trust_env=False
        )

    def take_secrets(self, destination: Destination) -> None:
        """The next attempts carry this configuration's bearer token and headers."""
        with_secrets = dataclasses.replace(
            self._destination, bearer_token=destination.bearer_token, headers=destination.headers
        )
        self._composer = Composer(with_secrets)

    async def address_refusal(self) -> str | None:
        """Why no attempt could be made now, as far as the host's addresses say; None where one could, or nothing is known."""
        try:
            await self._addresses()
        except AddressRefusedError as error:
            return str(error)
        except OSError:
            pass  # no answer from the resolver is no refusal
        return None

    async def forward(self, claim: Claim) -> Outcome:
        started_at, started = self._clock.now_ms(), self._clock.monotonic()
        answer = Answer()
        await self._attempt(claim, answer)
        return Outcome(
            kind=answer.kind,
            started_at=started_at,
            duration_ms=round((self._clock.monotonic() - started) * 1000),
            status=answer.status,
            error=answer.error,
            retry_after=answer.retry_after,
            response=bytes(answer.response),
        )

    async def close(self) -> None:
        await self._transport.aclose()

    async def _attempt(self, claim: Claim, answer: Answer) -> None:
        try:
            outgoing = self._composer.compose(claim)
            async with asyncio.timeout(self._destination.timeout_seconds):
                await self._exchange(outgoing, answer)
        except PayloadError as error:
            answer.fail("payload", str(error))
        except AddressRefusedError as error:
            answer.fail("address_refused", str(error))
        except (TimeoutError, httpx.TimeoutException):
            answer.fail("timeout", f"no answer within {self._destination.timeout_seconds:g} s")
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            answer.fail("no_answer", _describe(error))
        except Exception as error:  # noqa: BLE001 - whatever a peer made the library do, it is this attempt's outcome
            answer.fail("no_answer", repr(error))

    async def _exchange(self, outgoing: Outgoing, answer: Answer) -> None:
        response = await self._send(outgoing)
        try:
            answer.take(response)
            await self._read(response, answer)
        finally:
            await response.aclose()

    async def _send(self, outgoing: Outgoing) -> httpx.Response:
        """To the first of the host's addresses that takes a connection."""
        addresses = await self._addresses()
        share = self._destination.timeout_seconds / len(addresses)
        *others, last = (self._request(outgoing, address, connect_seconds=share) for address in addresses)
        for request in others:
            with contextlib.suppress(httpx.ConnectError, httpx.ConnectTimeout):
                return await self._transport.handle_async_request(request)
        return await self._transport.handle_async_request(last)

    def _request(self, outgoing: Outgoing, address: str, *, connect_seconds: float) -> httpx.Request:
        """To the address that was judged, not to one that the name may resolve to a moment later."""
        return httpx.Request(
            "POST",
            self._url.copy_with(host=address),
            headers=[(b"host", self._url.netloc), *outgoing.headers],
            content=outgoing.body,
            extensions={"sni_hostname": self._url.host, "timeout": {"connect": connect_seconds}},
        )

    async def _addresses(self) -> list[str]:
        """The addresses of the destination's host that may be connected to; at least one."""
        host = self._url.host
        port = self._url.port or (443 if self._url.scheme == "https" else 80)
        found = [host] if is_address(host) else await self._resolve(host, port)
        refusals = {
            address: refusal(address, allow_private=self._destination.allow_private_address)
            for address in found
        }
        allowed = [address for address, why in refusals.items() if why is None]
        if not allowed:
            why = next(iter(refusals.values()), None) or "has no address"
            raise AddressRefusedError(f"{host}: {why}")
        return allowed

    async def _read(self, response: httpx.Response, answer: Answer) -> None:
        """The first bytes; a longer body is not read on, and its connection not used again."""
        async for chunk in response.aiter_raw():
            answer.response += chunk[: KEPT_RESPONSE_BYTES - len(answer.response)]
            if len(answer.response) >= KEPT_RESPONSE_BYTES:
                return


def _kind(status: int) -> OutcomeKind:
    if 200 <= status < 300:
        return "success"
    if status < 400:
        return "redirect"
    return "client_error" if status < 500 else "server_error"


def _describe(error: Exception) -> str:
    if isinstance(error, socket.gaierror):
        return f"the name does not resolve: {error.strerror}"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
