"""What a bench found, as values that JSON can carry: a table, curves, and the claims that it is held to."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Cell = str | float


@dataclass(frozen=True, slots=True)
class Claim:
    """Something that is said of the gateway; the figure beside it may disprove it."""

    text: str
    value: float
    at_least: float | None = None
    at_most: float | None = None
    unit: str = ""

    @property
    def met(self) -> bool:
        return (self.at_least is None or self.value >= self.at_least) and (
            self.at_most is None or self.value <= self.at_most
        )


@dataclass(frozen=True, slots=True)
class Series:
    name: str
    points: Sequence[tuple[Cell, float]]
    """Of x and y. In a panel of bars x is the bar's name."""


@dataclass(frozen=True, slots=True)
class Panel:
    title: str
    x: str
    y: str
    series: Sequence[Series]
    kind: Literal["lines", "bars"] = "lines"
    log_x: bool = False
    marks: Sequence[tuple[str, float]] = ()
    """Lines across, with what they say and their y."""


@dataclass(frozen=True, slots=True)
class Figure:
    title: str
    how: str
    """What was done, and what the figure does not say."""
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    claims: Sequence[Claim] = ()
    panels: Sequence[Panel] = field(default=())


def from_json(figure: dict[str, Any]) -> Figure:
    """The inverse of `dataclasses.asdict`, as far as JSON left it."""
    panels = [
        Panel(**{**panel, "series": [Series(**series) for series in panel["series"]]})
        for panel in figure["panels"]
    ]
    claims = [Claim(**claim) for claim in figure["claims"]]
    return Figure(**{**figure, "panels": panels, "claims": claims})


def quantile(ordered: Sequence[float], share: float) -> float:
    """Of values in ascending order."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def distribution(name: str, ordered: Sequence[float]) -> Series:
    """How many per cent of the values are up to each; thinned to what a plot can show."""
    shares = [*(n / 100 for n in range(100)), 0.995, 0.999, 1.0]
    return Series(name, [(quantile(ordered, share), share * 100) for share in shares])
