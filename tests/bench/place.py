"""Where a bench runs, and how much it does there."""

from dataclasses import dataclass
from pathlib import Path

from tests.bench.processes import Processes


@dataclass(frozen=True, slots=True)
class Scale:
    share: float
    """Of the requests and seconds of a whole run."""
    stored_events: int
    """What "a full store" and "a full queue" mean."""

    def number(self, of_a_whole_run: int, *, least: int = 1) -> int:
        return max(least, round(of_a_whole_run * self.share))

    def seconds(self, of_a_whole_run: float, *, least: float = 0.2) -> float:
        return max(least, of_a_whole_run * self.share)


WHOLE = Scale(1.0, 1_000_000)
QUICK = Scale(0.2, 100_000)


@dataclass(frozen=True, slots=True)
class Place:
    folder: Path
    """For stores; empty at the start of a run, and gone after it."""
    processes: Processes
    scale: Scale
