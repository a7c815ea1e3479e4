"""The benches run, at a hundredth of their size, and what they found is what the documentation shows."""

import dataclasses
import json
import math
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.bench.__main__ import DOCS, FIGURES
from tests.bench.chart import svg
from tests.bench.figures import hostile
from tests.bench.place import Place, Scale
from tests.bench.processes import Processes
from tests.bench.report import pages, table, write
from tests.bench.result import Claim, Figure, Panel, Series, distribution

TINY = Scale(0.005, 600)
CORRECTNESS = {"repeated or out of order", "lost or out of order", "dead letters"}
"""What holds however small the run and however slow the machine."""


@pytest.mark.parametrize(
    "name", ["sustained", "backlog", "outage", "processor", "queue", "speech", "hostile"]
)
def test_a_bench_runs_and_nothing_is_lost_repeated_or_out_of_order(name: str, tmp_path: Path) -> None:
    with Processes() as processes:
        figure = FIGURES[name](Place(tmp_path, processes, TINY))
    assert [claim for claim in figure.claims if claim.text in CORRECTNESS and not claim.met] == []
    assert all(len(row) == len(figure.columns) for row in figure.rows)
    assert all(math.isfinite(cell) for row in figure.rows for cell in row if not isinstance(cell, str))


def hostile_round(under_ms: float = 1.0, *, quiet_ms: float = 1.0, stolen_ms: int = 0) -> hostile.Round:
    """One in fifty webhooks takes so long."""
    quiet, under = (hostile.Stream([1.0] * 98 + [ms] * 2, 0.2, 0) for ms in (quiet_ms, under_ms))
    return hostile.Round(dataclasses.replace(quiet, stolen_ms=stolen_ms), under, quiet, 100.0, 0)


@pytest.mark.parametrize(
    ("stolen_ms", "taken"),
    [
        ([0], 0),
        ([10], 0),
        ([20, 10], 1),
        ([20, 30, 0], 2),
        ([40, 20, 30, 30], 1),
    ],
)
def test_a_round_from_which_the_processor_was_stolen_is_measured_again(
    stolen_ms: list[int], taken: int
) -> None:
    rounds = [hostile_round(stolen_ms=ms) for ms in stolen_ms]
    left = iter(rounds)
    assert hostile.undisturbed(lambda: next(left)) is rounds[taken]
    assert list(left) == []


@pytest.mark.parametrize(
    ("felt", "seen"), [([2.1] * 3, True), ([1.0, 2.1, 2.1], True), ([2.1, 1.0, 1.0], False)]
)
@pytest.mark.parametrize("noise_ms", [1.0, 50.0])
def test_the_claim_of_the_hostile_figure_sees_what_is_felt_of_one_attack_in_most_rounds_whatever_is_noisy_elsewhere(
    felt: list[float], seen: bool, noise_ms: float
) -> None:
    others = dict.fromkeys(hostile.ATTACKS, [hostile_round(quiet_ms=noise_ms)] * 3)
    for name, attack in hostile.ATTACKS.items():
        (claim,) = hostile.figure({**others, name: [hostile_round(ms) for ms in felt]}).claims
        assert claim.met is not (seen and attack.is_bounded)


def test_the_page_and_its_plots_are_what_the_measured_figures_say() -> None:
    content = json.loads((DOCS / "benchmarks.json").read_text("utf-8"))
    written = {
        path.name: path.read_text("utf-8") for path in DOCS.glob("benchmark*.*") if path.suffix != ".json"
    }
    assert written == pages(content)


def test_every_bench_is_on_the_page() -> None:
    assert list(json.loads((DOCS / "benchmarks.json").read_text("utf-8"))["figures"]) == list(FIGURES)


@pytest.mark.parametrize(
    ("claim", "met"),
    [
        (Claim("ratio", 0.35, at_least=0.35), True),
        (Claim("ratio", 0.349, at_least=0.35), False),
        (Claim("p99", 10.0, at_most=10.0, unit="ms"), True),
        (Claim("p99", 10.1, at_most=10.0, unit="ms"), False),
    ],
)
def test_a_claim_is_met_up_to_its_bound(claim: Claim, met: bool) -> None:
    assert claim.met is met


def test_a_claim_that_is_not_met_says_so_on_the_page_and_in_the_terminal(tmp_path: Path) -> None:
    figure = Figure(
        title="Speed", how="", columns=["rate"], rows=[[1.0]], claims=[Claim("rate", 1.0, at_least=2.0)]
    )
    machine = dict.fromkeys(("cores", "processor", "system", "python", "sqlite", "fsync_p50_ms"), "x")
    write(tmp_path, machine, {"speed": figure}, names=["speed"])
    assert "**not met**" in (tmp_path / "benchmarks.md").read_text("utf-8")
    assert "NOT MET" in table(figure)


def test_measuring_one_figure_leaves_the_others_on_the_page_each_with_its_machine(tmp_path: Path) -> None:
    machine = dict.fromkeys(("cores", "processor", "system", "python", "sqlite", "fsync_p50_ms"), "x")
    for name in ("second", "first"):
        figure = Figure(title=name, how="", columns=["rate"], rows=[[1.0]])
        write(tmp_path, machine | {"processor": f"the {name}"}, {name: figure}, names=["first", "second"])
    assert list(json.loads((tmp_path / "benchmarks.json").read_text())["figures"]) == ["first", "second"]
    page = (tmp_path / "benchmarks.md").read_text("utf-8")
    assert (
        page.index("## first")
        < page.index("of the first")
        < page.index("## second")
        < page.index("of the second")
    )


def test_a_plot_is_sound_xml_whatever_a_series_is_called() -> None:
    panel = Panel("a < b & c", "x", "y", [distribution("<name>", [0.001, 1.0, 50.0])], log_x=True)
    bars = Panel("bars", "x", "", [Series("bars", [("a & b", 3.0)])], kind="bars")
    texts = [element.text for element in ET.fromstring(svg([panel, bars])).iter()]  # noqa: S314 - our own
    assert {"a < b & c", "<name>", "a & b"} <= set(texts)
