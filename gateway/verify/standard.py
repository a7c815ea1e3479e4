"""Standard Webhooks 1.0.0: `v1` (HMAC-SHA256) and `v1a` (ed25519) over `{id}.{timestamp}.{body}`.

Also Svix, which differs in the headers' prefix. Source: the specification in standard-webhooks/standard-webhooks.
The public libraries are not used for verifying: they take no clock and no second secret, are lenient about base64
and timestamps, and raise on malformed input.
"""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.model import Rejected, Webhook
from gateway.selector import Content
from gateway.verify.encoding import from_base64, to_base64
from gateway.verify.keys import MacKey, PublicKey, public_key
from gateway.verify.parameters import Parameters, no_public_key, usable
from gateway.verify.scheme import Confirmed, Signed
from gateway.verify.signature import MAX_SIGNATURES
from gateway.verify.timestamp import DEFAULT_TOLERANCE_SECONDS

TIMESTAMP = re.compile(rb"[0-9]{1,12}", re.ASCII)


@dataclass(frozen=True, slots=True, repr=False)
class VersionedKey:
    version: bytes
    """The signatures it can check: `v1` or `v1a`. A key never checks another version's."""
    key: MacKey | PublicKey

    @property
    def signs(self) -> bool:
        return isinstance(self.key, MacKey)


@dataclass(slots=True)
class Presented:
    signatures: bytes
    signed: bytes
    timestamp: bytes


@dataclass(frozen=True, slots=True)
class StandardScheme:
    prefix: str
    is_text_key: bool
    """The secret itself is the key, not what it is the base64 of."""
    tolerance_seconds: int
    required_headers: tuple[bytes, ...]
    credential: None = None
    unsignable: None = None

    def key(self, secret: str) -> VersionedKey:
        """Of a secret as producers print it: `whsec_…`, `whpk_…`, bare base64, Supabase's `v1,whsec_…`."""
        usable(secret)
        if self.is_text_key:
            return VersionedKey(b"v1", MacKey(no_public_key(secret).encode()))
        if secret.startswith("whsk_"):
            raise ValueError("a secret is a private key (whsk_…): the receiver needs the public one (whpk_…)")
        if secret.startswith("whpk_"):
            encoded = secret.removeprefix("whpk_")
            try:
                return VersionedKey(b"v1a", public_key(encoded, algorithm="ed25519", encoding="raw-b64"))
            except ValueError:
                raise ValueError("a public key (whpk_…) is not the base64 of 32 bytes") from None
        return VersionedKey(b"v1", MacKey(_decoded(secret.removeprefix("v1,").removeprefix("whsec_"))))

    def read(self, content: Content) -> Presented | Rejected:
        found: dict[bytes, bytes] = {}
        wanted = self.required_headers
        for name, value in content.webhook.headers:
            key = name.lower()
            if key in wanted:
                if key in found:
                    return Rejected("malformed", f"the {key.decode()} header stands more than once")
                found[key] = value
        if len(found) < len(wanted):
            missing = next(name for name in wanted if name not in found)
            return Rejected("missing_header", f"there is no {missing.decode()} header")
        event_id, timestamp, signatures = (found[name] for name in wanted)
        if not event_id or not event_id.isascii() or b"." in event_id:
            return Rejected("malformed", f"the {self.prefix}id is empty, not ASCII, or has a dot in it")
        if not TIMESTAMP.fullmatch(timestamp):
            return Rejected("malformed", f"the {self.prefix}timestamp is not a whole number of Unix seconds")
        return Presented(signatures, b".".join((event_id, timestamp, content.webhook.body)), timestamp)

    def match(self, presented: Presented, key: VersionedKey) -> bytes | None:
        signatures = []
        for entry in presented.signatures.split(b" ")[:MAX_SIGNATURES]:
            version, _, encoded = entry.partition(b",")
            if version == key.version and (signature := from_base64(encoded)):
                signatures.append(signature)
        return key.key.find(signatures, presented.signed) if signatures else None

    def why_not(self, presented: Presented) -> str:
        entries = presented.signatures.split(b" ")[:MAX_SIGNATURES]
        versions = {entry.partition(b",")[0] for entry in entries if b"," in entry}
        if not versions:
            return "the signature header has no entry of the form VERSION,BASE64"
        if not versions & {b"v1", b"v1a"}:
            return "the request carries neither a v1 nor a v1a signature"
        return "no secret of this source made a signature of this request: another secret, or a changed body"

    def confirm(self, presented: Presented, content: Content, *, now: int) -> Confirmed:  # noqa: ARG002 - one shape for all kinds
        return Confirmed(int(presented.timestamp))

    def sign(self, webhook: Webhook, key: VersionedKey, *, now: int, url: str) -> Signed:  # noqa: ARG002 - see confirm
        """The id is the one that the webhook has."""
        if not isinstance(key.key, MacKey):
            raise ValueError("this source has a public key (whpk_…), which cannot sign")  # noqa: TRY004 - for the operator
        name = self.required_headers[0]
        ids = webhook.values(name)
        event_id = ids[0] if len(ids) == 1 else b""
        if not re.fullmatch(rb"[\x20-\x2d\x2f-\x7e]+", event_id):
            raise ValueError(
                f"a webhook of this kind needs its id in {name.decode()}: printable ASCII, not empty, and without a dot"
            )
        if not 0 <= now < 10**12:
            raise ValueError("the time must be Unix seconds")
        timestamp = str(now).encode()
        signature = key.key.sign(b".".join((event_id, timestamp, webhook.body)))
        values = (event_id, timestamp, b"v1," + to_base64(signature))
        return Signed(tuple(zip(self.required_headers, values, strict=True)), body=webhook.body)


def compile_standard(table: Mapping[str, Any], *, public_url: str) -> StandardScheme:  # noqa: ARG001 - one shape for all kinds
    parameters = Parameters(table, of="kind standard")
    prefix = parameters.text("prefix", "webhook-")
    if not re.fullmatch(r"[A-Za-z0-9-]+", prefix):
        raise ValueError("prefix must be the start of a header's name, such as webhook- or svix-")
    encoding = parameters.choice("secret_encoding", ("base64", "utf8"), "base64")
    tolerance = parameters.seconds("tolerance", DEFAULT_TOLERANCE_SECONDS)
    parameters.close()
    prefix = prefix.lower()
    headers = tuple(f"{prefix}{part}".encode() for part in ("id", "timestamp", "signature"))
    return StandardScheme(prefix, encoding == "utf8", tolerance, headers)


def _decoded(encoded: str) -> bytes:
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except ValueError:
        raise ValueError(
            'a secret is not base64 (whsec_…); if the producer uses it as text, set secret_encoding = "utf8"'
        ) from None
    if not key:
        raise ValueError("a secret is empty: anybody could sign with it")
    return key
