"""A run on files, read from its folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cnn_core import load
from cnn_core.cli.console import CommandError
from cnn_core.cli.records import check_format, damaged
from cnn_core.cli.run_folder import MODEL, RECORD, Run
from cnn_core.cli.scaling import Scaling
from cnn_core.cli.source import Source
from cnn_core.cli.trained_model import Trained
from cnn_core.io.fields import Fields

__all__ = ["FORMAT", "FORMAT_VERSION", "FilesRun", "is_record_of_one", "read"]

FORMAT = "cnn-core scaled run"
FORMAT_VERSION = 2
# Columns were left as they are.
_WITHOUT_SCALING = 1


class FilesRun(Run):
    """A run on Parquet files. Its test part is the last of them, of which no row was learned."""


def is_record_of_one(fields: Fields) -> bool:
    """Tell whether a record is that of a run on files."""
    return fields.values.get("format") == FORMAT


def read(folder: Path, fields: Fields, backend: str) -> FilesRun:
    """Read the folder of a run on files, whose record is `fields`.

    Raises
    ------
    CommandError
        If it is damaged.
    ValueError, OSError
        If the model cannot be read.
    """
    with damaged(folder / RECORD):
        check_format(fields, FORMAT, (_WITHOUT_SCALING, FORMAT_VERSION))
        data = fields.fields("data")
        target, files = data.text("target"), data.texts("train")
        test = data.optional(data.text, "test")
        scaling = Scaling("left as they are", np.zeros(()), np.ones(()), "float64")
        if fields.values["format_version"] != _WITHOUT_SCALING:
            scaling = Scaling.from_json(fields.fields("preprocessing"))
        accuracy = fields.optional(fields.number, "accuracy")
    model = load(folder / MODEL, backend=backend)
    try:
        trained = Trained.of(model)
    except TypeError as error:
        raise CommandError(f"{folder / MODEL}: {error}") from error
    names = getattr(model, "feature_names_in_", None)
    return FilesRun(
        trained=trained,
        source=Source(test or files[-1], target=target),
        hashes={},
        class_names=tuple(map(str, model.classes_)),
        feature_names=None if names is None else tuple(map(str, names)),
        target_name=target,
        image_shape=None,
        scaling=scaling,
        accuracy=float("nan") if accuracy is None else accuracy,
        record=fields,
    )
