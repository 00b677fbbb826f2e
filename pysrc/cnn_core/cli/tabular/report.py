"""Reports of a training on a table: introduction, summary, record and pictures."""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from typing import Any

from cnn_core.cli import records, run_folder
from cnn_core.cli.console import one_line, short_path
from cnn_core.cli.plots import plot_confusion
from cnn_core.cli.run_page import write_page
from cnn_core.cli.table_page import TestedTable, table_contents
from cnn_core.cli.tabular.plots import plot_predicted, plot_residuals
from cnn_core.cli.tabular.result import ClassResult
from cnn_core.cli.tabular.samples import TEST_SHARE
from cnn_core.cli.tabular.training import TableTraining
from cnn_core.cli.trained_model import describe_backend
from cnn_core.files import write_text
from cnn_core.io.fields import Fields

__all__ = [
    "beginning",
    "introduction",
    "line",
    "summary",
    "tested_of",
    "values",
    "warning",
    "write",
]

# The rest of a very wide table is in the record.
_MOST_COLUMNS = 60
_TEST_PART = f"a random {TEST_SHARE:.0%} of the rows, held out"


def introduction(training: TableTraining) -> str:
    """Return what is about to be done."""
    samples, args = training.samples, training.args
    target = samples.target
    other = "regression" if samples.task == "classification" else "classification"
    hint = "" if args.task or target.is_text else f"; --task {other} is the other way"
    last = "" if training.source.target else ", the last column (--target)"
    return (
        f"data      {one_line(samples.source)}: {len(samples.train):,} training and "
        f"{len(samples.test):,} test rows\n"
        f"target    {one_line(target.name)}{last}\n"
        f"task      {samples.task}: {target.why}{hint}\n\n"
        f"{_columns_table(training)}\n"
        f"model     tables, quality {training.learner.quality}, seed {args.seed}, on "
        f"{describe_backend(training.backend)} (--model mlp trains one network)"
    )


def _decisions(training: TableTraining) -> list[list[str]]:
    """Return what was decided about each column, its head first."""
    columns = training.samples.columns
    found = {row[0]: row for row in training.reader().rows()[1:]}
    rows = [["column", "read as", "distinct", "missing", "used as"]]
    for name in columns.names:
        if name == columns.target:
            rows.append([name, "", "", "", "target"])
        elif name in columns.ignored:
            rows.append([name, "", "", "", f"left out: {columns.ignored[name]}"])
        else:
            _, _, distinct, missing, use = found[name]
            rows.append([name, columns.features[name].description, distinct, missing, use])
    return rows


def _columns_table(training: TableTraining) -> str:
    """Return the decisions as a table that fits into a terminal."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    head, *rows = _decisions(training)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in head:
        table.add_column(name, justify="right" if name in ("distinct", "missing") else "left")
    for row in rows[:_MOST_COLUMNS]:
        table.add_row(*(Text(one_line(cell)) for cell in row))
    text = io.StringIO()
    width = shutil.get_terminal_size((100, 24)).columns
    Console(file=text, width=width, color_system=None).print(table)
    lines = [line.rstrip() for line in text.getvalue().splitlines()]
    if len(rows) > _MOST_COLUMNS:
        lines.append(f"... and {len(rows) - _MOST_COLUMNS:,} more columns, all of them in run.json")
    return "\n".join(lines) + "\n"


def line(training: TableTraining, final: Path) -> str:
    """Return the result in a line."""
    return f"test {training.result.line}  {short_path(final)}"


def summary(training: TableTraining, final: Path, files: list[str]) -> str:
    """Return the result at a glance."""
    samples, learner = training.samples, training.learner
    return (
        f"\n{training.result.report}\n"
        f"test           {training.result.line} ({len(samples.test):,} rows: {_TEST_PART})\n"
        f"{_indented(learner.summary())}\n"
        f"training       {training.seconds:.2f} s, {describe_backend(training.backend)}\n"
        f"run folder     {short_path(final)}\n"
        f"               {'  '.join(files)}"
    )


def _indented(text: str) -> str:
    first, *others = text.splitlines()
    return "\n".join([f"model          {first}", *(f"               {line}" for line in others)])


def warning(training: TableTraining) -> str:
    """Return what is to be said if nothing was learned, else ''."""
    return training.result.is_nothing


def beginning(training: TableTraining) -> dict[str, Any]:
    """Return what has to be known to go on with a training."""
    return {
        "data": {
            "asked_for": records.source_to_json(training.source),
            "sha256": training.samples.hashes,
        },
        "columns": training.samples.columns.to_json(),
        "settings": training.settings(),
        "backend": training.backend["backend"],
    }


def write(training: TableTraining, folder: Path, final: Path, *, plots: bool) -> list[str]:
    """Write all files of the run folder and return their names."""
    training.learner.save(folder / run_folder.MODEL)
    records.write_json(folder / run_folder.RECORD, _record(training))
    name = one_line(training.samples.name)
    report = (
        f"{name}: {len(training.samples.test)} test rows ({_TEST_PART})\n\n"
        f"{training.result.report}\n{_columns_table(training)}"
    )
    write_text(folder / run_folder.REPORT, report)
    if plots:
        _draw(training, folder)
    write_page(folder / run_folder.PAGE, table_contents(tested_of(training, final)))
    order = (run_folder.MODEL, run_folder.RECORD, run_folder.REPORT, run_folder.PAGE)
    return [*order, *sorted(path.name for path in folder.glob("*.png"))]


def tested_of(training: TableTraining, final: Path) -> TestedTable:
    """Return what the page is made of; `final` is the run folder's name."""
    samples = training.samples
    return TestedTable(
        record=Fields(_record(training)),
        folder=short_path(final),
        learner=training.learner,
        features=samples.features[samples.test],
        result=training.result,
        test_part=_TEST_PART,
    )


def _draw(training: TableTraining, folder: Path) -> None:
    samples, result = training.samples, training.result
    title = f"{one_line(samples.name)}: {result.line}, {len(samples.test):,} test rows"
    if isinstance(result, ClassResult):
        plot_confusion(folder / "confusion.png", result.confusion, result.classes, title)
    else:
        plot_predicted(folder / "predicted.png", result, title, samples.target.name)
        plot_residuals(folder / "residuals.png", result, title, samples.target.name)


def values(training: TableTraining) -> dict[str, Any]:
    """Return the result for programs."""
    return {f"test_{name}": value for name, value in training.result.to_json().items()} | {
        "oof_score": _finite(training.learner.oof_score_),
        "oof_loss": _finite(training.learner.oof_loss_),
        "training_seconds": training.seconds,
        "weights_sha256": training.weights_sha256,
    }


def _finite(number: float) -> float | None:
    return None if number != number else number


def _record(training: TableTraining) -> dict[str, Any]:
    samples = training.samples
    head, *rows = _decisions(training)
    return {
        **records.record_head(run_folder.FORMAT, run_folder.TABLES_VERSION, training.args.argv),
        **beginning(training),
        "data": {
            "name": samples.name,
            "source": samples.source,
            "asked_for": records.source_to_json(training.source),
            "sha256": samples.hashes,
            "features": len(samples.columns.features),
            "target_name": samples.target.name,
            "training_samples": len(samples.train),
            "test_samples": len(samples.test),
            "test_part": _TEST_PART,
        },
        "decisions": [dict(zip(head, row, strict=True)) for row in rows],
        "result": values(training),
        "backend": training.backend,
    }
