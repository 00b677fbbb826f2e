"""``cnn-core article``: the published experiment whose names `NN` uses, and its correction.

The published program trains 784-128-10 on the first 5,000 images of Fashion-MNIST, all of them in
one step, and tests it on the first 5,000 test images. Its step is not the gradient of any loss.
Each training sample has its own biases, so that test image k is predicted with the bias of training
sample k. Here it runs beside the exact gradient, on each backend.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core import NN, backend_info, backends
from cnn_core.cli import records, run_folder
from cnn_core.cli.commands import ARTICLE_EPOCHS
from cnn_core.cli.console import note, require, short_path
from cnn_core.cli.output import print_result, run_values
from cnn_core.cli.plots import plot_gallery
from cnn_core.cli.progress import epochs_shown
from cnn_core.cli.report import Evaluation, evaluate
from cnn_core.cli.sources import find_fashion_mnist
from cnn_core.cli.trained_model import Trained, describe_backend, weights_sha256
from cnn_core.files import write_table, write_text
from cnn_core.network import Rule

__all__ = ["run"]

IMAGES = 5_000
HIDDEN = 128
PUBLISHED_ACCURACY = 0.7644
GALLERY_ROWS, GALLERY_COLUMNS = 2, 4


EXPLANATION = """\
The published rule takes the sigmoid twice on the way back, is no gradient of any loss, and gives
each training sample a bias of its own: test image k is predicted with the bias of training sample
k, so that it can predict 5,000 images and no other number. Its steps are so long that rounding
grows: backends that agree to the last digits in each step end with different accuracies."""


@dataclass(frozen=True)
class _Experiment:
    """A rule with its settings; `share` are its epochs for each epoch of the published program."""

    rule: Rule
    title: str
    learning_rate: float
    batch_size: int
    dtype: type[np.floating[Any]]
    share: float

    def epochs(self, published: int) -> int:
        return max(1, round(published * self.share))


_EXPERIMENTS = (
    _Experiment("article", "published rule", 0.01, IMAGES, np.float64, 1.0),
    _Experiment("exact", "exact gradient", 0.1, 32, np.float32, 0.3),
)


@dataclass(frozen=True, eq=False)
class _Result:
    experiment: _Experiment
    net: NN
    backend: dict[str, Any]
    evaluation: Evaluation

    @property
    def seconds(self) -> float:
        return math.fsum(self.net.history["seconds"])

    def row(self) -> dict[str, Any]:
        """Return a row of the table, by column name."""
        return {
            "rule": self.experiment.title,
            "batch": self.experiment.batch_size,
            "learning rate": self.experiment.learning_rate,
            "dtype": self.net.dtype.name,
            "backend": describe_backend(self.backend),
            "epochs": self.net.epochs,
            "seconds": round(self.seconds, 3),
            "test accuracy": self.evaluation.accuracy,
        }


def run(args: argparse.Namespace) -> int:
    """Run the command; the exit code is 0."""
    require("article", "rich", "sklearn", "matplotlib")
    names = _backends(args.backend)
    dataset = find_fashion_mnist(args.data_folder, None if args.quiet else note)
    images = dataset.x_test[:IMAGES]
    x, y = _rows(dataset.x_train[:IMAGES]), dataset.y_train[:IMAGES]
    x_test, y_test = _rows(images), dataset.y_test[:IMAGES].astype(np.intp)
    with run_folder.new_folder(args.out, "article") as folder:
        results = []
        for experiment in _EXPERIMENTS:
            for name in names:
                net = _trained(experiment, name, x, y, args)
                outcome = evaluate(Trained.of(net), x_test, y_test, dataset.class_names)
                results.append(_Result(experiment, net, backend_info(net.backend), outcome))
        table = _table([result.row() for result in results])
        _write(folder.path, table, results, args)
        _draw(folder.path / "gallery.png", images, y_test, dataset.class_names, results[0])
        files = sorted(path.name for path in folder.path.iterdir())
    text = table if args.quiet else f"\n{table}\n\n{EXPLANATION}"
    place = f"run folder  {short_path(folder.final)}\n            {'  '.join(files)}"
    values = {
        **run_values(folder.final, files),
        "published_accuracy": PUBLISHED_ACCURACY,
        "results": _values(results),
    }
    print_result(args, f"{text}\n\n{place}", values, folder.final)
    return 0


def _backends(wanted: str) -> tuple[str, ...]:
    if wanted != "both":
        return (wanted,)
    if "cython" not in backends.available():
        note("the compiled backend is not part of this installation; NumPy runs alone")
    return backends.available()


def _rows(images: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    rows: npt.NDArray[np.float64] = images.reshape(len(images), -1) / 255
    return rows


def _trained(
    experiment: _Experiment,
    backend: str,
    x: npt.NDArray[np.float64],
    y: npt.NDArray[Any],
    args: argparse.Namespace,
) -> NN:
    net = NN(
        x.shape[1],
        HIDDEN,
        10,
        learning_rate=experiment.learning_rate,
        epochs=experiment.epochs(args.epochs),
        batch_size=experiment.batch_size,
        rule=experiment.rule,
        dtype=experiment.dtype,
        seed=args.seed,
        backend=backend,
    )
    label = f"{experiment.title}, {backend}"
    with epochs_shown(label, net.epochs, quiet=args.quiet) as on_epoch:
        return net.fit(x, y, on_epoch=on_epoch)


def _table(rows: list[dict[str, Any]]) -> str:
    """Return the results as text, the published one above them."""
    heads = ("rule", "batch", "dtype", "backend", "epochs", "seconds", "test accuracy")
    cells = [
        [
            "as published",
            "5000",
            "float64",
            "NumPy",
            f"{ARTICLE_EPOCHS}",
            "-",
            f"{PUBLISHED_ACCURACY:.4f}",
        ]
    ]
    for row in rows:
        shown = {
            **row,
            "seconds": f"{row['seconds']:.2f}",
            "test accuracy": f"{row['test accuracy']:.4f}",
        }
        cells.append([str(shown[head]) for head in heads])
    widths = [max(len(line[i]) for line in [list(heads), *cells]) for i in range(len(heads))]
    left = ("rule", "dtype", "backend")

    def line(values: list[str]) -> str:
        return "  ".join(
            value.ljust(width) if head in left else value.rjust(width)
            for head, value, width in zip(heads, values, widths, strict=True)
        ).rstrip()

    rule = "  ".join("-" * width for width in widths)
    return "\n".join([line(list(heads)), rule, *(line(values) for values in cells)])


def _write(folder: Path, table: str, results: list[_Result], args: argparse.Namespace) -> None:
    rows = [result.row() for result in results]
    write_text(folder / "table.txt", f"{table}\n\n{EXPLANATION}\n")
    write_table(folder / "table.csv", [list(rows[0]), *(row.values() for row in rows)])
    reports = [
        f"{result.experiment.title}, {describe_backend(result.backend)}\n\n"
        f"{result.evaluation.report}"
        for result in results
    ]
    write_text(folder / "report.txt", "\n\n".join(reports))
    record = {
        **records.record_head("cnn-core article", 1, args.argv),
        "images": {"training": IMAGES, "test": IMAGES},
        "seed": args.seed,
        "published_accuracy": PUBLISHED_ACCURACY,
        "results": _values(results),
    }
    records.write_json(folder / "article.json", record)


def _values(results: list[_Result]) -> list[dict[str, Any]]:
    """Return the results for programs."""
    return [
        {
            **{key.replace(" ", "_"): value for key, value in result.row().items()},
            "weights_sha256": weights_sha256(result.net.model),
            "backend_info": result.backend,
        }
        for result in results
    ]


def _draw(
    path: Path,
    images: npt.NDArray[Any],
    y: npt.NDArray[Any],
    class_names: tuple[str, ...],
    result: _Result,
) -> None:
    shown = GALLERY_ROWS * GALLERY_COLUMNS
    predicted = result.evaluation.predicted
    wrong = int((predicted[:shown] != y[:shown]).sum())
    plot_gallery(
        path,
        images,
        y,
        predicted,
        class_names,
        f"{result.experiment.title}, {result.net.epochs} epochs: the first {shown} test images and "
        f"their predicted classes, {wrong} wrong",
        rows=GALLERY_ROWS,
        columns=GALLERY_COLUMNS,
    )
