"""A clock that stands still until a test moves it."""

from gateway.clock import STEP_MS


class ManualClock:
    def __init__(self, now_ms: int = 1_795_341_600_000) -> None:
        self._now_ms = self._wall_ms = now_ms
        self._moved_ms = 0
        self._monotonic = 1000.0

    def now_ms(self) -> int:
        return self._now_ms

    def wall_ms(self) -> int:
        return self._wall_ms

    def monotonic(self) -> float:
        return self._monotonic

    def moved_ms(self) -> int:
        return self._moved_ms

    def follow(self) -> int:
        step = self._wall_ms - self._now_ms
        self._now_ms = self._wall_ms
        return step if abs(step) >= STEP_MS else 0

    def advance(self, seconds: float) -> None:
        self._now_ms += round(seconds * 1000)
        self._wall_ms += round(seconds * 1000)
        self._monotonic += seconds

    def set_wall(self, by_seconds: float) -> None:
        """Somebody sets the wall clock; no time passes."""
        self._wall_ms += round(by_seconds * 1000)
        self._moved_ms += round(by_seconds * 1000)
