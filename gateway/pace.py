"""How fast one destination gets its deliveries: whether it is held, when it is probed, how many attempts at once.

Values in, values out: the times are given, nothing is stored. States: steady → held → probed → easing in → steady.
"""

from collections import deque

from gateway.model import Claim, DeliveryId, Outcome, value
from gateway.retry import QUIET_STATUSES, retry_after_ms
from gateway.store import Room, Standing, StandingChange

DOWN_STATUSES = frozenset((401, 403, 408, 425, 429))
"""With 5xx: what an answer says of the destination rather than of the event."""
NOTHING_SENT = frozenset(("payload", "unsigned"))
"""Outcomes that say nothing of the destination."""
LOOKED_AT = 5
"""The last attempts, all of which must have failed for a hold."""
NEEDED_KEYS = 3
"""Ordering keys that these must be of, so that one poison event holds nothing; a delivery without a key is one of its own."""
FIRST_PROBE_SECONDS = 1.0
LONGEST_PROBE_SECONDS = 30.0


@value
class Turn:
    """What may be claimed now."""

    room: Room
    probe: bool = False
    look_at: int | None = None
    """Where there is no room: when there may be, in Unix ms; None: once an attempt is over."""


@value
class Outlook:
    """What is known of a destination beyond its standing; with the process it is forgotten."""

    next_probe_at: int | None
    """If it is held and something waits, in Unix ms; None while an attempt is under way."""
    last_error: str | None
    """Of the latest attempt that failed with something sent, whatever it says of the destination; None after a success."""
    last_error_at: int | None


class Pace:
    def __init__(self, *, max_in_flight: int, rate_per_second: float) -> None:
        self._max_in_flight = max_in_flight
        self._parallel = max_in_flight
        self._last: deque[tuple[str | DeliveryId, bool]] = deque(maxlen=LOOKED_AT)
        self._bucket = Bucket(rate_per_second) if rate_per_second else None
        self._again_next = False
        self._failure: tuple[str | None, int] | None = None
        """Error and time of the latest attempt that failed with something sent; None after a success."""
        self.held = False
        self._probe_at = 0
        self._probe_seconds = FIRST_PROBE_SECONDS
        self._probe_again_next = False
        """Probes are of what was tried and of what was not by turns, so that neither waits for all of the other: any number
        of events that always fail must not keep a destination held for those that would not."""

    def turn(self, *, in_flight: int, again_in_flight: int, now: int) -> Turn:
        """`again_in_flight` of the attempts `in_flight` are retries or replays. `now` in Unix ms."""
        if self.held:
            if in_flight:
                return Turn(Room(0, 0))
            if now < self._probe_at:
                return Turn(Room(0, 0), look_at=self._probe_at)
        free = max(0, self._parallel - in_flight)
        if free and self._bucket is not None:
            free = min(free, self._bucket.level(now))
            if not free:
                return Turn(Room(0, 0), look_at=self._bucket.next_at(now))
        if self.held:
            return Turn(Room(1, int(self._probe_again_next)), probe=True)
        return Turn(Room(free, max(0, min(self._share(free), self._share(self._parallel) - again_in_flight))))

    def has_place(self, *, in_flight: int) -> bool:
        """Whether an attempt could begin right now, without asking what else is due."""
        return not self.held and self._bucket is None and in_flight < self._parallel

    def claimed(self, *, first: int, again: int, now: int) -> None:
        """So many attempts begin."""
        self._again_next = first > 0
        if self._bucket is not None:
            self._bucket.take(first + again, now=now)

    def observe(self, claim: Claim, outcome: Outcome, *, now: int) -> StandingChange | None:
        """An attempt is over. What follows for the destination; `hold` and `release` have happened here already."""
        if outcome.kind == "success":
            return self._succeeded()
        if outcome.kind in NOTHING_SENT:
            if self.held and outcome.kind == "unsigned":
                self._probe_again(now)  # it stays in turn, and would else be the next probe at once
            return None
        self._failure = outcome.error, now
        self._last.append((claim.event.ordering_key or claim.delivery_id, is_down(outcome)))
        if self.held:
            self._probe_again(now)
            return None
        if not self._is_down():
            return None
        self._hold(probe_at=now + round(FIRST_PROBE_SECONDS * 1000))
        return "hold"

    def follow(self, standing: Standing, *, now: int) -> None:
        """What the store says: a hold of an earlier process, or one that a person ended."""
        if standing.held_at is not None and not self.held:
            self._hold(probe_at=now)
        elif standing.held_at is None and self.held:
            self._release()

    def outlook(self, *, in_flight: int, now: int) -> Outlook:
        error, error_at = self._failure or (None, None)
        return Outlook(None if in_flight else self._next_probe_at(now), error, error_at)

    def look(self) -> None:
        """Somebody may have ended the hold: the next turn asks."""
        self._probe_at = 0

    def clock_stepped(self, by_ms: int) -> None:
        self._probe_at += by_ms
        if self._failure is not None:
            error, at = self._failure
            self._failure = error, at + by_ms
        if self._bucket is not None:
            self._bucket.clock_stepped(by_ms)

    def _succeeded(self) -> StandingChange | None:
        self._last.clear()
        self._failure = None
        if self.held:
            self._release()
            return "release"
        self._parallel = min(
            self._max_in_flight, self._parallel + 1
        )  # doubles with every round of attempts that succeed
        return None

    def _is_down(self) -> bool:
        keys = {key for key, down in self._last if down}
        return (
            all(down for _, down in self._last) and len(self._last) == LOOKED_AT and len(keys) >= NEEDED_KEYS
        )

    def _hold(self, *, probe_at: int) -> None:
        self.held = True
        self._probe_at = probe_at
        self._probe_seconds = FIRST_PROBE_SECONDS

    def _probe_again(self, now: int) -> None:
        """An attempt from before the hold that fails late moves the next probe no further than a probe's failure does."""
        if now >= self._probe_at:
            self._probe_seconds = min(LONGEST_PROBE_SECONDS, self._probe_seconds * 2)
            self._probe_at = now + round(self._probe_seconds * 1000)
            self._probe_again_next = not self._probe_again_next

    def _next_probe_at(self, now: int) -> int:
        """A hold that only the store knows of yet is probed at once."""
        at = max(now, self._probe_at) if self.held else now
        if self._bucket is not None and not self._bucket.level(now):
            at = max(at, self._bucket.next_at(now))
        return at

    def _release(self) -> None:
        self.held = False
        self._parallel = 1
        self._last.clear()

    def _share(self, places: int) -> int:
        """What retries and replays may have while first attempts wait: half; of a single place, every other turn."""
        return places // 2 if places > 1 else int(self._again_next)


class Bucket:
    """Lets `per_second` things begin, evenly; what was not used is kept for so many seconds."""

    def __init__(self, per_second: float, *, kept_seconds: float = 0.1, level: float = 1.0) -> None:
        """`level`: how many may begin at once, at first."""
        self._per_second = per_second
        self._most = max(1.0, per_second * kept_seconds)
        self._level = level
        self._filled_at: int | None = None

    def level(self, now: int) -> int:
        self._fill(now)
        return int(self._level)

    def take(self, number: int, *, now: int) -> None:
        self._fill(now)
        self._level -= number

    def next_at(self, now: int) -> int:
        self._fill(now)
        return now + max(1, -int(-(1 - self._level) * 1000 // self._per_second))

    def clock_stepped(self, by_ms: int) -> None:
        if self._filled_at is not None:
            self._filled_at += by_ms

    def _fill(self, now: int) -> None:
        passed = 0 if self._filled_at is None else max(0, now - self._filled_at)
        self._level = min(self._most, self._level + passed * self._per_second / 1000)
        self._filled_at = now


def is_down(outcome: Outcome) -> bool:
    """Whether it speaks of the destination: no answer, or a status that any event would have got."""
    if outcome.status is None:
        return outcome.kind not in NOTHING_SENT
    return outcome.status in DOWN_STATUSES or outcome.status >= 500


def quiet_until(outcome: Outcome, *, now: int, horizon_ms: int) -> int | None:
    """Until when the whole destination asks to be left alone, if it does; cut at the retry horizon."""
    if outcome.status not in QUIET_STATUSES:
        return None
    asked = retry_after_ms(outcome.retry_after, now=now)
    return now + min(asked, horizon_ms) if asked else None
