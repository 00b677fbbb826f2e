"""Charts as SVG, coloured by the style sheet of the page.

Texts are escaped by MarkupSafe, so they are never read as markup.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

__all__ = ["Line", "calibration_chart", "histogram", "line_chart", "scatter_chart", "short"]

Array = npt.NDArray[Any]

WIDTH, HEIGHT = 460, 290
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 14, 12, 47
# Width of a digit, and of the gap and the axis label beside a number.
_DIGIT, _BESIDE_NUMBERS = 8.3, 28
_TICKS_ACROSS, _TICKS_UP = 8, 6
_MOST_POINTS = 400
_MOST_DOTS = 1_500
_DOTS_ON_A_LINE = 40


@dataclass(frozen=True)
class Line:
    """A line of a chart; `style` is its class in the style sheet."""

    name: str
    values: Sequence[float]
    style: str


@dataclass(frozen=True)
class _Axis:
    """A range of values, and the pixels that it is drawn on."""

    low: float
    high: float
    start: float
    end: float

    @classmethod
    def across(cls, low: float, high: float, up: _Axis) -> _Axis:
        """Leave room for the numbers beside the other axis, and for its label before them."""
        left = max(_LEFT, _BESIDE_NUMBERS + _widest(up.ticks(_TICKS_UP)))
        return cls(*_widened(low, high), left, WIDTH - _RIGHT)

    @classmethod
    def up(cls, low: float, high: float) -> _Axis:
        return cls(*_widened(low, high), HEIGHT - _BOTTOM, _TOP)

    def at(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self, most: int, *, whole: bool = False) -> list[float]:
        """Return round numbers within the range, at most about `most`."""
        rough = (self.high - self.low) / most
        power = 10.0 ** math.floor(math.log10(rough))
        step = power * next(factor for factor in (1, 2, 5, 10) if factor * power >= 0.999 * rough)
        step = max(step, 1.0) if whole else step
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [number * step for number in range(first, last + 1)]


def _widest(ticks: Sequence[float]) -> float:
    return _DIGIT * max((len(short(value)) for value in ticks), default=0)


def _ticks_across(across: _Axis, *, whole: bool) -> list[float]:
    """Return round numbers that have room beside each other and within the picture."""
    for most in range(_TICKS_ACROSS, 1, -1):
        ticks = across.ticks(most, whole=whole)
        apart = (across.end - across.start) / max(len(ticks), 1)
        if _widest(ticks) + _DIGIT <= apart:
            break
    return [value for value in ticks if across.at(value) + _widest([value]) / 2 <= WIDTH]


def _widened(low: float, high: float) -> tuple[float, float]:
    """Return a range that is not empty."""
    least = 1e-9 * max(abs(low), abs(high), 1e-30)
    return (
        (low, high)
        if high - low > least
        else (low - (abs(low) or 1) / 2, high + (abs(high) or 1) / 2)
    )


def short(value: float) -> str:
    """Return a number to four digits, without zeros that say nothing."""
    if 1e4 <= abs(value) < 1e6:
        return f"{value:,.0f}"
    return f"{value:.4g}".replace("e-0", "e-").replace("e+0", "e")


def line_chart(
    lines: Sequence[Line], *, label: str, marked: float | None = None, mark_name: str = ""
) -> Markup:
    """Draw values over the epochs, from 1.

    Parameters
    ----------
    lines : sequence of Line
    label : str
        Description of the chart for screen readers.
    marked : float, optional
        An epoch to mark with a vertical line.
    mark_name : str
    """
    lines = [line for line in lines if len(line.values)]
    values = np.concatenate([np.asarray(line.values, float) for line in lines])
    finite = values[np.isfinite(values)]
    epochs = max(len(line.values) for line in lines)
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    margin = 0.06 * (high - low)
    beside = max(0.4, 0.02 * epochs)
    up = _Axis.up(low - margin, high + margin)
    across = _Axis.across(1 - beside, epochs + beside, up)
    parts = [_frame(across, up, "epoch", "", whole=True)]
    if marked is not None:
        x = across.at(marked)
        parts.append(
            Markup(
                '<line class="mark" x1="{0}" y1="{1}" x2="{0}" y2="{2}"><title>{3}</title></line>'
            ).format(x, up.start, up.end, mark_name)
        )
    parts += [_line(line, across, up) for line in lines]
    return _svg(parts, label)


def _line(line: Line, across: _Axis, up: _Axis) -> Markup:
    numbers = range(len(line.values))
    step = max(1, math.ceil(len(line.values) / _MOST_POINTS))
    chosen = [n for n in numbers if n % step == 0 or n == len(line.values) - 1]
    points = [
        (number + 1, line.values[number]) for number in chosen if math.isfinite(line.values[number])
    ]
    path = " ".join(f"{across.at(epoch)},{up.at(value)}" for epoch, value in points)
    drawn = Markup('<polyline class="line {}" points="{}"/>').format(line.style, path)
    if len(points) <= _DOTS_ON_A_LINE:
        drawn += Markup("").join(
            _dot(
                across.at(epoch),
                up.at(value),
                2.6,
                line.style,
                f"{line.name}, epoch {epoch}: {short(value)}",
            )
            for epoch, value in points
        )
    return drawn


def calibration_chart(
    confidence: Sequence[float], accuracy: Sequence[float], counts: Sequence[int]
) -> Markup:
    """Draw accuracy over predicted probability; the size of a dot shows its count."""
    low = min(0.0 if min(confidence) < 0.4 else 0.4, math.floor(10 * min(accuracy)) / 10)
    up = _Axis.up(low, 1.02)
    across = _Axis.across(low, 1.0, up)
    parts = [
        _frame(across, up, "probability of the answer", "share that is right"),
        Markup('<line class="diagonal" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(
            across.at(low), up.at(low), across.at(1), up.at(1)
        ),
    ]
    path = " ".join(f"{across.at(x)},{up.at(y)}" for x, y in zip(confidence, accuracy, strict=True))
    parts.append(Markup('<polyline class="line train" points="{}"/>').format(path))
    largest = max(counts)
    for x, y, count in zip(confidence, accuracy, counts, strict=True):
        radius = round(2.5 + 7 * math.sqrt(count / largest), 1)
        text = f"{count:,} answers of about {x:.2f}: {y:.3f} right"
        parts.append(_dot(across.at(x), up.at(y), radius, "train", text))
    return _svg(parts, "Share of right answers over the probability that was given")


def scatter_chart(x: Array, y: Array, x_label: str, y_label: str, *, diagonal: bool) -> Markup:
    """Draw points, at most 1,500 of them, and the line on which both are equal, or zero."""
    step = max(1, math.ceil(len(x) / _MOST_DOTS))
    x, y = x[::step], y[::step]
    ends = (float(x.min()), float(x.max())), (float(y.min()), float(y.max()))
    if diagonal:
        both = (min(ends[0][0], ends[1][0]), max(ends[0][1], ends[1][1]))
        ends = (both, both)
    else:
        ends = (ends[0], (min(ends[1][0], 0.0), max(ends[1][1], 0.0)))
    (left, right), (bottom, top) = (
        (low - 0.04 * (high - low), high + 0.04 * (high - low)) for low, high in ends
    )
    up = _Axis.up(bottom, top)
    across = _Axis.across(left, right, up)
    guide = (
        (across.low, up.low, across.high, up.high) if diagonal else (across.low, 0, across.high, 0)
    )
    parts = [
        _frame(across, up, x_label, y_label),
        *(
            Markup('<circle class="dot" cx="{}" cy="{}" r="2.4"/>').format(across.at(a), up.at(b))
            for a, b in zip(x.tolist(), y.tolist(), strict=True)
        ),
        Markup('<line class="diagonal" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(
            across.at(guide[0]), up.at(guide[1]), across.at(guide[2]), up.at(guide[3])
        ),
    ]
    return _svg(parts, f"{y_label} over {x_label}")


def histogram(values: Array, x_label: str) -> Markup:
    """Draw a histogram."""
    counts, edges = np.histogram(values, bins=min(30, max(5, int(math.sqrt(len(values))))))
    up = _Axis.up(0.0, 1.05 * float(counts.max()))
    across = _Axis.across(float(edges[0]), float(edges[-1]), up)
    bars = []
    for count, left, right in zip(counts.tolist(), edges[:-1], edges[1:], strict=True):
        x, top = across.at(left), up.at(count)
        text = f"{short(left)} to {short(right)}: {count:,}"
        bars.append(
            Markup(
                '<rect class="bar" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>'
            ).format(
                x, top, round(max(across.at(right) - x - 1, 0.5), 1), round(up.start - top, 1), text
            )
        )
    return _svg([_frame(across, up, x_label, "samples"), *bars], f"How often: {x_label}")


# Parts of a chart


def _dot(x: float, y: float, radius: float, style: str, title: str) -> Markup:
    return Markup(
        '<circle class="point {}" cx="{}" cy="{}" r="{}"><title>{}</title></circle>'
    ).format(style, x, y, radius, title)


def _frame(across: _Axis, up: _Axis, x_label: str, y_label: str, *, whole: bool = False) -> Markup:
    """Draw the axes: lines at round numbers, the numbers, and the labels."""
    parts = []
    for value in up.ticks(_TICKS_UP):
        y = up.at(value)
        parts.append(
            Markup('<line class="grid" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(
                across.start, y, across.end, y
            )
            + Markup('<text class="tick" x="{}" y="{}" text-anchor="end">{}</text>').format(
                across.start - 7, y + 4.5, short(value)
            )
        )
    parts += [
        Markup('<text class="tick" x="{}" y="{}" text-anchor="middle">{}</text>').format(
            across.at(value), up.start + 20, short(value)
        )
        for value in _ticks_across(across, whole=whole)
    ]
    parts.append(
        Markup('<line class="axis" x1="{0}" y1="{1}" x2="{2}" y2="{1}"/>').format(
            across.start, up.start, across.end
        )
    )
    parts.append(
        Markup('<text class="label" x="{}" y="{}" text-anchor="middle">{}</text>').format(
            (across.start + across.end) / 2, HEIGHT - 6, x_label
        )
    )
    if y_label:
        middle = (up.start + up.end) / 2
        parts.append(
            Markup(
                '<text class="label" x="13" y="{0}" text-anchor="middle" '
                'transform="rotate(-90 13 {0})">{1}</text>'
            ).format(middle, y_label)
        )
    return Markup("").join(parts)


def _svg(parts: Sequence[Markup], label: str) -> Markup:
    return Markup(
        '<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>'
    ).format(WIDTH, HEIGHT, label, Markup("").join(parts))
