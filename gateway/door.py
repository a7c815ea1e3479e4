"""Who may send: strangers, handshakes, what is no POST, and what comes too often are answered here."""

from collections.abc import Iterable

from starlette.types import Scope

from gateway.clock import Clock
from gateway.config import Networks, Source
from gateway.config.reader import NAME
from gateway.model import Rejected, VerifiedWebhook, Webhook
from gateway.pace import Bucket
from gateway.peer import sender, shown
from gateway.verify.handshake import Asked, Reply

SECRET_LENGTH = 32
"""From which on what has the form of a name may as well be a key in hexadecimal digits or a UUID."""


class Door:
    def __init__(self, sources: Iterable[Source], *, trusted_proxies: Networks, clock: Clock) -> None:
        self._trusted_proxies = trusted_proxies
        self._clock = clock
        self._buckets = {
            source.name: Bucket(
                source.rate_per_second, kept_seconds=1, level=max(1.0, source.rate_per_second)
            )
            for source in sources
            if source.rate_per_second
        }

    def answer(self, source: Source, scope: Scope) -> Reply | Rejected | None:
        """None: a webhook may come."""
        if source.allow_ips and (stranger := self._stranger(source, scope)) is not None:
            return stranger
        if source.handshake.before is not None and (reply := self._before(source, scope)) is not None:
            return reply
        return None if scope["method"] == "POST" else Rejected("method", f"{scope['method']} is not POST")

    def answer_verified(self, source: Source, verified: VerifiedWebhook) -> Reply | None:
        """To a handshake that is signed as webhooks are; None: it is a webhook."""
        if verified.secret < 0 or source.handshake.after is None:
            return None
        return source.handshake.after(verified.content, source.secrets[verified.secret].value)

    def over_rate(self, source: Source) -> Rejected | None:
        """What is not authentic uses up nothing of a source's rate."""
        if (bucket := self._buckets.get(source.name)) is None:
            return None
        now = round(self._clock.monotonic() * 1000)
        if bucket.level(now):
            bucket.take(1, now=now)
            return None
        seconds = -((now - bucket.next_at(now)) // 1000)
        detail = f"more than {source.rate_per_second:g} webhooks a second"
        return Rejected("rate_limited", detail, retry_after_seconds=seconds)

    def seen(self, scope: Scope, *, unknown: str | None) -> dict[str, str | None]:
        """For the log: who sends, and the name that no source has. What could be none's, or is long, may be a secret."""
        told = {"sender": shown(sender(scope, trusted=self._trusted_proxies))}
        if unknown is not None:
            told["name"] = unknown if NAME.fullmatch(unknown) and len(unknown) < SECRET_LENGTH else None
        return told

    def _stranger(self, source: Source, scope: Scope) -> Rejected | None:
        address = sender(scope, trusted=self._trusted_proxies)
        if address is not None and any(address in network for network in source.allow_ips):
            return None
        return Rejected("address_refused", f"{address or 'the sender'} is not in allow_ips")

    def _before(self, source: Source, scope: Scope) -> Reply | Rejected | None:
        handshake = source.handshake
        if handshake.before is None or (
            scope["method"] != "POST" and scope["method"] not in handshake.methods
        ):
            return None
        webhook = Webhook(tuple(scope["headers"]), scope["query_string"], b"", scope["method"])
        now = self._clock.wall_ms() // 1000
        secrets = [secret for secret in source.secrets if secret.counts(now)]
        return handshake.before(Asked(webhook, secrets, source.verify_token))
