"""What needs no body to be answered: strangers, handshakes, and what is no POST."""

from starlette.types import Scope

from gateway.clock import Clock
from gateway.config import Networks, Source
from gateway.config.reader import NAME
from gateway.model import Rejected, VerifiedWebhook, Webhook
from gateway.peer import sender, shown
from gateway.verify.handshake import Asked, Reply


class Door:
    def __init__(self, *, trusted_proxies: Networks, clock: Clock) -> None:
        self._trusted_proxies = trusted_proxies
        self._clock = clock

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

    def seen(self, scope: Scope, *, unknown: str | None) -> dict[str, str | None]:
        """For the log: who sends, and the name that no source has. What could be none's may be a secret."""
        told = {"sender": shown(sender(scope, trusted=self._trusted_proxies))}
        if unknown is not None:
            told["name"] = unknown if NAME.fullmatch(unknown) else None
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
