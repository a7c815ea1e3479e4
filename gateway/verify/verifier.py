"""A scheme with a source's secrets: signature first, then the time, and only then what the request says."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gateway.model import Rejected, VerifiedWebhook, Webhook
from gateway.selector import Content
from gateway.verify.scheme import Scheme, Signed
from gateway.verify.token import redacted


@dataclass(frozen=True, slots=True)
class Secret:
    value: str
    not_before: int | None = None
    """Unix seconds from which it counts; None: always."""
    not_after: int | None = None
    """Unix seconds until which it counts."""
    shadow: bool = False
    """Only tried: what it would refuse is counted, and what it alone would accept is refused."""

    def counts(self, now: int) -> bool:
        """Whether what it made is accepted at `now`, in Unix seconds."""
        return not self.shadow and _is_current(self, now)

    def __repr__(self) -> str:
        return "Secret()"


@dataclass(frozen=True, slots=True)
class SecretKey:
    key: Any
    """Of the scheme's kind."""
    not_before: int | None
    not_after: int | None
    shadow: bool

    def is_current(self, now: int) -> bool:
        return _is_current(self, now)

    def __repr__(self) -> str:
        return "SecretKey()"


@dataclass(frozen=True, slots=True)
class SchemeVerifier:
    scheme: Scheme
    keys: tuple[SecretKey, ...]
    required_headers: tuple[bytes, ...]
    tolerance_seconds: int
    has_shadows: bool

    @property
    def credential_header(self) -> bytes | None:
        """The header whose value is the secret itself, in lower case."""
        credential = self.scheme.credential or ""
        return credential.removeprefix("header:").encode() if credential.startswith("header:") else None

    @property
    def signs_method(self) -> bool:
        return bool(getattr(self.scheme, "signs_method", False))

    @property
    def unsignable(self) -> str | None:
        """Why nothing can be signed anew for this source; None: it can be."""
        if self.scheme.unsignable is not None:
            return self.scheme.unsignable
        if not any(_can_sign(secret.key) for secret in self.keys if not secret.shadow):
            return "it has only public keys, which cannot sign"
        return None

    def without_credential(self, webhook: Webhook) -> Webhook:
        """With a digest in place of a value that is the secret itself, where this scheme has it."""
        return webhook if self.scheme.credential is None else redacted(webhook, self.scheme.credential)

    def verify(self, webhook: Webhook, *, now: int) -> VerifiedWebhook | Rejected:
        content = Content(webhook)
        presented = self.scheme.read(content)
        if isinstance(presented, Rejected):
            return presented
        found = self._match(presented, now=now)
        if isinstance(found, Rejected):
            return found
        index, signature = found
        confirmed = self.scheme.confirm(presented, content, now=now)
        if isinstance(confirmed, Rejected):
            return confirmed
        if confirmed.sent_at is not None and (refused := self._check_time(confirmed.sent_at, now=now)):
            return refused
        if confirmed.claims is not None:
            content.claims = confirmed.claims
        if self.scheme.credential is not None:
            webhook, signature = self.without_credential(webhook), b""
            content = content.of(webhook)
        return VerifiedWebhook(
            webhook,
            secret=index,
            signature=signature or None,
            body_authenticated=confirmed.body_authenticated,
            content=content,
            shadows=self._try_shadows(presented, now=now) if self.has_shadows else (),
        )

    def sign(self, webhook: Webhook, *, now: int, url: str) -> Signed:
        """As the producer would at `now`, in Unix seconds, for `url`. Raise ValueError where it cannot be done."""
        if (unsignable := self.unsignable) is not None:
            raise ValueError(unsignable)
        for secret in self.keys:
            if secret.is_current(now) and not secret.shadow and _can_sign(secret.key):
                return self.scheme.sign(webhook, secret.key, now=now, url=url)
        raise ValueError("none of the source's secrets counts now")

    def _match(self, presented: Any, *, now: int) -> tuple[int, bytes] | Rejected:
        for index, secret in enumerate(self.keys):
            if not secret.shadow and secret.is_current(now):
                signature = self.scheme.match(presented, secret.key)
                if signature is not None:
                    return index, signature
        return Rejected("bad_signature", self._why_not(presented, now=now))

    def _why_not(self, presented: Any, *, now: int) -> str:
        for index, secret in enumerate(self.keys):
            counts = secret.is_current(now) and not secret.shadow
            if not counts and self.scheme.match(presented, secret.key) is not None:
                if secret.shadow:
                    return (
                        f"only secret {index} matches, which is a shadow: it is tried, and does not count yet"
                    )
                when = (
                    "is over" if secret.not_after is not None and now > secret.not_after else "has not begun"
                )
                return f"only secret {index} matches, and its time {when}"
        return self.scheme.why_not(presented)

    def _try_shadows(self, presented: Any, *, now: int) -> tuple[tuple[int, bool], ...]:
        return tuple(
            (index, self.scheme.match(presented, secret.key) is not None)
            for index, secret in enumerate(self.keys)
            if secret.shadow and secret.is_current(now)
        )

    def _check_time(self, sent: int, *, now: int) -> Rejected | None:
        if now - sent > self.tolerance_seconds:
            return Rejected("too_old", f"sent {now - sent} s ago; {self.tolerance_seconds} s are allowed")
        if sent - now > self.tolerance_seconds:
            return Rejected(
                "too_new", f"sent {sent - now} s in the future; {self.tolerance_seconds} s are allowed"
            )
        return None


def _is_current(secret: Secret | SecretKey, now: int) -> bool:
    return (secret.not_before is None or secret.not_before <= now) and (
        secret.not_after is None or now <= secret.not_after
    )


def _can_sign(key: Any) -> bool:
    return bool(getattr(key, "signs", True))


MOST_SECRETS = 16


def with_secrets(scheme: Scheme, secrets: Sequence[Secret | str]) -> SchemeVerifier:
    """Raise ValueError with a sentence for the operator where they do not fit."""
    given = [Secret(secret) if isinstance(secret, str) else secret for secret in secrets]
    if not any(not secret.shadow for secret in given):
        raise ValueError("at least one secret is needed that is not a shadow")
    if len(given) > MOST_SECRETS:
        raise ValueError(f"there are more than {MOST_SECRETS} secrets: each is tried for every forgery")
    keys = tuple(SecretKey(scheme.key(one.value), one.not_before, one.not_after, one.shadow) for one in given)
    return SchemeVerifier(
        scheme=scheme,
        keys=keys,
        required_headers=scheme.required_headers,
        tolerance_seconds=scheme.tolerance_seconds,
        has_shadows=any(one.shadow for one in given),
    )
