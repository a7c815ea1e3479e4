"""Makes one attempt over HTTP and says what came of it. A destination's error is a value, never an exception."""

import contextlib
import dataclasses
import functools
import socket
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import httpx

from gateway.clock import Clock
from gateway.config import Destination, Source
from gateway.model import Claim, Outcome, OutcomeKind, SourceName
from gateway.outgoing import Composer, Outgoing, PayloadError, SigningError, Traceparent
from gateway.patience import Patience
from gateway.resolver import AddressRefusedError, Resolve, Resolver, resolve_by_system
from gateway.tracing.context import passed_on
from gateway.transport import Transport

KEPT_RESPONSE_BYTES = 4096
IDLE_SECONDS = 30
SHORTEST_SECRET = 8
"""Characters from which on a secret that was sent is looked for in answers; a shorter one may be any word."""
NO_SOURCES: Mapping[SourceName, Source] = {}


@dataclass(slots=True)
class Answer:
    """What is known of an attempt so far."""

    kind: OutcomeKind = "no_answer"
    status: int | None = None
    error: str | None = None
    retry_after: str | None = None
    response: bytearray = field(default_factory=bytearray)
    secrets: tuple[bytes, ...] = ()
    """Of the event's source, that the request carries."""

    def take(self, response: httpx.Response) -> None:
        self.kind = _kind(response.status_code)
        self.status = response.status_code
        if self.kind != "success":
            self.error = f"answered {response.status_code}"
            self.retry_after = next(iter(response.headers.get_list("retry-after")), None)

    def fail(self, kind: OutcomeKind, error: str) -> None:
        """Once there is a status it stands: an event that was taken is not sent again for a cut body."""
        if self.status is None:
            self.kind, self.error = kind, error


class Forwarder:
    """Forwards to one destination, over connections that it keeps.

    The transport is used directly: httpx's client would follow cookies and add headers of its own. There is no bound on
    connections: the lane bounds attempts, and one that had to wait for a connection could wait for ever.
    """

    def __init__(
        self,
        destination: Destination,
        *,
        clock: Clock,
        sources: Mapping[SourceName, Source] = NO_SOURCES,
        resolve: Resolve = resolve_by_system,
        traceparent: Traceparent = passed_on,
    ) -> None:
        """`sources` are looked up at every attempt: their secrets may change."""
        self._destination = destination
        self._sources = sources
        self._traceparent = traceparent
        self._clock = clock
        self._patience = Patience(destination.timeout_seconds)
        self.take_secrets(destination)
        self._url = httpx.URL(destination.url)
        self._host, secure = self._url.raw_host.decode(), self._url.scheme == "https"
        self._netloc = self._url.netloc
        self._at = functools.lru_cache(maxsize=16)(lambda address: self._url.copy_with(host=address))
        self._answered: str | None = None
        """The address that gave the last answer: the others may be ones where a try costs its whole time."""
        self._resolver = Resolver(
            self._host,
            self._url.port or (443 if secure else 80),
            allow_private=destination.allow_private_address,
            resolve=resolve,
            clock=clock,
        )
        self._transport = Transport(
            tls=ssl.create_default_context() if secure else None,
            keep_bytes=KEPT_RESPONSE_BYTES,
            idle_connections=destination.max_in_flight,
            idle_seconds=IDLE_SECONDS,
        )

    def take_secrets(self, destination: Destination) -> None:
        """The next attempts carry this configuration's bearer token and headers."""
        with_secrets = dataclasses.replace(
            self._destination,
            bearer_token=destination.bearer_token,
            headers=destination.headers,
            sign=destination.sign,
        )
        self._composer = Composer(with_secrets, sources=self._sources, traceparent=self._traceparent)
        told = (destination.bearer_token, *destination.headers.values())
        self._secrets = [text.encode() for text in told if text]

    async def address_refusal(self) -> str | None:
        """Why no attempt could be made now, as far as the host's addresses say; None where one could, or nothing is known."""
        try:
            await self._resolver.addresses()
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
            response=self._without_secrets(bytes(answer.response), answer.secrets),
        )

    async def close(self) -> None:
        self._resolver.close()
        await self._transport.aclose()

    def _without_secrets(self, response: bytes, sent: Sequence[bytes]) -> bytes:
        """Some destinations answer an error with all that they were sent."""
        for secret in (*self._secrets, *sent):
            if len(secret) >= SHORTEST_SECRET:
                response = response.replace(secret, b"[secret]")
        return response

    async def _attempt(self, claim: Claim, answer: Answer) -> None:
        try:
            outgoing = self._composer.compose(claim, now=self._clock.wall_ms() // 1000)
            answer.secrets = outgoing.secrets
            with self._patience.limit():
                await self._exchange(outgoing, answer)
        except PayloadError as error:
            answer.fail("payload", str(error))
        except SigningError as error:
            answer.fail("unsigned", str(error))
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
        # Not through the response's own ways in: they decode, and cost more than the transport does.
        stream = cast(httpx.AsyncByteStream, response.stream)
        try:
            answer.take(response)
            async for chunk in stream:
                answer.response += chunk
        finally:
            await stream.aclose()

    async def _send(self, outgoing: Outgoing) -> httpx.Response:
        """To the first of the host's addresses that takes a connection."""
        addresses = await self._resolver.addresses()
        share = self._destination.timeout_seconds / len(addresses)
        *others, last = sorted(addresses, key=lambda address: address != self._answered)
        for address in others:
            with contextlib.suppress(httpx.ConnectError, httpx.ConnectTimeout):
                return await self._send_to(address, outgoing, connect_seconds=share)
        return await self._send_to(last, outgoing, connect_seconds=share)

    async def _send_to(self, address: str, outgoing: Outgoing, *, connect_seconds: float) -> httpx.Response:
        """To the address that was judged, not to one that the name may resolve to a moment later."""
        url = self._at(address)
        if outgoing.query:
            url = url.copy_with(query=b"&".join(filter(None, (url.query, outgoing.query))))
        request = httpx.Request(
            "POST",
            url,
            headers=[
                (b"host", self._netloc),
                *outgoing.headers,
                (b"content-length", b"%d" % len(outgoing.body)),
            ],
            stream=httpx.ByteStream(outgoing.body),  # content= would take four times as long to look at
            extensions={"sni_hostname": self._host, "timeout": {"connect": connect_seconds}},
        )
        response = await self._transport.handle_async_request(request)
        self._answered = address
        return response


def _kind(status: int) -> OutcomeKind:
    if 200 <= status < 300:
        return "success"
    if 300 <= status < 400:
        return "redirect"
    return "client_error" if 400 <= status < 500 else "server_error"


def _describe(error: Exception) -> str:
    if isinstance(error, socket.gaierror):
        return f"the name does not resolve: {error.strerror}"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
