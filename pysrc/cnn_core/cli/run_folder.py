"""Write the folder of a run completely or not at all, and read it."""

from __future__ import annotations

import csv
import errno
import io
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core import load
from cnn_core.cli.console import CommandError, note, short_path
from cnn_core.cli.records import check_format, damaged, read_record, source_from_json
from cnn_core.cli.scaling import Scaling
from cnn_core.cli.source import Source
from cnn_core.cli.tables import TrainedColumns
from cnn_core.cli.trained_model import Trained, weights_sha256
from cnn_core.files import open_file, sync_folder, write_table
from cnn_core.io.fields import Fields
from cnn_core.network import ByteArray, FloatArray

__all__ = [
    "ALL_FILES",
    "CHECKPOINT",
    "CHECKPOINTS",
    "CONFIG",
    "FILES",
    "FORMAT",
    "FORMAT_VERSION",
    "HISTORY",
    "MODEL",
    "PAGE",
    "RECORD",
    "TABLES_VERSION",
    "UNFINISHED",
    "NewFolder",
    "Run",
    "final_folder",
    "is_about",
    "new_folder",
    "put_in_place",
    "read_history",
    "read_losses",
    "read_run",
    "record_in",
    "write_history",
]

HISTORY = "history.csv"
MODEL = "model.safetensors"
RECORD = "run.json"
CONFIG = "run.toml"
REPORT = "report.txt"
PAGE = "report.html"
PICTURES = ("curves.png", "confusion.png", "gallery.png", "filters.png")
# Checkpoint of an unfinished training: a file, or a folder with one for each network.
CHECKPOINT = "checkpoint.safetensors"
CHECKPOINTS = "checkpoints"
# All files of the run folder of a network, and of any.
FILES = (MODEL, RECORD, CONFIG, HISTORY, REPORT, PAGE, *PICTURES)
ALL_FILES = (*FILES, "predicted.png", "residuals.png")
# Suffix of the folder of an unfinished training.
UNFINISHED = ".unfinished"
FORMAT = "cnn-core run"
FORMAT_VERSION = 2
# Version of runs of learners of tables.
TABLES_VERSION = 3
# The first version had only `NN` models.
_READABLE_VERSIONS = (1, FORMAT_VERSION)

_RUNS = Path("runs")
_NO_ROOM = {errno.ENOSPC, errno.EFBIG, errno.EIO, errno.EROFS, getattr(errno, "EDQUOT", -1)}


class NewFolder:
    """A run folder that is being written.

    Attributes
    ----------
    path : pathlib.Path
        Where to write its files.
    final : pathlib.Path
        Its final path.
    was_interrupted : bool
        Whether its training was ended by Ctrl-C.
    """

    def __init__(self, path: Path, final: Path) -> None:
        self.path = path
        self.final = final
        self.was_interrupted = False


@contextmanager
def new_folder(out: Path | None, name: str) -> Iterator[NewFolder]:
    """Create a run folder completely or not at all.

    Files are written to a hidden folder beside it. It is renamed when the block ends without an
    exception, and removed otherwise.

    Parameters
    ----------
    out : pathlib.Path or None
        The folder, which must be absent or empty. It gets a number as suffix if another run takes
        it meanwhile. None: ``runs/<date>-<time>-<name>``, with a number if that exists.
    name : str
        Name of the data.

    Raises
    ------
    CommandError
        If `out` exists and is not empty.
    OSError
        If nothing can be written there.
    """
    final = final_folder(out, name)
    hidden = final.parent / f".{final.name[:40]}-{os.urandom(4).hex()}.tmp"
    folder = NewFolder(hidden, final)
    try:
        hidden.mkdir()
        yield folder
        folder.final = put_in_place(hidden, final, asked_for=out is not None)
    except BaseException as error:
        is_unfinished = hidden.exists()
        shutil.rmtree(hidden, ignore_errors=True)
        if isinstance(error, OSError) and is_about(error, hidden):
            raise OSError(error.errno, error.strerror, short_path(final)) from error
        if isinstance(error, KeyboardInterrupt) and is_unfinished and not error.args:
            raise KeyboardInterrupt("nothing was written") from error
        raise


def final_folder(out: Path | None, name: str) -> Path:
    """Return the path of a new run folder, whose parent exists; see `new_folder`."""
    final = _default_folder(name) if out is None else _checked(out)
    _make_parents(final)
    return final


def is_about(error: OSError, hidden: Path) -> bool:
    """Tell whether an error concerns the hidden folder, which the user does not know."""
    if error.filename is None:
        # An error of writing to an open file has no name.
        return error.errno in _NO_ROOM
    return isinstance(error.filename, str | Path) and Path(error.filename).is_relative_to(hidden)


def put_in_place(hidden: Path, final: Path, *, asked_for: bool) -> Path:
    """Rename the complete folder to its final name, with a number if that is taken."""
    if asked_for:
        try:
            os.replace(hidden, final)
        except OSError:
            # A file or folder was created there after the check of the name.
            if not _is_taken(final):
                raise
        else:
            sync_folder(final.parent)
            return final
    path = _claimed(final)
    os.replace(hidden, path)
    sync_folder(path.parent)
    if asked_for:
        note(
            f"another run was written to {short_path(final)} meanwhile; "
            f"this one is in {short_path(path)}"
        )
    return path


def _is_taken(final: Path) -> bool:
    # A link is not followed, wherever it leads.
    is_empty = final.is_dir() and not any(final.iterdir())
    return final.is_symlink() or (final.exists() and not is_empty)


def _checked(out: Path) -> Path:
    """Return the requested folder, with links resolved, if it can be used."""
    final = Path(os.path.realpath(out))
    if final.is_dir() and any(final.iterdir()):
        raise CommandError(
            f"--out: expected a new or empty folder, found a folder that is not empty: {out}"
        )
    if final.exists() and not final.is_dir():
        raise CommandError(f"--out: expected a new or empty folder, found a file: {out}")
    return final


def _default_folder(name: str) -> Path:
    slug = re.sub(r"[^\w.-]+", "-", name).strip("-.") or "data"
    return _RUNS / f"{datetime.now():%Y%m%d-%H%M%S}-{slug[:60]}"


def _make_parents(final: Path) -> None:
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise CommandError(f"cannot make the folder {final}: {error.filename} is a file") from error


def _claimed(wanted: Path) -> Path:
    """Create an empty folder with this name, or with the first free number as suffix."""
    for number in range(1, 1000):
        path = wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}")
        try:
            path.mkdir()
        except FileExistsError:
            continue
        return path
    raise CommandError(f"{wanted} and 998 more folders of this name exist already; use --out")


# What the folder holds


def write_history(path: Path, history: dict[str, list[float]], measured: str) -> None:
    """Write the history of a network as a table, a row for each epoch.

    Parameters
    ----------
    path : pathlib.Path
    history : dict of str to list of float
        Values of each epoch.
    measured : str
        Kind of the validation data: ``"test"`` or ``"validation"``.
    """
    columns = {key.replace("validation", measured): values for key, values in history.items()}
    rows = zip(*columns.values(), strict=True)
    numbered = ([epoch, *row] for epoch, row in enumerate(rows, start=1))
    write_table(path, [["epoch", *columns], *numbered])


def read_losses(path: Path) -> list[float]:
    """Read the losses of each epoch from a file of `write_history`.

    Raises
    ------
    OSError, ValueError
        If there is no such table, or it is damaged.
    """
    return read_history(path)["loss"]


def read_history(path: Path) -> dict[str, list[float]]:
    """Read the history of a training from a file of `write_history`.

    Raises
    ------
    OSError, ValueError
        If there is no such table, or it is damaged.
    """
    with io.TextIOWrapper(open_file(path), encoding="utf-8", newline="") as stream:
        try:
            head, *rows = csv.reader(stream)
            columns = zip(*rows, strict=True) if rows else [()] * len(head)
            values = [list(map(float, column)) for column in columns]
            history = dict(zip(head, values, strict=True))
            if "loss" not in history:
                raise ValueError("no losses")
        except (csv.Error, ValueError) as error:
            raise ValueError(f"{path}: expected a number as the loss of each epoch") from error
    return {
        re.sub("^test_", "validation_", name): values
        for name, values in history.items()
        if name != "epoch"
    }


# Reading it again


@dataclass(frozen=True, eq=False)
class Run:
    """A run that was read from its folder.

    Attributes
    ----------
    trained : Trained
    source : Source
        The data that it was trained on.
    hashes : dict of str to str
        SHA-256 of the data.
    class_names : tuple of str
    feature_names : tuple of str or None
    target_name : str or None
        None also for runs of earlier versions.
    image_shape : tuple of int or None
        Height and width of images, and 3 for colours.
    scaling : Scaling
    accuracy : float
        Accuracy on the test part, as recorded.
    record : Fields
        The whole record.
    """

    trained: Trained
    source: Source
    hashes: dict[str, str]
    class_names: tuple[str, ...]
    feature_names: tuple[str, ...] | None
    target_name: str | None
    image_shape: tuple[int, ...] | None
    scaling: Scaling
    accuracy: float
    record: Fields

    @property
    def columns(self) -> TrainedColumns:
        """The columns of the table that it was trained on."""
        return TrainedColumns(
            n_features=self.trained.n_features,
            feature_names=self.feature_names,
            target_name=self.target_name or self.source.target,
            is_last=self.source.target is None and self.source.data.lower().endswith(".csv"),
            image_shape=self.image_shape,
        )

    @property
    def weights_sha256(self) -> str:
        """SHA-256 of the learned weights."""
        return weights_sha256(self.trained.model)

    def scaled(self, x: npt.NDArray[Any], source: str | Path) -> FloatArray | ByteArray:
        """Return samples in the form of the network."""
        features = int(np.prod(x.shape[1:]))
        if features != self.trained.n_features:
            raise CommandError(
                f"expected samples of {self.trained.n_features} features, as the run was trained "
                f"on, found {features}"
            )
        trained = np.dtype(self.scaling.dtype)
        if (trained == np.uint8) != (x.dtype == np.uint8):
            note(
                f"the model was trained on {trained} values, {self.scaling.description}; "
                f"these are {x.dtype} values from {x.min():g} to {x.max():g} and are scaled alike"
            )
        self.scaling.require_near(x, self.feature_names, source)
        return self.scaling.apply(x, self.trained.model.dtype)


def record_in(folder: Path) -> Fields:
    """Read the record in the folder of a run.

    Raises
    ------
    CommandError
        If it is not a run folder, or its record is damaged.
    OSError
        If it cannot be read.
    """
    if not folder.is_dir():
        found = "a file" if folder.exists() else "nothing"
        if (folder.parent / RECORD).is_file():
            found += f"; did you mean {folder.parent}?"
        if folder.name and folder.with_name(folder.name + UNFINISHED).is_dir():
            found = f"an unfinished one, with which cnn-core train --resume {folder} goes on"
        raise CommandError(
            f"{folder}: expected the folder of a run of cnn-core train, found {found}"
        )
    missing = [name for name in (RECORD, MODEL) if not (folder / name).is_file()]
    if missing:
        raise CommandError(
            f"{folder}: expected the folder of a run of cnn-core train, "
            f"found one without {' and '.join(missing)}"
        )
    return read_record(folder / RECORD)


def read_run(folder: Path, backend: str = "auto") -> Run:
    """Read the folder of a run of ``cnn-core train`` whose model is a network.

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
    path, fields = folder / RECORD, record_in(folder)
    if fields.values.get("format_version") == TABLES_VERSION:
        raise CommandError(
            f"{folder}: expected a run of --model mlp, found one of --model tables, which this "
            "command does not know"
        )
    with damaged(path):
        check_format(fields, FORMAT, _READABLE_VERSIONS)
        values = _values(fields)
    loaded = load(folder / MODEL, backend=backend)
    try:
        trained = Trained.of(loaded)
    except TypeError as error:
        raise CommandError(f"{folder / MODEL}: {error}") from error
    has = (trained.n_features, trained.n_classes, trained.model.network.input_scale)
    needs = (values.pop("features"), len(values["class_names"]), values["scaling"].input_scale)
    if has != needs:
        raise CommandError(f"{folder}: {RECORD} and {MODEL} do not belong together")
    return Run(trained=trained, **values)


def _image_shape(data: Fields, features: int) -> tuple[int, ...] | None:
    # Earlier versions recorded none.
    values = data.optional(data.numbers, "image_shape") if "image_shape" in data else None
    if values is None:
        return None
    shape = np.atleast_1d(values)
    if len(shape) not in (2, 3) or (shape < 1).any() or shape.prod() != features:
        raise ValueError(
            f"{data.name('image_shape')}: expected height and width of {features} pixels, found "
            f"{values!r:.80}"
        )
    return tuple(map(int, shape))


def _values(fields: Fields) -> dict[str, Any]:
    """Return the values for a `Run`, and the number of features."""
    data = fields.fields("data")
    features = data.whole("features", 1)
    names = data.optional(data.names, "feature_names")
    if names is not None and len(names) != features:
        raise ValueError(f"{data.name('feature_names')}: expected {features}, found {len(names)}")
    return {
        "source": source_from_json(data.fields("asked_for")),
        "hashes": data.text_by_text("sha256"),
        "target_name": data.optional(data.text, "target_name") if "target_name" in data else None,
        "class_names": fields.names("class_names"),
        "feature_names": names,
        "image_shape": _image_shape(data, features),
        "scaling": Scaling.from_json(fields.fields("preprocessing"), features),
        "accuracy": fields.fields("result").number("test_accuracy"),
        "features": features,
        "record": fields,
    }
