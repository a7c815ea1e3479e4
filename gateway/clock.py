"""The clocks that the edges ask; everything inside is given the time as an argument."""

import time
from typing import Protocol

STEP_MS = 1000
"""A wall clock that is this far off from where it should be was set; less is drift, which is followed."""


UNSOUND_MS = 300_000
"""A wall clock that was set by more than this, which most sources tolerate, is not believed in what cannot be undone."""


class Clock(Protocol):
    def now_ms(self) -> int:
        """Unix ms that only grow, whatever is done to the wall clock, until `follow` is called: for what is stored and due."""
        ...

    def wall_ms(self) -> int:
        """Unix ms by the wall clock, which may be set at any moment: for judging what others signed."""
        ...

    def monotonic(self) -> float:
        """Seconds that only grow: for durations."""
        ...

    def moved_ms(self) -> int:
        """How far the wall clock was set forward (back: negative) since the start, against the monotonic one."""
        ...

    def follow(self) -> int:
        """Set `now_ms` to the wall clock. By how many ms it stepped; 0 where it only drifted."""
        ...


class SystemClock:
    def __init__(self) -> None:
        self._start_ms = self._offset_ms = self.wall_ms() - _steady_ms()

    def now_ms(self) -> int:
        return self._offset_ms + _steady_ms()

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()

    def moved_ms(self) -> int:
        return self.wall_ms() - _steady_ms() - self._start_ms

    def follow(self) -> int:
        step = self.wall_ms() - self.now_ms()
        if abs(step) >= STEP_MS:
            self._offset_ms += step
            return step
        self._offset_ms += max(0, step)  # never back: what was stored a moment ago is not in the future
        return 0


def _steady_ms() -> int:
    """Counts the time that the machine was suspended too, where the system can tell."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime_ns(clock) // 1_000_000
