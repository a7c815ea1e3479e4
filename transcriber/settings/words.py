"""What values must look like, and what to say of words that nobody knows."""

import base64
import binascii
import difflib
from collections.abc import Iterable
from urllib.parse import urlsplit

import httpx


def is_http_url(value: str) -> bool:
    try:
        parts = urlsplit(value)
        # httpx has rules of its own for names, and it is what makes the requests
        return parts.scheme in {"http", "https"} and bool(httpx.URL(value).host) and (parts.port or 1) > 0
    except (ValueError, httpx.InvalidURL):
        return False


def is_webhook_secret(value: str) -> bool:
    try:
        return value.startswith("whsec_") and bool(
            base64.b64decode(value.removeprefix("whsec_"), validate=True)
        )
    except (binascii.Error, ValueError):
        return False


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown word: empty where nothing is near."""
    near = difflib.get_close_matches(word, sorted(known), n=1)
    return f": did you mean {near[0]}?" if near else ""
