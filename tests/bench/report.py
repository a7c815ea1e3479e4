"""What the benches found, for a terminal, and as docs/benchmarks.{json,md} and a plot each."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.bench.chart import svg
from tests.bench.result import Cell, Claim, Figure, from_json

PROLOGUE = """# Benchmarks

`make bench` measures all of this anew in some thirty-five minutes, most of them for the long queue, the storm, the pages and the hour of speech, and writes this page, its plots and `benchmarks.json`;
`make bench BENCH=--quick` does less of it, in some five minutes, and only prints; `make bench BENCH="latency pruning"`
measures what is named and leaves the rest of the page. Everything runs on one machine over loopback,
generator and destination beside the gateway, on the same cores: a number here is one of this machine and a ratio
travels better. What else ran on it then is not known, so repeat it before you believe it.
"""


def table(figure: Figure) -> str:
    """Aligned, for a terminal."""
    cells = [list(figure.columns), *([shown(cell) for cell in row] for row in figure.rows)]
    widths = [max(len(row[n]) for row in cells) for n in range(len(figure.columns))]
    texts = [n for n in range(len(widths)) if all(isinstance(row[n], str) for row in figure.rows)]
    lines = [
        "  ".join(
            cell.ljust(width) if n in texts else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]
    return "\n".join([*lines, *(f"  {verdict(claim)}" for claim in figure.claims)])


def verdict(claim: Claim) -> str:
    unit = f" {claim.unit}" if claim.unit else ""
    bound = f"≥ {shown(claim.at_least)}" if claim.at_least is not None else f"≤ {shown(claim.at_most or 0)}"
    return f"{claim.text}: {shown(claim.value)}{unit}, claimed {bound}{unit}: {'met' if claim.met else 'NOT MET'}"


def shown(cell: Cell) -> str:
    if isinstance(cell, str):
        return cell
    if cell == round(cell) or abs(cell) >= 100:
        return f"{cell:.0f}"
    return f"{cell:.1f}" if abs(cell) >= 10 else f"{cell:.2f}"


def write(
    docs: Path, machine: Mapping[str, str | float], figures: Mapping[str, Figure], *, names: Sequence[str]
) -> None:
    """Those of `figures`; what is written of the others of `names` stays."""
    path = docs / "benchmarks.json"
    before = json.loads(path.read_text("utf-8"))["figures"] if path.exists() else {}
    measured = {
        name: _rounded(asdict(figure)) | {"machine": dict(machine)} for name, figure in figures.items()
    }
    known = {**before, **measured}
    content = {"figures": {name: known[name] for name in names if name in known}}
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")
    for file, text in pages(content).items():
        (docs / file).write_text(text, "utf-8")


def pages(content: Mapping[str, Any]) -> dict[str, str]:
    """The page and its plots, by the names of their files, from what benchmarks.json holds."""
    machines = {name: figure["machine"] for name, figure in content["figures"].items()}
    figures = {
        name: from_json({key: value for key, value in figure.items() if key != "machine"})
        for name, figure in content["figures"].items()
    }
    plots = {f"benchmark-{name}.svg": svg(figure.panels) for name, figure in figures.items() if figure.panels}
    parts = [PROLOGUE, _claims(figures)]
    parts += [_section(name, figure, machines[name]) for name, figure in figures.items()]
    return {"benchmarks.md": "\n".join(parts), **plots}


def _machine(said: Mapping[str, Any]) -> str:
    return (
        f"Measured on {said['cores']} cores of {said['processor']}, {said['system']}, Python {said['python']}, "
        f"SQLite {said['sqlite']}; an fsync of one page took {said['fsync_p50_ms']} ms (median).\n"
    )


def _claims(figures: Mapping[str, Figure]) -> str:
    rows: list[list[Cell]] = [
        [f"[{figure.title}](#{name})", *_columns(claim)]
        for name, figure in figures.items()
        for claim in figure.claims
    ]
    return f"## Claims\n\n{_markdown(['figure', 'what', 'measured', 'claimed', ''], rows)}"


def _columns(claim: Claim) -> list[Cell]:
    unit = f" {claim.unit}" if claim.unit else ""
    bound = f"≥ {shown(claim.at_least)}" if claim.at_least is not None else f"≤ {shown(claim.at_most or 0)}"
    return [
        claim.text,
        f"{shown(claim.value)}{unit}",
        f"{bound}{unit}",
        "met" if claim.met else "**not met**",
    ]


def _section(name: str, figure: Figure, machine: Mapping[str, Any]) -> str:
    plot = f"\n![{figure.title}](benchmark-{name}.svg)\n" if figure.panels else ""
    text = f"{figure.how} {_machine(machine)}"
    return (
        f'<a id="{name}"></a>\n\n## {figure.title}\n\n{text}\n{_markdown(figure.columns, figure.rows)}{plot}'
    )


def _markdown(columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    numbers = [bool(rows) and all(not isinstance(row[n], str) for row in rows) for n in range(len(columns))]
    lines = [
        columns,
        ["---:" if number else "---" for number in numbers],
        *([shown(cell) for cell in row] for row in rows),
    ]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _rounded(value: Any) -> Any:
    """To five digits: the rest is noise."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(one) for one in value]
    return value
