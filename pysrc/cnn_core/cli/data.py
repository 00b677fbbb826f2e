"""``cnn-core data``: where a data set is, and what is in it."""

from __future__ import annotations

import argparse

import numpy as np

from cnn_core.cli.console import note, one_line, show
from cnn_core.cli.source import Source
from cnn_core.cli.sources import Samples, read_samples

__all__ = ["run"]


def run(args: argparse.Namespace) -> int:
    """Carry the command out; the exit code is 0."""
    show(_text(read_samples(Source.from_arguments(args), note)))
    return 0


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
    counts = [
        np.bincount(y, minlength=len(samples.class_names))
        for y in (samples.y_train, samples.y_test)
    ]
    for number, name in enumerate(names):
        lines.append(
            f"{number:>4}  {name:<{width}}  {counts[0][number]:>8,}  {counts[1][number]:>6,}"
        )
    return "\n".join(lines)
