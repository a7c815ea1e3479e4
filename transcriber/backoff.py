"""How long to wait before another try."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """The wait doubles from `first_seconds` to at most `longest_seconds`, give or take a fifth."""

    first_seconds: float
    longest_seconds: float

    def delay_seconds(self, attempt: int, chance: float) -> float:
        """After `attempt` failures, counted from 1; `chance`, from 0 to 1, spreads those that failed together."""
        # 2**30 is far beyond any limit here; without the cap the power itself would overflow a float
        doubled = min(self.longest_seconds, self.first_seconds * 2.0 ** min(attempt - 1, 30))
        return doubled * (0.8 + 0.4 * chance)
