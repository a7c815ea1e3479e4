"""W3C Trace Context: which trace an event belongs to, and the ids of its spans.

They are made of what the store has anyway: the event's id, the destination, the attempt's number. So an attempt after a
restart, or after days of retries, finds its trace again, and nothing is stored for it.
https://www.w3.org/TR/trace-context/
"""

import hashlib
import re
from dataclasses import dataclass

from gateway.model import Claim, EventId, Webhook

SAMPLED = 0x01
RANDOM = 0x02
"""The trace's id is random in its last seven bytes: stays true as long as the id does."""
IDS = rb"-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
TRACEPARENT = re.compile(rb"00" + IDS + rb"|(?!00|ff)[0-9a-f]{2}" + IDS + rb"(-[\x21-\x7e]*)?")


@dataclass(frozen=True, slots=True)
class Context:
    """A span's place."""

    trace_id: int
    span_id: int
    flags: int

    def header(self) -> bytes:
        """A `traceparent`."""
        return b"00-%032x-%016x-%02x" % (self.trace_id, self.span_id, self.flags)


def received(webhook: Webhook) -> bytes | None:
    """The producer's `traceparent`; None where there is none, or several, or one that the standard does not allow."""
    values = webhook.values(b"traceparent")
    return values[0] if len(values) == 1 and TRACEPARENT.fullmatch(values[0]) else None


def read(traceparent: bytes) -> Context:
    """Of a sound one. Of a later version than 00 it is what that one knows: the ids, and whether it is sampled."""
    flags = int(traceparent[53:55], 16) & (0xFF if traceparent.startswith(b"00") else SAMPLED)
    return Context(int(traceparent[3:35], 16), int(traceparent[36:52], 16), flags)


def made_of(event_id: EventId) -> bytes:
    """The `traceparent` that names the span of its acceptance, as the root of a trace of its own."""
    digest = hashlib.sha256(event_id.encode()).hexdigest()
    return f"00-{digest[:32]}-{digest[32:48]}-01".encode()


def attempt_id(claim: Claim, number: int) -> int:
    """Of the span of the delivery's attempt `number`."""
    name = f"{claim.event.id}/{claim.destination}/{number}"
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8])


def passed_on(claim: Claim, producer: bytes | None) -> bytes:
    """The `traceparent` of an attempt where nothing is traced here: the producer's, else the event's own."""
    return producer or made_of(claim.event.id)
