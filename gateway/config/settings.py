"""What can be set. Each text says: meaning; special value; consequence; default."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from typing import Any

from gateway.model import DestinationName, SourceName
from gateway.retry import RetryPolicy
from gateway.selector import Selector
from gateway.verify import Secret, Verifier
from gateway.verify.handshake import NO_HANDSHAKE, Handshake

Networks = tuple[IPv4Network | IPv6Network, ...]


@dataclass(frozen=True, slots=True)
class Server:
    host: str = "0.0.0.0"  # noqa: S104 - a gateway is there to be reached; `make run` binds to loopback
    """The address listened on. Default 0.0.0.0, every one of the machine."""
    port: int = 8080
    """0 takes a free one, which the log names. Default 8080."""
    max_body_bytes: int = 1_048_576
    """A longer body is answered 413, before it is in memory. Default 1 MiB."""
    max_connections: int = 10_000
    """Open at once; one more takes the place of one that is silent. Fewer where the system allows fewer open files. Default 10,000."""
    admin_token: str | None = field(default=None, repr=False)
    """The bearer token of /v1. Unset: every call there is answered 403, from loopback too. Default unset."""
    admin_listen: tuple[str, int] | None = None
    """`HOST:PORT` or `[IPv6]:PORT` for /v1, /metrics, /docs and the contract, which the webhooks' port then answers with 404. Default: that port has them too."""
    trusted_proxies: Networks = ()
    """Addresses and networks whose X-Forwarded-For is believed. Default: none; a sender is who connects."""
    log_level: str = "info"
    """debug, info, warning or error. Default info."""


@dataclass(frozen=True, slots=True)
class Retention:
    """Days that things are kept after they are over; fractions are allowed."""

    delivered_days: float = 7
    dead_days: float = 30
    unrouted_days: float = 30
    dedupe_days: float = 30
    """How long a repeated webhook is known as a duplicate. Keys outlive the events they belong to. Default 30."""


@dataclass(frozen=True, slots=True)
class StoreSettings:
    url: str = "sqlite:///var/gateway.db"
    """`sqlite:///relative/path` or `sqlite:////absolute/path`. Default var/gateway.db below the working directory."""
    retention: Retention = field(default_factory=Retention)


@dataclass(frozen=True, slots=True)
class Source:
    name: SourceName
    verifier: Verifier = field(repr=False)
    """The preset's scheme, or that of `[sources.verify]`, with the secrets: several while rotating."""
    event_type: Selector
    """json:PATH, header:NAME, query:NAME or form:NAME. Default: the preset's, else json:type."""
    dedupe_key: Selector | None
    """A selector, `body` (its digest), or `none` (nothing is a duplicate). Default: the preset's, else body."""
    ordering_key: Selector | None = None
    """A selector. Deliveries of one key go out one at a time, in order of acceptance. Default: no order."""
    public_url: str = ""
    """The URL that the producer calls, for schemes that sign it. Default: none, and such a scheme is refused."""
    same_id: str = "new"
    """What a known key with another body is: `new` (an event of its own, marked) or `duplicate`. Default new."""
    replay_guard: bool = False
    """Whether a signature that is known makes a duplicate, whatever the id says. Default: the preset's, else false."""
    rate_per_second: float = 0.0
    """Verified webhooks taken a second, a second's worth of them at once; what is over that is answered 429. 0: no bound. Default 0."""
    allow_ips: Networks = ()
    """Addresses and networks that may send; others are answered 401. Default: all."""
    acknowledgement: str = "json"
    """`json`, the event's id and what became of it; or `empty`, for producers that show or interpret an answer. Default: the preset's, else json."""
    handshake: Handshake = NO_HANDSHAKE
    """How the producer asks whether the URL is wanted. Default: the preset's, else none."""
    verify_token: str | None = field(default=None, repr=False)
    """What a handshake of Meta's must bring. Default: any of the secrets."""
    secrets: tuple[Secret, ...] = field(default=(), repr=False)
    """As configured, for handshakes that are answered with them."""
    verify: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Of its scheme: the preset's, or those of `[sources.verify]`."""
    shadow: Verifier | None = field(default=None, repr=False)
    """Another scheme that is tried beside: what it would refuse is counted. Default: none."""


@dataclass(frozen=True, slots=True)
class Signing:
    """How what a destination receives is signed at every attempt."""

    secrets: tuple[str, ...] = field(default=(), repr=False)
    """For Standard Webhooks: `whsec_…`; with several each of them signs. Empty: as the source's producer signs."""


@dataclass(frozen=True, slots=True)
class Destination:
    name: DestinationName
    url: str
    """http or https. Redirects are never followed."""
    sources: tuple[str, ...] | None = None
    """Names of the sources it wants events of. Default: all."""
    event_types: tuple[str, ...] | None = None
    """Globs, such as `invoice.*`. Default: all; an event without a type matches only that."""
    filter: str | None = None
    """`json:EXPRESSION`, JMESPath over the body: wanted where it is true. Default: wanted."""
    payload: str | None = None
    """`json:EXPRESSION`: its result is sent as JSON. Default: the body as received."""
    bearer_token: str | None = field(default=None, repr=False)
    """Sent as `Authorization: Bearer …`. Default: none."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Added as they are, in place of received ones of the same name. Default: none."""
    sign: Signing | None = None
    """`{ scheme = "standard-webhooks", secret = "whsec_…" }`, or `{ scheme = "source" }`. Default: unsigned."""
    timeout_seconds: float = 5.0
    """For a whole attempt, from resolving the name to the answer's last byte. Default 5."""
    max_in_flight: int = 8
    """Attempts under way at once. Default 8."""
    rate_per_second: float = 0.0
    """Attempts begun a second, spread evenly; the others wait. 0: as many as it takes. Default 0."""
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    order_wait_seconds: float = 0.0
    """How long a failing delivery may hold back later ones of its key. 0: until it is delivered or dead. Default 0."""
    dead_on: frozenset[int] = frozenset()
    """Status codes that no retry can change. Default: none."""
    allow_private_address: bool = False
    """Whether private, loopback, link-local and metadata addresses may be connected to. Default false."""


@dataclass(frozen=True, slots=True)
class TracingSettings:
    """Where spans are sent to: what OpenTelemetry's own variables say, whatever the file does."""

    endpoint: str = field(repr=False)
    """The URL that they are posted to. Its query may hold a key."""
    headers: Mapping[str, str] = field(repr=False)
    """Sent with them. Secrets."""


@dataclass(frozen=True, slots=True)
class Config:
    server: Server
    store: StoreSettings
    sources: tuple[Source, ...]
    destinations: tuple[Destination, ...]
    tracing: TracingSettings | None = None
    """Default: no traces."""
