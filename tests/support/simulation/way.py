"""What the ledger knows of one destination."""

from collections import deque
from dataclasses import dataclass, field

from gateway.config import Destination
from gateway.pace import LOOKED_AT, NEEDED_KEYS
from tests.support.simulation.delivery import Delivery


@dataclass(slots=True)
class Way:
    settings: Destination
    paused: bool = False
    held: bool = False
    quiet_until: int = 0
    stopped: int = 0
    """For how long it was paused or held."""
    loose: bool = False
    held_since: int = 0
    probed: tuple[int, Delivery, list[Delivery]] | None = None
    """The last probe of this hold, by this process, and what waited when its failure was recorded."""
    probe: tuple[int, int] | None = None
    """The delivery and attempt last claimed as one."""
    tried_at: int = 0
    """When the last attempt ended, or the hold began."""
    looked_at: tuple[int, int] = (0, 0)
    """Changes and time when its lane last looked for work."""
    left: list[Delivery] = field(default_factory=list)
    """What was due when its lane last looked and filled all its room."""
    begun: list[int] = field(default_factory=list)
    """When this process began attempts."""
    last: deque[tuple[object, bool]] = field(default_factory=lambda: deque(maxlen=LOOKED_AT))
    since: deque[tuple[object, bool]] = field(default_factory=lambda: deque(maxlen=LOOKED_AT))
    """The same, since anything may have made the gateway forget them."""
    releases: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    """Key → the places of deliveries of it that are over, or were queued anew, and when they let the next pass; in running time."""

    @property
    def wait(self) -> int:
        return round(self.settings.order_wait_seconds * 1000)

    @property
    def stopped_now(self) -> bool:
        return self.paused or self.held

    def is_down(self, last: deque[tuple[object, bool]]) -> bool:
        keys = {key for key, _ in last}
        return len(last) == LOOKED_AT and all(down for _, down in last) and len(keys) >= NEEDED_KEYS
