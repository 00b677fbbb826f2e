"""Reports of a training on a table: introduction, summary, record and pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cnn_core.cli import records, run_folder
from cnn_core.cli.console import one_line, short_path
from cnn_core.cli.plots import plot_confusion
from cnn_core.cli.run_page import write_page
from cnn_core.cli.table_page import TestedTable, table_contents
from cnn_core.cli.tabular.curves import write_curves
from cnn_core.cli.tabular.decisions import columns_text, decisions, target_text
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
    "record",
    "summary",
    "tested_of",
    "values",
    "warning",
    "write",
]

_TEST_PART = f"a random {TEST_SHARE:.0%} of the rows, held out"


def introduction(training: TableTraining) -> str:
    """Return what is about to be done."""
    args = training.args
    target = target_text(
        training.samples,
        is_named=training.source.target is not None,
        is_task_said=args.task is not None,
    )
    return (
        f"{target}\n"
        f"model     tables, quality {training.learner.quality}, seed {args.seed}, on "
        f"{describe_backend(training.backend)} (--model mlp trains one network)"
    )


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
    held = record(training)
    records.write_json(folder / run_folder.RECORD, held)
    name = one_line(training.samples.name)
    report = (
        f"{name}: {len(training.samples.test)} test rows ({_TEST_PART})\n\n"
        f"{training.result.report}\n{columns_text(training.samples)}"
    )
    write_text(folder / run_folder.REPORT, report)
    if plots:
        _draw(training, folder)
    tested = tested_of(training, final, held)
    if tested.curves is not None:
        write_curves(folder / run_folder.HISTORY, tested.curves)
    write_page(folder / run_folder.PAGE, table_contents(tested))
    order = (
        run_folder.MODEL,
        run_folder.RECORD,
        *(() if tested.curves is None else (run_folder.HISTORY,)),
        run_folder.REPORT,
        run_folder.PAGE,
    )
    return [*order, *sorted(path.name for path in folder.glob("*.png"))]


def tested_of(training: TableTraining, final: Path, held: dict[str, Any]) -> TestedTable:
    """Return what the page is made of; `final`: the run folder's name; `held`: its record."""
    samples = training.samples
    return TestedTable(
        record=Fields(held),
        folder=short_path(final),
        learner=training.learner,
        features=samples.features[samples.test],
        result=training.result,
        test_part=_TEST_PART,
        curves=training.curves(),
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


def record(training: TableTraining) -> dict[str, Any]:
    """Return what ``run.json`` holds."""
    samples = training.samples
    head, *rows = decisions(samples)
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
