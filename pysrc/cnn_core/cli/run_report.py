"""Reports of a training: introduction, summary, record and pictures."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from cnn_core.cli import records, run_folder
from cnn_core.cli.console import one_line, short_path
from cnn_core.cli.filters import FILTERED_IMAGES, plot_filters, seen_by_filters
from cnn_core.cli.plan import counted
from cnn_core.cli.plots import plot_confusion, plot_curves, plot_gallery
from cnn_core.cli.run_page import Tested, contents_of, write_page
from cnn_core.cli.sources import image_shape
from cnn_core.cli.trained_model import describe_backend, describe_network, weights_sha256
from cnn_core.cli.training import Training
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

GALLERY_ROWS, GALLERY_COLUMNS = 4, 8


def introduction(training: Training) -> str:
    """Return what is about to be done."""
    samples, parts, plan, args = training.samples, training.parts, training.plan, training.args
    shape = samples.image_shape
    kind = f"images of {' x '.join(map(str, shape))}" if shape else f"rows of {samples.n_features}"
    counts = f"{len(parts.train.y):,} training"
    watching = "the test part after every epoch, for the curve: nothing is selected on it"
    if parts.measured == "validation":
        counts += f", {len(parts.watched.y):,} validation"
        watching = "the validation samples after every epoch, the test part at the end"
    return (
        f"data      {one_line(samples.name)} from {one_line(samples.source)}\n"
        f"          {counts} and {len(samples.x_test):,} test "
        f"{kind}, {len(samples.class_names)} classes\n"
        f"scaling   {samples.scaling.description}\n"
        f"network   {describe_network(plan.network)}, {args.dtype}, on "
        f"{describe_backend(training.backend)}\n"
        f"training  {plan.description}, seed {args.seed}\n"
        f"measured  {watching}"
    )


def summary(training: Training, final: Path, files: list[str]) -> str:
    """Return the result at a glance."""
    result, parts, plan = training.result, training.parts, training.plan
    lines = [
        f"test accuracy  {result.accuracy:.4f}  (loss {result.loss:.4f}, "
        f"{len(parts.test.y):,} samples: {training.samples.test_part})",
    ]
    if training.interrupted:
        planned = f" of {plan.length}" if plan.time_budget is None else f", {plan.length} planned"
        done = training.epochs_done if plan.time_budget is None else counted(training.epochs_done)
        lines.insert(0, f"interrupted after {done}{planned}")
    if parts.measured == "validation":
        lines.append(
            f"validation     {training.watched.accuracy:.4f}  "
            f"(loss {training.watched.loss:.4f}, {len(parts.watched.y):,} samples held out of "
            "the training part)"
        )
    if plan.patience is not None:
        lines.append(f"kept           the weights of epoch {training.kept_epoch}, the best one")
    lines += [
        f"network        {describe_network(plan.network)} (preset {plan.preset})",
        f"training       {training.seconds:.2f} s for {counted(training.epochs_done)}, "
        f"{training.samples_per_second:,.0f} samples/s, {describe_backend(training.backend)}",
        f"run folder     {short_path(final)}",
        f"               {'  '.join(files)}",
    ]
    if not training.args.no_plots and not image_shape(training.samples.x_test):
        lines.append("               (no gallery: the samples are no images)")
    return "\n".join([f"\n{result.report}", *lines])


def line(training: Training, final: Path) -> str:
    """Return the result in a line."""
    return f"test accuracy {training.result.accuracy:.4f}  {short_path(final)}"


def warning(training: Training) -> str:
    """Return the message for a training without a result, '' if it has one."""
    if not training.has_learned_nothing:
        return ""
    return (
        "the network has learned nothing that tells the classes apart: its accuracy on the "
        f"{training.parts.measured} samples, {training.watched.accuracy:.4f}, is no better than "
        f"always answering the largest class, {training.largest_class_share:.4f}; try a "
        f"--learning-rate below {training.plan.learning_rate:g}, or more --epochs"
    )


def beginning(training: Training) -> dict[str, Any]:
    """Return what has to be known to go on with a training."""
    return {
        "data": {
            "asked_for": records.source_to_json(training.source),
            "sha256": training.samples.hashes,
        },
        "preprocessing": training.samples.scaling.to_json(),
        "settings": training.settings(),
        "backend": training.backend["backend"],
    }


def write(training: Training, folder: Path, final: Path, *, plots: bool) -> list[str]:
    """Write all files of the run folder and return their names; `final` is the folder's name."""
    samples, parts = training.samples, training.parts
    training.plan.face.save(folder / run_folder.MODEL)
    held = record(training)
    records.write_json(folder / run_folder.RECORD, held)
    run_folder.write_history(folder / run_folder.HISTORY, training.history, parts.measured)
    report = (
        f"{one_line(samples.name)}: {len(parts.test.y)} test samples ({samples.test_part})\n\n"
        f"{training.result.report}"
    )
    write_text(folder / run_folder.REPORT, report)
    if plots:
        _draw(training, folder)
    write_page(folder / run_folder.PAGE, contents_of(tested_of(training, final, held)))
    texts = (run_folder.RECORD, run_folder.HISTORY, run_folder.REPORT, run_folder.PAGE)
    return [run_folder.MODEL, *texts, *sorted(path.name for path in folder.glob("*.png"))]


def tested_of(training: Training, final: Path, held: dict[str, Any]) -> Tested:
    """Return what the page is made of; `held` is what ``run.json`` holds."""
    return Tested(
        record=Fields(held),
        folder=short_path(final),
        history=training.history,
        trained=training.trained,
        samples=training.samples.x_test,
        x=training.parts.test.x,
        y=training.parts.test.y,
        test_part=training.samples.test_part,
    )


def _draw(training: Training, folder: Path) -> None:
    samples, result, y = training.samples, training.result, training.parts.test.y
    title = f"{one_line(samples.name)}: test accuracy {result.accuracy:.4f}"
    plot_curves(
        folder / "curves.png",
        training.history,
        f"{title}, preset {training.plan.preset}",
        training.parts.measured,
        loss="loss, with smoothed labels" if training.plan.smoothing else "loss",
        kept_epoch=None if training.plan.patience is None else training.kept_epoch,
    )
    plot_confusion(
        folder / "confusion.png",
        result.confusion,
        samples.class_names,
        f"{title} on {len(y):,} samples",
    )
    if image_shape(samples.x_test):
        shown = min(len(y), GALLERY_ROWS * GALLERY_COLUMNS)
        wrong = int((result.predicted[:shown] != y[:shown]).sum())
        plot_gallery(
            folder / "gallery.png",
            samples.x_test,
            y,
            result.predicted,
            samples.class_names,
            f"{one_line(samples.name)}: the first {shown} test images and their predicted classes, "
            f"{wrong} wrong",
            rows=math.ceil(shown / GALLERY_COLUMNS),
            columns=GALLERY_COLUMNS,
        )
    seen = seen_by_filters(training.trained.model, training.parts.test.x[:FILTERED_IMAGES])
    if seen is not None:
        plot_filters(
            folder / "filters.png",
            seen,
            f"{one_line(samples.name)}: the filters of the "
            "first layer, and what they see in the first test images",
        )


def values(training: Training) -> dict[str, Any]:
    """Return the result for programs."""
    result, model = training.result, training.trained.model
    return {
        "test_accuracy": result.accuracy,
        "test_loss": result.loss,
        "epochs": training.epochs_done,
        "kept_epoch": training.kept_epoch,
        "training_seconds": training.seconds,
        "samples_per_second": training.samples_per_second,
        "network": describe_network(model.network),
        "parameters": model.network.n_parameters(),
        "weights_sha256": weights_sha256(model),
    }


def record(training: Training) -> dict[str, Any]:
    """Return what ``run.json`` holds."""
    samples, parts, args = training.samples, training.parts, training.args
    shape = samples.image_shape
    names = samples.feature_names
    validation = len(parts.watched.y) if parts.measured == "validation" else 0
    return {
        **records.record_head(run_folder.FORMAT, run_folder.FORMAT_VERSION, args.argv),
        "interrupted": training.interrupted,
        "data": {
            "name": samples.name,
            "source": samples.source,
            "asked_for": records.source_to_json(training.source),
            "sha256": samples.hashes,
            "features": samples.n_features,
            "image_shape": None if shape is None else list(shape),
            "feature_names": None if names is None else list(names),
            "target_name": samples.target_name,
            "training_samples": len(parts.train.y),
            "validation_samples": validation,
            "test_samples": len(parts.test.y),
            "test_part": samples.test_part,
        },
        "class_names": list(samples.class_names),
        "preprocessing": samples.scaling.to_json(),
        "settings": training.settings(),
        "result": values(training),
        "backend": training.backend,
    }
