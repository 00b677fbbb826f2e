"""``cnn-core predict``: the classes of the samples of a file, by the model of a run folder."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

from cnn_core.cli.console import CommandError, note, show
from cnn_core.cli.run_folder import Run, read_run
from cnn_core.cli.tables import read_features
from cnn_core.files import table_text, write_text
from cnn_core.network import FloatArray, IndexArray

__all__ = ["run"]


def run(args: argparse.Namespace) -> int:
    """Carry the command out; the exit code is 0."""
    trained = read_run(args.folder, args.backend)
    out: Path | None = args.out
    if out is not None and out.exists() and os.path.samefile(out, args.file):
        raise CommandError(f"--out: {out} is the file to be predicted; choose another name")
    header = args.header
    if header is None and args.file.suffix.lower() == ".csv":
        header = trained.source.header
    x = read_features(args.file, trained.columns, header, note)
    samples = trained.scaled(x, args.file)
    if args.outputs:
        outputs = trained.trained.outputs(samples)
        text = _table(trained, outputs.argmax(axis=1), outputs)
    else:
        text = _table(trained, trained.trained.predict(samples))
    if out is None:
        show(text, end="")
    else:
        write_text(out, text)
        note(f"{len(x):,} predictions written to {out}")
    return 0


def _table(run: Run, predicted: IndexArray, outputs: FloatArray | None = None) -> str:
    def rows() -> Iterator[list[object]]:
        yield ["sample", "class", *(() if outputs is None else run.class_names)]
        for number, best in enumerate(predicted):
            values = () if outputs is None else (f"{value:.6g}" for value in outputs[number])
            yield [number, run.class_names[best], *values]

    return table_text(rows())
