"""Standard Webhooks 1.0.0: `v1` (HMAC-SHA256) and `v1a` (ed25519) over `{id}.{timestamp}.{body}`.

Also Svix, which differs in the headers' prefix. Source: the specification in standard-webhooks/standard-webhooks.
The public libraries are not used for verifying: they take no clock and no second secret, are lenient about base64
and timestamps, and raise on malformed input.
"""

import base64
import binascii
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway.model import Rejected, VerifiedWebhook, Webhook

DEFAULT_TOLERANCE_SECONDS = 300
MAX_SIGNATURES = 16
"""A request may carry several signatures while its producer rotates; more than these are not looked at."""
TIMESTAMP = re.compile(rb"[0-9]{1,12}", re.ASCII)
PARAMETERS = {"kind", "prefix", "secret_encoding", "tolerance"}


class Key(Protocol):
    @property
    def version(self) -> bytes:
        """The signatures it can check: `v1` or `v1a`. A key never checks another version's."""
        ...

    def matches(self, signature: bytes, signed: bytes) -> bool: ...


@dataclass(frozen=True, slots=True, repr=False)
class SymmetricKey:
    key: bytes
    version: bytes = b"v1"
    _keyed: hmac.HMAC = field(init=False, compare=False)
    """Copied for each message: to take in the key costs half of a short one's digest."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "_keyed", hmac.new(self.key, digestmod="sha256"))

    def sign(self, signed: bytes) -> bytes:
        mac = self._keyed.copy()
        mac.update(signed)
        return mac.digest()

    def matches(self, signature: bytes, signed: bytes) -> bool:
        return hmac.compare_digest(signature, self.sign(signed))


@dataclass(frozen=True, slots=True, repr=False)
class PublicKey:
    key: Ed25519PublicKey
    version: bytes = b"v1a"

    def matches(self, signature: bytes, signed: bytes) -> bool:
        try:
            self.key.verify(signature, signed)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True)
class StandardVerifier:
    prefix: str
    tolerance_seconds: int
    keys: tuple[SymmetricKey | PublicKey, ...]
    required_headers: tuple[bytes, ...]

    def verify(self, webhook: Webhook, *, now: int) -> VerifiedWebhook | Rejected:
        """The signature first, then the time, so that the answer tells a forger nothing about the clock."""
        names = [name.lower() for name, _ in webhook.headers]
        for name in self.required_headers:
            match names.count(name):
                case 0:
                    return Rejected("missing_header", f"there is no {name.decode()} header")
                case 1:
                    continue
                case _:
                    return Rejected("malformed", f"the {name.decode()} header stands more than once")
        event_id, timestamp, signatures = (
            webhook.headers[names.index(name)][1] for name in self.required_headers
        )
        if not event_id or not event_id.isascii() or b"." in event_id:
            return Rejected("malformed", f"the {self.prefix}id is empty, not ASCII, or has a dot in it")
        if not TIMESTAMP.fullmatch(timestamp):
            return Rejected("malformed", f"the {self.prefix}timestamp is not a whole number of Unix seconds")
        secret = self._match(signatures, b".".join((event_id, timestamp, webhook.body)))
        if secret is None:
            return Rejected("bad_signature", _why_no_match(signatures, self.keys))
        return self._check_time(int(timestamp), now=now) or VerifiedWebhook(webhook, secret=secret)

    def sign(self, event_id: str, body: bytes, *, now: int) -> dict[str, str]:
        key = next((key for key in self.keys if isinstance(key, SymmetricKey)), None)
        if key is None:
            raise ValueError("this source has only public keys (whpk_…), which cannot sign")
        if not (event_id.isascii() and event_id.isprintable() and event_id) or "." in event_id:
            raise ValueError("an id must be printable ASCII, not empty, and without a dot")
        if not 0 <= now < 10**12:
            raise ValueError("the time must be Unix seconds")
        signed = b".".join((event_id.encode(), str(now).encode(), body))
        return {
            f"{self.prefix}id": event_id,
            f"{self.prefix}timestamp": str(now),
            f"{self.prefix}signature": "v1," + base64.b64encode(key.sign(signed)).decode(),
        }

    def _match(self, signatures: bytes, signed: bytes) -> int | None:
        """The index of the secret that made one of the signatures."""
        for entry in signatures.split(b" ")[:MAX_SIGNATURES]:
            version, _, encoded = entry.partition(b",")
            signature = _strict_base64(encoded)
            if not signature:
                continue
            for index, key in enumerate(self.keys):
                if key.version == version and key.matches(signature, signed):
                    return index
        return None

    def _check_time(self, sent: int, *, now: int) -> Rejected | None:
        if now - sent > self.tolerance_seconds:
            return Rejected("too_old", f"sent {now - sent} s ago; {self.tolerance_seconds} s are allowed")
        if sent - now > self.tolerance_seconds:
            return Rejected(
                "too_new", f"sent {sent - now} s in the future; {self.tolerance_seconds} s are allowed"
            )
        return None


def compile_standard(parameters: Mapping[str, Any], secrets: Sequence[str]) -> StandardVerifier:
    unknown = sorted(set(parameters) - PARAMETERS)
    if unknown:
        raise ValueError(
            f"kind standard has no parameter {unknown[0]!r}; it has {', '.join(sorted(PARAMETERS))}"
        )
    prefix = parameters.get("prefix") or "webhook-"
    if not isinstance(prefix, str) or not re.fullmatch(r"[A-Za-z0-9-]+", prefix):
        raise ValueError("prefix must be the start of a header's name, such as webhook- or svix-")
    encoding = parameters.get("secret_encoding") or "base64"
    if encoding not in ("base64", "utf8"):
        raise ValueError(f"secret_encoding {encoding!r} is neither base64 nor utf8")
    tolerance = parameters.get("tolerance")
    if tolerance is None:
        tolerance = DEFAULT_TOLERANCE_SECONDS
    if type(tolerance) is not int or not 0 < tolerance <= 86_400:
        raise ValueError("tolerance must be a whole number of seconds from 1 to 86400")
    if not secrets:
        raise ValueError("at least one secret is needed")
    prefix = prefix.lower()
    return StandardVerifier(
        prefix=prefix,
        tolerance_seconds=tolerance,
        keys=tuple(_key(secret, encoding=encoding) for secret in secrets),
        required_headers=tuple(f"{prefix}{part}".encode() for part in ("id", "timestamp", "signature")),
    )


def _key(secret: str, *, encoding: str) -> SymmetricKey | PublicKey:
    """The key in a secret as producers print it: `whsec_…`, `whpk_…`, bare base64, Supabase's `v1,whsec_…`."""
    if secret != secret.strip():
        raise ValueError("a secret has white space around it: it was probably pasted with a line end")
    if encoding == "utf8":
        return SymmetricKey(_not_empty(secret.encode()))
    if secret.startswith("whsk_"):
        raise ValueError("a secret is a private key (whsk_…): the receiver needs the public one (whpk_…)")
    if secret.startswith("whpk_"):
        return _public_key(secret.removeprefix("whpk_"))
    encoded = secret.removeprefix("v1,").removeprefix("whsec_")
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except ValueError:
        raise ValueError(
            'a secret is not base64 (whsec_…); if the producer uses it as text, set secret_encoding = "utf8"'
        ) from None
    return SymmetricKey(_not_empty(key))


def _public_key(encoded: str) -> PublicKey:
    key = _strict_base64(encoded.encode())
    if key is None or len(key) != 32:
        raise ValueError("a public key (whpk_…) is not the base64 of 32 bytes")
    return PublicKey(Ed25519PublicKey.from_public_bytes(key))


def _not_empty(key: bytes) -> bytes:
    if not key:
        raise ValueError("a secret is empty: anybody could sign with it")
    return key


def _strict_base64(encoded: bytes) -> bytes | None:
    """None for anything but canonical base64: Python's decoder drops what it does not know."""
    try:
        decoded = binascii.a2b_base64(encoded)
    except binascii.Error:
        return None
    return decoded if binascii.b2a_base64(decoded, newline=False) == encoded else None


def _why_no_match(signatures: bytes, keys: tuple[SymmetricKey | PublicKey, ...]) -> str:
    carried = {entry.partition(b",")[0] for entry in signatures.split(b" ")[:MAX_SIGNATURES] if b"," in entry}
    wanted = {key.version for key in keys}
    if not carried:
        return "the signature header has no entry of the form VERSION,BASE64"
    if not carried & wanted:
        return f"the secrets check {b', '.join(sorted(wanted)).decode()} signatures, and the request carries none"
    return "no secret of this source made a signature of this request: another secret, or a changed body"
