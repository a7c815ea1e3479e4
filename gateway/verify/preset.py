"""A producer known by name: how it signs, and what is true of its webhooks by default."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Preset:
    """What `preset = "NAME"` stands for: the scheme's parameters and this producer's defaults."""

    title: str
    """The producer's name as it writes it."""
    verify: Mapping[str, Any]
    """The parameters of `[sources.verify]`."""
    secret: str
    """What to paste into `secrets`, and where the producer shows it. One sentence."""
    console: str
    """Where the gateway's URL goes: in its console, or in which call. One sentence."""
    safe: str
    """Why the defaults for repeats (dedupe_key, same_id, replay_guard) are safe. One sentence."""
    event_type: str = "json:type"
    dedupe_key: str = "body"
    """A selector, `body` (its digest), or `none`."""
    same_id: Literal["new", "duplicate"] = "new"
    """`duplicate` where the body of one event changes between attempts."""
    replay_guard: bool = False
    """Whether a known signature is a duplicate: where neither an id nor a time is signed."""
    handshake: str | None = None
    """The question that this producer asks of a URL before or while it sends events there."""
    acknowledgement: Literal["json", "empty"] = "json"
    """`empty`: 200 without a body, for producers that show or interpret the answer."""
