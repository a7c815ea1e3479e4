"""One event on its way to one destination, as the ledger has it."""

from dataclasses import dataclass

from gateway.model import DestinationName, EventId

Key = tuple[EventId, DestinationName]


@dataclass(slots=True)
class Delivery:
    event: EventId
    destination: DestinationName
    key: str | None
    place: int
    """In the order of queueing."""
    queued: int
    """In running time, as are the next two."""
    live: int | None = None
    """When its key was free for it, at the earliest; None: no attempt yet."""
    failed: int | None = None
    """Its first failure since it was queued."""
    not_before: int = 0
    again: bool = False
    state: str = "pending"
    attempts: int = 0
    lease: tuple[int, int] | None = None
    """Attempt and end."""
    finished_at: int = 0
    """Unix ms, as the gateway's clock had it."""
    loose: bool = False
    """A clock was set while no process watched: its times mean nothing any more."""
    answered: int = 0
    """Attempts that the destination took."""
