"""What a verified webhook says of itself: its type, its ordering key, and what makes it a duplicate."""

import hashlib
import json
import re
from typing import Any

from gateway.config import Source
from gateway.model import VerifiedWebhook
from gateway.selector import Content, Selector

MAX_TYPE = 200
MAX_KEY = 256
MAX_DEDUPE_KEY = 512
"""A longer one is kept as its digest: two that differ must not become the same."""
HALF_PAIR = re.compile("[\ud800-\udfff]")


class Reading:
    """What a source's webhook says of itself. Content is never a reason to refuse: what does not fit is None."""

    def __init__(self, source: Source, verified: VerifiedWebhook) -> None:
        self.content: Content = verified.content
        self.digest = hashlib.sha256(verified.webhook.body).digest()
        self.event_type = _as_type(source.event_type.find(self.content))
        self.ordering_key = self._key(source.ordering_key, longest=MAX_KEY)
        self.dedupe_key: str | None = None
        if source.dedupe_key is not None:
            self.dedupe_key = self._dedupe_key(source.dedupe_key) or f"sha256:{self.digest.hex()}"

    def _dedupe_key(self, selector: Selector) -> str | None:
        key = self._key(selector, longest=None)
        if key is None or len(key) <= MAX_DEDUPE_KEY:
            return key
        return f"long:sha256:{hashlib.sha256(key.encode()).hexdigest()}"

    def _key(self, selector: Selector | None, *, longest: int | None) -> str | None:
        return None if selector is None else _as_key(selector.find(self.content), longest=longest)


def _as_type(value: Any) -> str | None:
    return value if isinstance(value, str) and len(value) <= MAX_TYPE and _storable(value) else None


def _as_key(value: Any, *, longest: int | None) -> str | None:
    """A string or a number that is not too long, as text; else None. `longest` None: of any length."""
    text = value if isinstance(value, str) else _number_as_text(value)
    if not text or (longest is not None and len(text) > longest):
        return None
    return text if _storable(text) else None


def _number_as_text(value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return json.dumps(value, allow_nan=False)
    except ValueError:  # infinite, or an integer of thousands of digits
        return None


def _storable(text: str) -> bool:
    """JSON can carry half of a surrogate pair, which is no text."""
    return text.isascii() or HALF_PAIR.search(text) is None
