"""Read the folder of a run of any kind."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

from cnn_core.cli import scale_run
from cnn_core.cli.run_folder import Run, read_run, record_in
from cnn_core.cli.tabular import run as table_run

__all__ = ["AnyRun", "read_any"]

AnyRun: TypeAlias = Run | table_run.TableRun


def read_any(folder: Path, backend: str = "auto") -> AnyRun:
    """Read the folder of a run of ``cnn-core train``.

    Parameters
    ----------
    folder : pathlib.Path
    backend : {"auto", "cython", "numpy"}

    Raises
    ------
    CommandError
        If it is not a run folder, or damaged.
    ValueError, OSError
        If the model cannot be read.
    """
    record = record_in(folder)
    if scale_run.is_record_of_one(record):
        return scale_run.read(folder, record, backend)
    if table_run.is_record_of_one(record):
        return table_run.read(folder, record, backend)
    return read_run(folder, backend)
