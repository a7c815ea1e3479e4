"""Text to bytes, strictly: what Python's own decoders let pass is one more way to write the same signature."""

import binascii
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

DIGITS = re.compile(rb"[0-9]+", re.ASCII)


def from_base64(text: bytes) -> bytes | None:
    """None for anything but canonical base64: Python's decoder drops what it does not know."""
    try:
        decoded = binascii.a2b_base64(text)
    except (binascii.Error, ValueError):
        return None
    return decoded if binascii.b2a_base64(decoded, newline=False) == text else None


def from_base64url(text: bytes) -> bytes | None:
    """Without padding, as in JSON Web Tokens, or with it."""
    if b"+" in text or b"/" in text:
        return None
    padded = text if text.endswith(b"=") else text + b"=" * (-len(text) % 4)
    return from_base64(padded.translate(TO_STANDARD))


def from_hex(text: bytes) -> bytes | None:
    """Of either case, and nothing between the digits."""
    try:
        return binascii.a2b_hex(text)
    except (binascii.Error, ValueError):
        return None


def to_base64(data: bytes) -> bytes:
    return binascii.b2a_base64(data, newline=False)


def to_base64url(data: bytes) -> bytes:
    return to_base64(data).translate(TO_URL).rstrip(b"=")


def whole_number(text: bytes, *, digits: int) -> int | None:
    """Of exactly so many ASCII digits: a sign, a space or an underscore is none."""
    return int(text) if len(text) == digits and DIGITS.fullmatch(text) else None


TO_STANDARD = bytes.maketrans(b"-_", b"+/")
TO_URL = bytes.maketrans(b"+/", b"-_")

DECODERS: Mapping[str, Callable[[bytes], bytes | None]] = MappingProxyType(
    {"hex": from_hex, "base64": from_base64, "base64url": from_base64url}
)
ENCODERS: Mapping[str, Callable[[bytes], bytes]] = MappingProxyType(
    {"hex": binascii.b2a_hex, "base64": to_base64, "base64url": to_base64url}
)
