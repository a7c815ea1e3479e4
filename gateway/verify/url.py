"""URLs and forms as producers sign them. The URL is the configured one: what a request says of its own host is not believed."""

import re
from urllib.parse import unquote_to_bytes, urlsplit

FORM = re.compile(rb"(?:[^%&= ]++|%[0-9A-F]{2})*+", re.ASCII)
"""A name or a value: escapes in upper case alone, so that no other bytes mean the same. Without a way back, which costs memory."""
MAX_PAIRS = 1000
"""Of a form; it is sorted before anybody is known to have signed it."""
NOT_IN_A_QUERY = re.compile(rb"""[^\x21-\x7e]|["<>\\^`{}]""", re.ASCII)
DEFAULT_PORTS = {"https": 443, "http": 80}

HUBSPOT_DECODED = {
    "%3A": ":",
    "%2F": "/",
    "%3F": "?",
    "%40": "@",
    "%21": "!",
    "%24": "$",
    "%27": "'",
    "%28": "(",
    "%29": ")",
    "%2A": "*",
    "%2C": ",",
    "%3B": ";",
}
HUBSPOT_ESCAPE = re.compile("|".join(HUBSPOT_DECODED), re.IGNORECASE)


def signed_urls(public_url: str, query: bytes, *, variants: int) -> list[str]:
    """`public_url` with the query that came; with two variants, also with its port written out, or left out."""
    base = public_url.partition("?")[0]
    text = query.decode("latin-1")
    url = f"{base}?{text}" if text else base
    if variants == 1:
        return [url]
    return [url, _other_port(url)]


def hubspot_decoded(url: str) -> str:
    return HUBSPOT_ESCAPE.sub(lambda match: HUBSPOT_DECODED[match[0].upper()], url)


def form_sorted(body: bytes) -> bytes | None:
    """Names and values without anything in between, by name, then value, each pair once; None where it is no form."""
    if body.count(b"&") >= MAX_PAIRS:
        return None
    values: dict[bytes, set[bytes]] = {}
    for pair in body.split(b"&") if body else ():
        name, _, value = pair.partition(b"=")
        if not FORM.fullmatch(name) or not FORM.fullmatch(value.replace(b"=", b"")):
            return None
        values.setdefault(_unquoted(name), set()).add(_unquoted(value))
    return b"".join(name + value for name in sorted(values) for value in sorted(values[name]))


def _unquoted(text: bytes) -> bytes:
    return unquote_to_bytes(text.replace(b"+", b" "))


def _other_port(url: str) -> str:
    parts = urlsplit(url)
    host = parts.netloc
    default = f"{host}:{DEFAULT_PORTS.get(parts.scheme, 443)}"
    other = default if parts.port is None else host.rpartition(":")[0]
    return url.replace(f"//{host}", f"//{other}", 1)
