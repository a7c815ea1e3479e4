"""Draws panels side by side as SVG, without a library: lines and horizontal bars on a white ground."""

import math
from collections.abc import Callable, Sequence
from xml.sax.saxutils import escape

from tests.bench.result import Panel, Series

WIDTH, HEIGHT = 460, 320
LEFT, RIGHT, TOP, BOTTOM = 64, 32, 40, 76
COLORS = ("#1f5fa8", "#c8590b", "#2e7d32", "#7b3fa0")
INK, FAINT = "#222222", "#d8d8d8"
BAR = 22
LABELS = 270
"""Room for the names of bars."""

Scale = Callable[[float], float]


def svg(panels: Sequence[Panel]) -> str:
    drawn = [_bars(panel) if panel.kind == "bars" else _lines(panel) for panel in panels]
    width, height = sum(one[1] for one in drawn), max(one[2] for one in drawn)
    parts, x = [], 0
    for content, panel_width, _ in drawn:
        parts.append(f'<g transform="translate({x} 0)">\n{content}\n</g>')
        x += panel_width
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'font-family="Helvetica, Arial, sans-serif" font-size="12">\n'
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _lines(panel: Panel) -> tuple[str, int, int]:
    points = [(float(x), y) for series in panel.series for x, y in series.points]
    at_x, x_ticks = _across([x for x, _ in points], log=panel.log_x)
    most = max([y for _, y in points] + [y for _, y in panel.marks]) or 1.0
    y_ticks = _ticks(most)
    bottom = HEIGHT - BOTTOM

    def at_y(y: float) -> float:
        return bottom - (bottom - TOP) * y / y_ticks[-1]

    parts = [_text(LEFT, 22, panel.title, weight="bold"), *_grid(panel, at_x, x_ticks, at_y, y_ticks)]
    for text, y in panel.marks:
        parts.append(_line(LEFT, at_y(y), WIDTH - RIGHT, at_y(y), color="#b00020", dash="5 4"))
        parts.append(_text(LEFT + 6, at_y(y) - 4, text, color="#b00020"))
    for number, series in enumerate(panel.series):
        parts += _curve(series, COLORS[number], at_x, at_y)
    return "\n".join([*parts, *_legend(panel.series)]), WIDTH, HEIGHT


def _grid(panel: Panel, at_x: Scale, x_ticks: list[float], at_y: Scale, y_ticks: list[float]) -> list[str]:
    bottom, middle = HEIGHT - BOTTOM, (LEFT + WIDTH - RIGHT) / 2
    parts = []
    for y in y_ticks:
        parts.append(_line(LEFT, at_y(y), WIDTH - RIGHT, at_y(y), color=FAINT))
        parts.append(_text(LEFT - 6, at_y(y) + 4, _number(y), anchor="end"))
    for x in x_ticks:
        parts.append(_line(at_x(x), TOP, at_x(x), bottom, color=FAINT))
        parts.append(_text(at_x(x), bottom + 16, _number(x), anchor="middle"))
    parts.append(_line(LEFT, bottom, WIDTH - RIGHT, bottom, color=INK))
    parts.append(_text(middle, bottom + 33, panel.x, anchor="middle"))
    side = f'<text transform="translate(14 {(TOP + bottom) / 2:.1f}) rotate(-90)" text-anchor="middle" fill="{INK}">'
    return [*parts, f"{side}{escape(panel.y)}</text>"]


def _curve(series: Series, color: str, at_x: Scale, at_y: Scale) -> list[str]:
    """With dots where there are few points."""
    places = [(at_x(float(x)), at_y(y)) for x, y in series.points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    parts = [f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>']
    if len(places) <= 12:
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{color}"/>' for x, y in places]
    return parts


def _legend(series: Sequence[Series]) -> list[str]:
    """Below the axis, as names are as long as they are."""
    parts, x = [], LEFT
    for number, one in enumerate(series):
        parts.append(_line(x, HEIGHT - 16, x + 18, HEIGHT - 16, color=COLORS[number], width=3))
        parts.append(_text(x + 24, HEIGHT - 12, one.name))
        x += 40 + round(6.4 * len(one.name))
    return parts


def _bars(panel: Panel) -> tuple[str, int, int]:
    bars = [(str(name), value) for series in panel.series for name, value in series.points]
    most = max(value for _, value in bars) or 1.0
    width = LABELS + 240
    parts = [_text(12, 22, panel.title, weight="bold")]
    for number, (name, value) in enumerate(bars):
        y = TOP + number * (BAR + 6)
        length = 170 * value / most
        parts.append(_text(LABELS - 8, y + 15, name, anchor="end"))
        parts.append(
            f'<rect x="{LABELS}" y="{y}" width="{max(length, 1):.1f}" height="{BAR}" fill="{COLORS[0]}"/>'
        )
        parts.append(_text(LABELS + length + 6, y + 15, _number(value)))
    bottom = TOP + len(bars) * (BAR + 6) + 14
    parts.append(_text(LABELS, bottom, panel.x))
    return "\n".join(parts), width, bottom + 16


def _across(values: Sequence[float], *, log: bool) -> tuple[Scale, list[float]]:
    low, high = min(values), max(values)
    if not log:
        ticks = _ticks(high)
        return lambda x: LEFT + (WIDTH - RIGHT - LEFT) * x / ticks[-1], ticks
    low = max(low, high / 1e5, 1e-3)
    first, last = math.log10(low), math.log10(max(high, low * 1.01))

    def at(x: float) -> float:
        return LEFT + (WIDTH - RIGHT - LEFT) * (math.log10(max(x, low)) - first) / (last - first)

    chosen = sorted(set(values)) if len(set(values)) <= 6 else _round_numbers(low, high)
    return at, chosen


def _round_numbers(low: float, high: float) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if high / low < 1000 else (1,)
    return [step * 10.0**power for power in powers for step in steps if low <= step * 10.0**power <= high]


def _ticks(most: float) -> list[float]:
    """From 0 to beyond `most`, four to six steps of a round number."""
    rough = most / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(of * power for of in (1, 2, 2.5, 5, 10) if of * power >= rough)
    return [step * n for n in range(math.ceil(most / step - 1e-9) + 1)]


def _number(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", color: str = INK, weight: str = "normal"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{color}" font-weight="{weight}">'
        f"{escape(text)}</text>"
    )


def _line(x1: float, y1: float, x2: float, y2: float, *, color: str, width: int = 1, dash: str = "") -> str:
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{color}" '
        f'stroke-width="{width}"{dashed}/>'
    )
