"""What a kind of scheme is to the verifier: it reads what a request presents, a key says whether it made that."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from gateway.model import Rejected, Webhook
from gateway.selector import Content


@dataclass(frozen=True, slots=True)
class Confirmed:
    """What an authentic request says beside its content."""

    sent_at: int | None = None
    """Unix seconds, where a time is signed."""
    body_authenticated: bool = True
    """Whether a changed body would have been noticed."""
    claims: Mapping[str, Any] | None = None
    """Of a verified token."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A request signed anew."""

    headers: tuple[tuple[bytes, bytes], ...] = ()
    """Names in lower case; they take the place of what has their name."""
    query: tuple[tuple[str, str], ...] = ()
    """Fields that the URL gets besides."""
    body: bytes = b""
    """The one to send: some schemes sign within it."""


class Scheme(Protocol):
    """`Any` stands for what each kind makes of a request and of a secret, and hands only to itself."""

    @property
    def required_headers(self) -> tuple[bytes, ...]:
        """Names in lower case. A request that lacks one is refused before its body is read."""
        ...

    @property
    def tolerance_seconds(self) -> int:
        """By how much a signed time may be off; 0 where none is signed."""
        ...

    @property
    def credential(self) -> str | None:
        """The selector of the value that is the secret itself: it is neither kept nor sent on. None: there is none."""
        ...

    @property
    def unsignable(self) -> str | None:
        """Why no request can be signed anew by this scheme, for the operator; None: one can."""
        ...

    def key(self, secret: str) -> Any:
        """Raise ValueError with a sentence for the operator, which never quotes the secret, where it is none."""
        ...

    def read(self, content: Content) -> Any | Rejected:
        """What the request presents as proof. Nobody has believed it yet."""
        ...

    def match(self, presented: Any, key: Any) -> bytes | None:
        """The signature that this key made, or what it signed where that has several; None: it made none."""
        ...

    def why_not(self, presented: Any) -> str:
        """A sentence for the log, of what no key made."""
        ...

    def confirm(self, presented: Any, content: Content, *, now: int) -> Confirmed | Rejected:
        """What is left to check once the request is authentic, and what it says. `now` in Unix seconds."""
        ...

    def sign(self, webhook: Webhook, key: Any, *, now: int, url: str) -> Signed:
        """As the producer would. Raise ValueError where it cannot be done here."""
        ...
