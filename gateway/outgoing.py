"""What a destination receives: the event as it came, with the gateway's own headers."""

import json
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote, quote_plus, urlencode

from gateway.config import Destination, Source
from gateway.model import Claim, Event, Headers, SourceName, Webhook, value
from gateway.selector import Content, compile_expression
from gateway.tracing import context
from gateway.verify import Signed, Verifier, compile_verifier
from gateway.verify.token import is_redacted

HOP_BY_HOP = frozenset(
    (
        b"connection",
        b"expect",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)
NOT_FORWARDED = HOP_BY_HOP | {b"host", b"content-length", b"cookie", b"traceparent"}
OF_THE_BODY = frozenset((b"content-digest", b"content-md5", b"digest", b"repr-digest"))
"""What is said of the received body, and is wrong of any other."""
OWN_PREFIXES = (b"webhook-", b"x-gateway-")
PRINTABLE = re.compile(rb"[\x21-\x7e]*")
PRINTABLE_CHARACTERS = "".join(map(chr, range(0x21, 0x7F)))
STANDARD = {"kind": "standard"}
Traceparent = Callable[[Claim, bytes | None], bytes]
"""Of an attempt's request, made of the producer's."""


@value
class Outgoing:
    headers: list[tuple[bytes, bytes]]
    body: bytes
    query: bytes = b""
    """Fields that the destination's URL gets besides."""
    secrets: tuple[bytes, ...] = ()
    """Of its source, that it carries, in every form."""


class PayloadError(ValueError):
    """The destination's `payload` yields nothing for this event."""


class SigningError(ValueError):
    """The request cannot be signed now; another time it may be."""


class Composer:
    """Makes the requests for one destination."""

    def __init__(
        self,
        destination: Destination,
        *,
        sources: Mapping[SourceName, Source],
        traceparent: Traceparent = context.passed_on,
    ) -> None:
        self._sources = sources
        self._traceparent = traceparent
        self._signer = None if destination.sign is None else Signer(destination, sources=sources)
        self._payload = _payload(destination.payload)
        self._replaces_content = destination.payload is not None
        self._added = [(name.lower().encode(), value.encode()) for name, value in destination.headers.items()]
        if destination.bearer_token is not None:
            self._added.append((b"authorization", b"Bearer " + destination.bearer_token.encode()))
        left_out = NOT_FORWARDED | {name for name, _ in self._added}
        if self._replaces_content:
            left_out |= {b"content-type", b"content-encoding"} | OF_THE_BODY
        # Producers send the same few names again and again; the bound is for one that does not.
        self._is_forwarded = lru_cache(maxsize=128)(
            lambda name: name.lower() not in left_out and not _like_own(name)
        )

    def compose(self, claim: Claim, *, now: int) -> Outgoing:
        """`now` in Unix seconds. Raise PayloadError where there is nothing to send, SigningError where it cannot be signed."""
        event = claim.event
        headers = self._received(event.webhook.headers)
        left_out = self._credentials(event.source)
        producer = context.received(event.webhook)
        if producer is None:
            left_out.append(b"tracestate")  # it belongs to a trace that nobody knows
        headers = [
            (name, value)
            for name, value in headers
            if name.lower() not in left_out and not is_redacted(value)
        ]
        if self._replaces_content:
            headers.append((b"content-type", b"application/json"))
        headers += self._added
        headers += _own(claim, traceparent=self._traceparent(claim, producer))
        outgoing = Outgoing(headers, self._payload(event))
        return outgoing if self._signer is None else self._signer.sign(outgoing, event, now=now)

    def _credentials(self, name: SourceName) -> list[bytes]:
        """The headers that carry the secret of the source's scheme, and of one that is tried beside it."""
        source = self._sources.get(name)
        if source is None:
            return []
        schemes = [source.verifier] if source.shadow is None else [source.verifier, source.shadow]
        return [header for scheme in schemes if (header := scheme.credential_header)]

    def _received(self, headers: Headers) -> list[tuple[bytes, bytes]]:
        """The received headers, but for those of the connection and those that are set here."""
        is_forwarded = self._is_forwarded
        forwarded = [header for header in headers if is_forwarded(header[0])]
        named = _named_by_connection(headers)
        return [header for header in forwarded if header[0].lower() not in named] if named else forwarded


class Signer:
    """Signs what one destination receives: by Standard Webhooks with its own secrets, or as the source's producer does."""

    def __init__(self, destination: Destination, *, sources: Mapping[SourceName, Source]) -> None:
        self._sources = sources
        self._url = destination.url
        secrets = destination.sign.secrets if destination.sign else ()
        self._own = [compile_verifier(STANDARD, [secret]) for secret in secrets]

    def sign(self, outgoing: Outgoing, event: Event, *, now: int) -> Outgoing:
        if self._own:
            return self._sign_own(outgoing, event, now=now)
        source = self._sources.get(event.source)
        if source is None:
            raise SigningError(
                f"the source {event.source} is not configured any more: nothing can be signed as it does"
            )
        signed = self._signed(source.verifier, Webhook(event.webhook.headers, b"", outgoing.body), now=now)
        replaced = {name for name, _ in signed.headers} | (
            set() if signed.body == outgoing.body else OF_THE_BODY
        )
        headers = [header for header in outgoing.headers if header[0].lower() not in replaced]
        is_secret = source.verifier.credential_header is not None or bool(signed.query)
        return Outgoing(
            [*headers, *signed.headers],
            signed.body,
            query=urlencode(signed.query).encode(),
            secrets=_forms(signed, source) if is_secret else (),
        )

    def _sign_own(self, outgoing: Outgoing, event: Event, *, now: int) -> Outgoing:
        webhook = Webhook(((b"webhook-id", event.id.encode()),), b"", outgoing.body)
        by_secret = [dict(self._signed(one, webhook, now=now).headers) for one in self._own]
        return Outgoing(
            [
                *outgoing.headers,
                (b"webhook-timestamp", by_secret[0][b"webhook-timestamp"]),
                (b"webhook-signature", b" ".join(one[b"webhook-signature"] for one in by_secret)),
            ],
            outgoing.body,
        )

    def _signed(self, verifier: Verifier, webhook: Webhook, *, now: int) -> Signed:
        try:
            return verifier.sign(webhook, now=now, url=self._url)
        except ValueError as error:
            raise SigningError(f"it cannot be signed: {error}") from None


def _forms(signed: Signed, source: Source) -> tuple[bytes, ...]:
    """In which the destination could say back the credential that it was sent: the longest first, for some hold others."""
    sent = [value.decode("latin-1") for _, value in signed.headers]
    texts = {secret.value for secret in source.secrets}
    if any(value.startswith("Basic ") for value in sent):
        texts |= {text.partition(":")[2] for text in texts}
    texts |= {*sent, *(value.removeprefix("Basic ") for value in sent), *(value for _, value in signed.query)}
    forms = {form.encode() for text in texts for form in (text, quote(text, safe=""), quote_plus(text))}
    return tuple(sorted(forms, key=len, reverse=True))


def _named_by_connection(headers: Headers) -> set[bytes]:
    return {
        name.strip().lower()
        for key, value in headers
        if key.lower() == b"connection"
        for name in value.split(b",")
    }


def _like_own(name: bytes) -> bool:
    """Also with underscores: servers that hand headers on as variables (CGI, WSGI) take them for hyphens."""
    return name.lower().replace(b"_", b"-").startswith(OWN_PREFIXES)


def _payload(expression: str | None) -> Callable[[Event], bytes]:
    if expression is None:
        return lambda event: event.webhook.body
    search = compile_expression(expression)

    def payload(event: Event) -> bytes:
        result = search(Content(event.webhook).json)
        if result is None:
            raise PayloadError(f"payload json:{expression} yields nothing for this event")
        return _to_json(result)

    return payload


def _to_json(value: Any) -> bytes:
    """As UTF-8: escapes would make text in other scripts than Latin up to three times as long as it came."""
    try:
        text = json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    except (ValueError, RecursionError, TypeError) as error:
        raise PayloadError(f"the result of payload is not JSON: {error}") from None
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:  # half of a surrogate pair, which only an escape can name
        return json.dumps(value, separators=(",", ":")).encode("ascii")


def _own(claim: Claim, *, traceparent: bytes) -> list[tuple[bytes, bytes]]:
    event = claim.event
    event_id = event.id.encode()
    own = [
        (b"webhook-id", event_id),
        (b"x-gateway-event-id", event_id),
        (b"x-gateway-source", event.source.encode()),
        (b"x-gateway-attempt", b"%d" % claim.attempt),
        (b"x-gateway-received-at", b"%d" % event.received_at),
        (b"traceparent", traceparent),
    ]
    if event.type is not None:
        own.append((b"x-gateway-event-type", _printable(event.type.encode("utf-8", "replace"))))
    if not event.body_authenticated:
        own.append((b"x-gateway-body-authenticated", b"false"))
    if event.webhook.query:
        own.append((b"x-gateway-query", _printable(event.webhook.query)))
    return own


def _printable(value: bytes) -> bytes:
    """Percent-encoded where it is not printable ASCII; a percent sign stays, for a query has its own."""
    if PRINTABLE.fullmatch(value):
        return value
    return quote(value, safe=PRINTABLE_CHARACTERS).encode()
