"""``cnn-core data``: where a data set is, and what is in it."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core.cli.console import note, one_line
from cnn_core.cli.output import print_result
from cnn_core.cli.source import Source
from cnn_core.cli.sources import Samples, read_samples

__all__ = ["run"]


def run(args: argparse.Namespace) -> int:
    """Carry the command out; the exit code is 0."""
    samples = read_samples(Source.from_arguments(args), note)
    print_result(args, _text(samples), _values(samples))
    return 0


def _values(samples: Samples) -> dict[str, Any]:
    """Return what is in a data set for programs."""
    arrays = {
        name: {"shape": array.shape, "dtype": array.dtype.name}
        for name, array in (("x_train", samples.x_train), ("x_test", samples.x_test))
    }
    training, test = _counts(samples)
    return {
        "name": samples.name,
        "source": samples.source,
        **arrays,
        "test_part": samples.test_part,
        "scaling": samples.scaling.description,
        "sha256": samples.hashes,
        "classes": [
            {"name": name, "training": training[number], "test": test[number]}
            for number, name in enumerate(samples.class_names)
        ],
    }


def _counts(samples: Samples) -> list[npt.NDArray[Any]]:
    """Return how many training and test samples each class has."""
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
        "SHA-256",
        *(f"  {digest}  {one_line(name)}" for name, digest in samples.hashes.items()),
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
