"""What producers ask before they send anything: is this URL yours? Answered only where a preset says so, never queued."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hmac import compare_digest
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qs

from gateway.model import Rejected, Webhook
from gateway.selector import Content
from gateway.verify.encoding import ENCODERS
from gateway.verify.keys import MacKey
from gateway.verify.verifier import Secret

LONGEST_CHALLENGE = 4096
MAX_FIELDS = 100
CRC_TOKEN = re.compile(r"[A-Za-z0-9+/=_-]{1,200}", re.ASCII)
SIGNED_FOR_ANYBODY = re.compile(rb"[A-Za-z0-9+/=_-]{0,200}", re.ASCII)
"""A crc_token is signed by the key of deliveries, whoever asks: a body that could be one, or its end, proves nothing."""
ORIGIN = re.compile(rb"[\x21-\x7e]{1,500}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Reply:
    status: int = 200
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    headers: tuple[tuple[bytes, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that may be a handshake, before anything is known of it. Its body is not read yet."""

    webhook: Webhook
    secrets: Sequence[Secret]
    """Those that count now."""
    verify_token: str | None

    def field(self, name: str) -> str | None:
        """Of the query; None where there is none, or more than one."""
        try:
            values = parse_qs(
                self.webhook.query.decode("utf-8"), keep_blank_values=True, max_num_fields=MAX_FIELDS
            ).get(name, [])
        except ValueError:
            return None
        return values[0] if len(values) == 1 and len(values[0]) <= LONGEST_CHALLENGE else None

    def header(self, name: bytes) -> bytes | None:
        values = self.webhook.values(name)
        return values[0] if len(values) == 1 and ORIGIN.fullmatch(values[0]) else None


Before = Callable[[Asked], Reply | Rejected | None]
After = Callable[[Content, str], Reply | None]


@dataclass(frozen=True, slots=True)
class Handshake:
    methods: frozenset[str] = frozenset()
    """Besides POST."""
    before: Before | None = None
    """Of what comes without a signature."""
    after: After | None = None
    """Of what is authentic; with the secret that matched."""
    signed: re.Pattern[bytes] | None = None
    """What is signed for anybody who asks."""

    def refused(self, body: bytes) -> Rejected | None:
        """Where a signature of this body may be an answer that a stranger was given here."""
        if self.signed is None or not self.signed.fullmatch(body):
            return None
        return Rejected(
            "bad_signature", "the body may be a token of the handshake, which is signed for anybody"
        )


def _slack(content: Content, _: str) -> Reply | None:
    challenge = _text(content.json, "challenge")
    if _text(content.json, "type") != "url_verification" or challenge is None:
        return None
    return Reply(body=challenge.encode())


def _zoom(content: Content, secret: str) -> Reply | None:
    payload = content.json.get("payload") if isinstance(content.json, dict) else None
    plain = _text(payload, "plainToken")
    if _text(content.json, "event") != "endpoint.url_validation" or plain is None:
        return None
    encrypted = MacKey(secret.encode()).sign(plain.encode()).hex()
    return _json({"plainToken": plain, "encryptedToken": encrypted})


def _discord(content: Content, _: str) -> Reply | None:
    """Interactions ask with type 1; webhook events with type 0, and their events are of type 1."""
    if not isinstance(content.json, dict) or "event" in content.json:
        return None
    match content.json.get("type"):
        case True | False:
            return None
        case 1:
            return _json({"type": 1})
        case 0:
            return Reply(status=204)
        case _:
            return None


def _twitch(content: Content, _: str) -> Reply | None:
    kinds = content.webhook.values(b"twitch-eventsub-message-type")
    challenge = _text(content.json, "challenge")
    if kinds != [b"webhook_callback_verification"] or challenge is None:
        return None
    return Reply(body=challenge.encode())


def _crc(asked: Asked) -> Reply | Rejected | None:
    if asked.webhook.method != "GET":
        return None
    token = asked.field("crc_token")
    if token is None or not CRC_TOKEN.fullmatch(token) or not asked.secrets:
        return Rejected("malformed", "there is no crc_token, or it is none that may be signed")
    mac = MacKey(asked.secrets[0].value.encode()).sign(token.encode())
    return _json({"response_token": f"sha256={ENCODERS['base64'](mac).decode()}"})


def _meta(asked: Asked) -> Reply | Rejected | None:
    if asked.webhook.method != "GET":
        return None
    challenge, token = asked.field("hub.challenge"), asked.field("hub.verify_token")
    if asked.field("hub.mode") != "subscribe" or challenge is None or token is None:
        return Rejected("malformed", "it has no hub.mode, hub.challenge and hub.verify_token")
    allowed = [asked.verify_token] if asked.verify_token else [one.value for one in asked.secrets]
    if not any(compare_digest(token.encode(), one.encode()) for one in allowed):
        return Rejected("bad_signature", "hub.verify_token is not the configured verify_token")
    return Reply(body=challenge.encode())


def _graph(asked: Asked) -> Reply | Rejected | None:
    token = asked.field("validationToken")
    return None if asked.webhook.method != "POST" or token is None else Reply(body=token.encode())


def _cloudevents(asked: Asked) -> Reply | Rejected | None:
    if asked.webhook.method != "OPTIONS":
        return None
    origin = asked.header(b"webhook-request-origin")
    if origin is None:
        return Rejected("malformed", "there is no WebHook-Request-Origin header")
    headers = [(b"webhook-allowed-origin", origin), (b"allow", b"POST")]
    if asked.header(b"webhook-request-rate") is not None:
        headers.append((b"webhook-allowed-rate", b"*"))
    return Reply(headers=tuple(headers))


def _asana(asked: Asked) -> Reply | Rejected | None:
    """The secret is chosen by Asana, and is in its answer to whoever makes the webhook too."""
    secret = asked.header(b"x-hook-secret")
    return None if secret is None else Reply(headers=((b"x-hook-secret", secret),))


def _ringcentral(asked: Asked) -> Reply | Rejected | None:
    token = asked.header(b"validation-token")
    return None if token is None else Reply(headers=((b"validation-token", token),))


def _okta(asked: Asked) -> Reply | Rejected | None:
    if asked.webhook.method != "GET":
        return None
    challenge = asked.header(b"x-okta-verification-challenge")
    if challenge is None:
        return Rejected("malformed", "there is no X-Okta-Verification-Challenge header")
    return _json({"verification": challenge.decode()})


def _echo(asked: Asked) -> Reply | Rejected | None:
    """Dropbox, Nylas: ?challenge=."""
    if asked.webhook.method != "GET":
        return None
    challenge = asked.field("challenge")
    return (
        Rejected("malformed", "there is no challenge")
        if challenge is None
        else Reply(body=challenge.encode())
    )


GET = frozenset(("GET",))

HANDSHAKES: Mapping[str, Handshake] = MappingProxyType(
    {
        "asana": Handshake(before=_asana),
        "cloudevents": Handshake(frozenset(("OPTIONS",)), before=_cloudevents),
        "crc": Handshake(GET, before=_crc, signed=SIGNED_FOR_ANYBODY),
        "discord": Handshake(after=_discord),
        "dropbox": Handshake(GET, before=_echo),
        "graph": Handshake(before=_graph),
        "meta": Handshake(GET, before=_meta),
        "nylas": Handshake(GET, before=_echo),
        "okta": Handshake(GET, before=_okta),
        "ringcentral": Handshake(before=_ringcentral),
        "slack": Handshake(after=_slack),
        "twitch": Handshake(after=_twitch),
        "zoom": Handshake(after=_zoom),
    }
)
NO_HANDSHAKE = Handshake()


def _text(value: Any, key: str) -> str | None:
    found = value.get(key) if isinstance(value, dict) else None
    return (
        found if isinstance(found, str) and len(found) <= LONGEST_CHALLENGE and found.isprintable() else None
    )


def _json(value: Any) -> Reply:
    return Reply(body=json.dumps(value, separators=(",", ":")).encode(), content_type="application/json")
