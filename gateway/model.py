"""The values that pass through the gateway, in the order of their way: webhook, event, claim, outcome, verdict."""

from dataclasses import dataclass
from typing import Any, Literal, NewType, TypeVar, dataclass_transform

SourceName = NewType("SourceName", str)
DestinationName = NewType("DestinationName", str)
EventId = NewType("EventId", str)
DeliveryId = NewType("DeliveryId", int)
ReplayId = NewType("ReplayId", str)

Headers = tuple[tuple[bytes, bytes], ...]
"""Pairs of name and value, byte for byte as received, in their order; compare names in lower case."""

T = TypeVar("T")


@dataclass_transform(frozen_default=True)
def value(cls: type[T]) -> type[T]:
    """A frozen dataclass with slots, of which some are made for every event.

    The type checker holds that nobody writes to it. Python's own guard costs four times what a value costs to make.
    """
    return dataclass(slots=True, unsafe_hash=True)(cls)


@value
class Webhook:
    """A request as it came. Nobody has said yet that it is authentic: only `verify` takes it."""

    headers: Headers
    query: bytes
    body: bytes
    method: str = "POST"

    def values(self, name: bytes) -> list[bytes]:
        """Every value of the header `name`, given in lower case."""
        return [value for key, value in self.headers if key.lower() == name]


@value
class VerifiedWebhook:
    """A webhook whose source is known; what is read from it can be trusted as far as the source can."""

    webhook: Webhook
    """With a digest in place of a value that is the source's secret."""
    secret: int
    """Index of the secret that matched; -1 where the source has none."""
    signature: bytes | None = None
    """What a copy of the request would have too; None where nothing is signed."""
    body_authenticated: bool = False
    """Whether a changed body would have been noticed."""
    content: Any = None
    """What was parsed already (a `selector.Content`), so that no body is parsed twice."""
    shadows: tuple[tuple[int, bool], ...] = ()
    """Of the secrets that are only tried: index, and whether it would have matched."""


RejectionReason = Literal[
    "missing_header",
    "malformed",
    "bad_signature",
    "too_old",
    "too_new",
    "unknown_source",
    "method",
    "too_large",
    "too_slow",
    "rate_limited",
    "address_refused",
    "unavailable",
]


@value
class Rejected:
    reason: RejectionReason
    detail: str
    """For the log and for `gateway verify`; never the expected signature, never a secret."""
    retry_after_seconds: int = 5
    """When to come again, of those that may."""


@value
class Event:
    """A verified webhook as it is stored, with the destinations that want it."""

    id: EventId
    source: SourceName
    type: str | None
    dedupe_key: str | None
    """None: this source's webhooks are never duplicates of each other."""
    body_sha256: bytes
    ordering_key: str | None
    received_at: int
    webhook: Webhook
    destinations: tuple[DestinationName, ...]
    body_authenticated: bool = True
    """Whether a changed body would have been noticed."""
    signature: bytes | None = None
    """A digest of what it was signed by, where another event with the same is a duplicate."""


@value
class Claim:
    """A delivery leased for one attempt."""

    delivery_id: DeliveryId
    attempt: int
    """From 1. Also the fence: a result counts only while this is the delivery's latest attempt."""
    destination: DestinationName
    event: Event
    tries: int
    """Attempts before this one that count in the retry schedule: since the acceptance or replay, not while held."""
    again: bool
    """A retry, or a replay: it gives way to first attempts."""
    queued_at: int
    """Unix ms of the acceptance or the replay."""
    live_since: int
    """Unix ms from which the retry horizon counts: queued or released by its ordering key, later by the time held or paused."""


AcceptStatus = Literal["accepted", "unrouted", "duplicate"]


@value
class Accepted:
    event_id: EventId
    """The first one's, for a duplicate."""
    status: AcceptStatus
    id_reused: bool = False
    """The dedupe key was known, but with another body: stored as a new event."""
    claims: tuple[Claim, ...] = ()
    """Deliveries that were leased at once."""
    due: tuple[DestinationName, ...] = ()
    """Those that have a delivery to claim now; not those whose delivery waits for its key, or that stand still."""


OutcomeKind = Literal[
    "success",
    "redirect",
    "client_error",
    "server_error",
    "timeout",
    "no_answer",
    "address_refused",
    "payload",
    "unsigned",
    "interrupted",
]


@value
class Outcome:
    """What came of one attempt."""

    kind: OutcomeKind
    started_at: int
    duration_ms: int
    status: int | None = None
    error: str | None = None
    retry_after: str | None = None
    """The header as received; `retry` reads it."""
    response: bytes = b""
    """The first bytes of the answer's body."""


DeadReason = Literal["dead_on", "horizon", "payload", "discarded"]


@value
class Delivered:
    pass


@value
class RetryAt:
    at: int
    """Unix ms."""
    counts: bool = True
    """False: the destination is down. The attempt uses up nothing of the delivery's schedule, and it is the last in turn."""


@value
class Dead:
    reason: DeadReason


Verdict = Delivered | RetryAt | Dead
