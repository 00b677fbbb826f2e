"""Render the contents of a page as one self-contained HTML file."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from cnn_core.cli.console import one_line
from cnn_core.cli.pages import charts
from cnn_core.cli.pages.charts import Line
from cnn_core.cli.pages.contents import Contents, History, Members

if TYPE_CHECKING:
    from cnn_core.cli.pages.drawing import DrawingField
    from cnn_core.cli.pages.numbers import NumberResults

__all__ = ["live_page", "report_page", "sections"]


def report_page(contents: Contents) -> str:
    """Return the page of a run: a complete file of HTML."""
    return _rendered("report.html", contents)


def sections(contents: Contents, *, live: bool = False) -> str:
    """Return the sections of the page."""
    return _rendered("sections.html", contents, live)


def live_page(title: str, field: DrawingField | None) -> str:
    """Return the page that polls for its sections."""
    return _environment().get_template("watch.html").render(title=title, field=field)


def _rendered(template: str, contents: Contents, live: bool = False) -> str:
    environment = _environment()
    curves = [*_curves(contents.history), *_curves_of_members(contents.members)]
    drawn: dict[str, Any] = {"charts": curves, "live": live}
    if contents.classes is not None:
        found = contents.classes.calibration
        drawn["calibration"] = charts.calibration_chart(
            found.confidence, found.accuracy, found.counts
        )
    if contents.numbers is not None:
        drawn.update(_of_numbers(contents.numbers))
    return environment.get_template(template).render(page=contents, **drawn)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("cnn_core.cli.pages", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # Names from the data, wherever they are shown.
        finalize=_as_shown,
    )
    environment.filters.update(
        shortened=_shortened,
        percent=_percent,
        fixed=lambda value: "-" if value is None else f"{value:.3f}",
        rounded=charts.short,
        with_deviation=_with_deviation,
        share_of=lambda value, most: f"{100 * max(value, 0) / most:.1f}" if most > 0 else "0",
    )
    style = environment.loader.get_source(environment, "style.css")[0] if environment.loader else ""
    environment.globals["style"] = Markup(style)
    return environment


def _as_shown(value: Any) -> Any:
    """Return a text without control characters."""
    return one_line(value) if type(value) is str else value


def _shortened(value: Any, most: int) -> str:
    text = one_line(value)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _percent(share: float) -> str:
    """Return a share in percent, with enough digits to differ from 0 and 100 %."""
    percent = 100 * share
    if percent < 0.01:
        return "0\N{NO-BREAK SPACE}%"
    digits = 0 if 10 <= percent < 99 else 1 if 0.05 <= percent < 99.9 else 2
    return f"{percent:.{digits}f}\N{NO-BREAK SPACE}%"


def _with_deviation(mean: float, deviation: float) -> str:
    """Return a mean, rounded to two digits of its deviation."""
    if not deviation > 0:
        return charts.short(mean)
    digits = min(max(1 - math.floor(math.log10(deviation)), 0), 6)
    return f"{mean:,.{digits}f} ± {deviation:,.{digits}f}"


# Charts


@dataclass(frozen=True)
class _Curves:
    title: str
    lines: list[Line]
    svg: Markup


def _curves(history: History | None) -> list[_Curves]:
    if history is None or not history.values.get("loss"):
        return []
    values, after = history.values, f"{history.measured}, after the epoch"
    drawn = [
        _drawn(
            history.loss_name,
            [
                Line("training, during the epoch", values["loss"], "train"),
                Line(after, values.get("validation_loss", []), "measured"),
            ],
            history,
        )
    ]
    score = "accuracy" if "accuracy" in values or "validation_accuracy" in values else "score"
    lines = [
        Line("training, during the epoch", values.get(score, []), "train"),
        Line(after, values.get(f"validation_{score}", []), "measured"),
    ]
    if any(line.values for line in lines):
        drawn.append(_drawn("Accuracy" if score == "accuracy" else "Score", lines, history))
    rates = values.get("learning_rate", [])
    if len(set(rates)) > 1:
        drawn.append(
            _drawn("Learning rate", [Line("at the end of the epoch", rates, "plain")], history)
        )
    return drawn


def _curves_of_members(members: Members | None) -> list[_Curves]:
    """Return one chart with a line for each network; networks in training are on top."""
    found = [] if members is None else [one for one in members.members if one.losses]
    if members is None or not found:
        return []
    all_done = all(one.is_done for one in found)
    styles = {
        True: ("a line for each network" if all_done else "done", "plain"),
        False: ("in training", "train"),
    }
    lines = [
        (one.is_done, Line(f"network {number}", one.losses, styles[one.is_done][1]))
        for number, one in enumerate(found, start=1)
    ]
    lines.sort(key=lambda line: not line[0])
    svg = charts.line_chart(
        [line for _, line in lines], label=f"{members.loss_name} over the epochs"
    )
    key = [
        Line(name, (), style)
        for is_done, (name, style) in styles.items()
        if any(line[0] == is_done for line in lines)
    ]
    return [_Curves(members.loss_name, key, svg)]


def _drawn(title: str, lines: list[Line], history: History) -> _Curves:
    lines = [line for line in lines if line.values]
    svg = charts.line_chart(
        lines,
        label=f"{title} over the epochs",
        marked=history.kept_epoch,
        mark_name="the epoch kept",
    )
    return _Curves(title, lines, svg)


def _of_numbers(found: NumberResults) -> dict[str, Markup]:
    target = _shortened(found.target, 30)
    return {
        "scatter": charts.scatter_chart(
            found.truth, found.predicted, f"true {target}", "predicted", diagonal=True
        ),
        "residuals": charts.scatter_chart(
            found.predicted, found.residuals, "predicted", "residual", diagonal=False
        ),
        "spread": charts.histogram(found.residuals, "residual"),
    }
