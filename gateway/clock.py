"""The clocks that the edges ask; everything inside is given the time as an argument."""

import time
from typing import Protocol


class Clock(Protocol):
    def now_ms(self) -> int:
        """Unix milliseconds by the wall clock, which may step."""
        ...

    def monotonic(self) -> float:
        """Seconds that only grow: for durations."""
        ...


class SystemClock:
    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()
