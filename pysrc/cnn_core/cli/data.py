"""``cnn-core data``: location and contents of a data set."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core.cli.console import note, one_line, require
from cnn_core.cli.output import print_result
from cnn_core.cli.source import Source
from cnn_core.cli.sources import Samples, read_samples
from cnn_core.cli.tabular.decisions import decisions, target_text
from cnn_core.cli.tabular.samples import TableSamples
from cnn_core.cli.tabular.samples import read_samples as read_table_samples

__all__ = ["run"]


def run(args: argparse.Namespace) -> int:
    """Run the command; the exit code is 0."""
    source = Source.from_arguments(args)
    if source.is_table:
        require("data", "rich")
        table = read_table_samples(source, None, note)
        print_result(args, _table_text(table, source), _table_values(table))
        return 0
    samples = read_samples(source, note)
    print_result(args, _text(samples), _values(samples))
    return 0


def _table_text(samples: TableSamples, source: Source) -> str:
    """Return the contents of a table, and how the learner uses its columns."""
    target = target_text(samples, is_named=source.target is not None, is_task_said=False)
    return "\n".join([target, *_targets_of(samples), "", *_hashes(samples.hashes)])


def _targets_of(samples: TableSamples) -> list[str]:
    """Return the number of rows of each class, or statistics of a numeric target."""
    name = one_line(samples.target.name)
    if samples.task == "regression":
        low, middle, high = np.quantile(samples.y, (0, 0.5, 1))
        return [f"{name} from {low:g} to {high:g}, median {middle:g}"]
    counts = _class_counts(samples)
    width = max(len(one_line(one)) for one in (*(row["name"] for row in counts), "class"))
    lines = [f"{'class':<{width}}  training    test"]
    return lines + [
        f"{one_line(row['name']):<{width}}  {row['training']:>8,}  {row['test']:>6,}"
        for row in counts
    ]


def _class_counts(samples: TableSamples) -> list[dict[str, Any]]:
    names, places = np.unique(samples.y, return_inverse=True)
    rows = samples.train, samples.test
    counts = [np.bincount(places[one], minlength=len(names)) for one in rows]
    return _class_rows(list(map(str, names.tolist())), counts)


def _class_rows(names: Sequence[str], counts: Sequence[npt.NDArray[Any]]) -> list[dict[str, Any]]:
    """Return the name of each class, and how often it is in the training and the test part."""
    return [
        {"name": name, "training": training, "test": test}
        for name, training, test in zip(names, *counts, strict=True)
    ]


def _table_values(samples: TableSamples) -> dict[str, Any]:
    """Return the contents of a table as JSON values."""
    head, *rows = decisions(samples)
    classes = _class_counts(samples) if samples.task == "classification" else None
    return {
        "name": samples.name,
        "source": samples.source,
        "target": samples.target.name,
        "task": samples.task,
        "training_rows": len(samples.train),
        "test_rows": len(samples.test),
        "columns": [dict(zip(head, row, strict=True)) for row in rows],
        "sha256": samples.hashes,
        "classes": classes,
    }


def _hashes(hashes: dict[str, str]) -> list[str]:
    return ["SHA-256", *(f"  {digest}  {one_line(name)}" for name, digest in hashes.items())]


def _values(samples: Samples) -> dict[str, Any]:
    """Return the contents of a data set as JSON values."""
    arrays = {
        name: {"shape": array.shape, "dtype": array.dtype.name}
        for name, array in (("x_train", samples.x_train), ("x_test", samples.x_test))
    }
    return {
        "name": samples.name,
        "source": samples.source,
        **arrays,
        "test_part": samples.test_part,
        "scaling": samples.scaling.description,
        "sha256": samples.hashes,
        "classes": _class_rows(samples.class_names, _counts(samples)),
    }


def _counts(samples: Samples) -> list[npt.NDArray[Any]]:
    """Return the number of training and test samples of each class."""
    n_classes = len(samples.class_names)
    return [np.bincount(y, minlength=n_classes) for y in (samples.y_train, samples.y_test)]


def _text(samples: Samples) -> str:
    lines = [f"{one_line(samples.name)} from {one_line(samples.source)}", ""]
    names = [one_line(name) for name in samples.class_names]
    for name, array in (
        ("x_train", samples.x_train),
        ("y_train", samples.y_train),
        ("x_test", samples.x_test),
        ("y_test", samples.y_test),
    ):
        shape = " x ".join(str(length) for length in array.shape)
        dtype = "classes" if name.startswith("y") else array.dtype.name
        lines.append(f"{name:<8} {shape:<16} {dtype:<8} from {array.min():g} to {array.max():g}")
    lines += [
        f"test     {samples.test_part}",
        f"scaling  {samples.scaling.description}",
        "",
        *_hashes(samples.hashes),
        "",
    ]
    width = max(len(name) for name in (*names, "class"))
    lines.append(f"      {'class':<{width}}  training    test")
    counts = _counts(samples)
    for number, name in enumerate(names):
        lines.append(
            f"{number:>4}  {name:<{width}}  {counts[0][number]:>8,}  {counts[1][number]:>6,}"
        )
    return "\n".join(lines)
