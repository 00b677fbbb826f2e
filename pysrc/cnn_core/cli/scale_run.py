"""A run on files, read from its folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnn_core import load
from cnn_core.cli.console import CommandError
from cnn_core.cli.encoding import Encoding
from cnn_core.cli.records import check_format, damaged
from cnn_core.cli.run_folder import MODEL, RECORD, Run
from cnn_core.cli.scaling import Scaling
from cnn_core.cli.source import Source
from cnn_core.cli.tables import TrainedColumns
from cnn_core.cli.trained_model import Trained
from cnn_core.io.fields import Fields

__all__ = ["FORMAT", "FORMAT_VERSION", "FilesRun", "is_record_of_one", "read"]

FORMAT = "cnn-core scaled run"
FORMAT_VERSION = 3
# Columns were left as they are; and they were numbers.
_WITHOUT_SCALING, _WITHOUT_ENCODING = 1, 2


@dataclass(frozen=True, eq=False)
class FilesRun(Run):
    """A run on Parquet files. Its test part is the last of them, of which no row was learned.

    Attributes
    ----------
    encoding : Encoding
        Of the columns; the names of the features are those of its inputs.
    """

    encoding: Encoding

    @property
    def columns(self) -> TrainedColumns:
        """The columns of the files."""
        names = tuple(self.encoding.levels)
        return super().columns._replace(
            n_features=len(names), feature_names=names, encoding=self.encoding
        )


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
        check_format(fields, FORMAT, (_WITHOUT_SCALING, _WITHOUT_ENCODING, FORMAT_VERSION))
        version = fields.values["format_version"]
        data = fields.fields("data")
        target, files = data.text("target"), data.texts("train")
        test = data.optional(data.text, "test")
        scaling = Scaling("left as they are", np.zeros(()), np.ones(()), "float64")
        if version != _WITHOUT_SCALING:
            scaling = Scaling.from_json(fields.fields("preprocessing"))
        encoding = None
        if version == FORMAT_VERSION:
            encoding = Encoding.from_json(fields.fields("inputs"))
        accuracy = fields.optional(fields.number, "accuracy")
    model = load(folder / MODEL, backend=backend)
    try:
        trained = Trained.of(model)
    except TypeError as error:
        raise CommandError(f"{folder / MODEL}: {error}") from error
    names = tuple(map(str, model.feature_names_in_))
    return FilesRun(
        trained=trained,
        source=Source(test or files[-1], target=target),
        hashes={},
        class_names=tuple(map(str, model.classes_)),
        feature_names=names,
        target_name=target,
        image_shape=None,
        scaling=scaling,
        accuracy=float("nan") if accuracy is None else accuracy,
        record=fields,
        encoding=encoding or Encoding(dict.fromkeys(names)),
    )
