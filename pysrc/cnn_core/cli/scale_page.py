"""The page of a run on files: what was learned from which of them, and what the last one says."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core import load
from cnn_core.cli.console import one_line, short_path
from cnn_core.cli.encoding import Encoding
from cnn_core.cli.pages.classes import ClassResults, class_results
from cnn_core.cli.pages.contents import Contents, History, Row, Tile
from cnn_core.cli.pages.samples import TableSamples
from cnn_core.cli.run_folder import MODEL
from cnn_core.cli.scale_columns import Standardized
from cnn_core.cli.scale_run import FilesRun
from cnn_core.cli.scaling import Scaling
from cnn_core.cli.trained_model import describe_backend, describe_network
from cnn_core.cli.training import history_of
from cnn_core.data.row_files import ParquetFile

__all__ = ["TestFile", "contents_again", "contents_of", "measure"]

Array = npt.NDArray[Any]

# Rows of the test file that are predicted together; the page shows the first of these parts.
_AT_ONCE = 2**16


@dataclass(frozen=True, eq=False)
class TestFile:
    """What a model says of the rows of a file.

    Attributes
    ----------
    name : str
    n_rows : int
    accuracy : float
        Share of the rows that are predicted right.
    classes : ClassResults or None
        Of the first rows; None if there are none of a class that the model knows.
    n_shown : int
        How many rows these are.
    """

    __test__ = False  # pytest takes a class of this name for a test

    name: str
    n_rows: int
    accuracy: float
    classes: ClassResults | None
    n_shown: int


def measure(model: Any, encoding: Encoding, scaling: Scaling, path: str, target: str) -> TestFile:
    """Predict the rows of a Parquet file, part by part.

    Parameters
    ----------
    model : classifier
    encoding : Encoding
        Of the features.
    scaling : Scaling
        Of what they become.
    path, target : str
        The file, and the name of its column of classes.
    """
    file = ParquetFile(path)
    samples, labels = file.of(tuple(encoding.levels)), file.of((target,))
    scaled = Standardized(samples, encoding, scaling)
    right, classes, n_shown = 0, None, 0
    for start in range(0, file.n_rows, _AT_ONCE):
        stop = min(start + _AT_ONCE, file.n_rows)
        frame, truth = samples.read(start, stop), labels.read(start, stop).iloc[:, 0].to_numpy()
        rows = scaled.of(frame, start)
        right += int((model.predict(rows) == truth).sum())
        if start == 0:
            classes, n_shown = _shown(model, frame, rows, truth)
    return TestFile(Path(path).name, file.n_rows, right / max(file.n_rows, 1), classes, n_shown)


def _shown(model: Any, frame: Any, rows: Any, truth: Array) -> tuple[ClassResults | None, int]:
    """Return what the page tells of rows, but for those of classes that the model does not know."""
    known = np.flatnonzero(np.isin(truth, model.classes_))
    if not len(known):
        return None, 0
    frame, rows = frame.iloc[known], rows.iloc[known]
    viewer = TableSamples(
        [frame[name].to_numpy() for name in frame.columns], tuple(map(str, frame.columns))
    )
    places = np.searchsorted(model.classes_, truth[known])
    names = tuple(str(label) for label in model.classes_)
    return class_results(model.predict_proba(rows), places, names, viewer), len(known)


def contents_of(record: dict[str, Any], folder: str, model: Any, test: TestFile | None) -> Contents:
    """Return what the page of a run on files tells.

    Parameters
    ----------
    record : dict
        What ``run.json`` holds.
    folder : str
        The run folder, as it is typed.
    model : DaskMLPClassifier
        Fitted.
    test : TestFile or None
    """
    files = record["data"]["train"]
    name = one_line(record["data"].get("name") or Path(files[0]).stem)
    history = history_of(model.model_)
    epochs, seconds = len(history.get("loss", ())), sum(history.get("seconds", ()))
    sentence = (
        f"A network {describe_network(model.model_.network)} learned from {len(files)} "
        f"{'file' if len(files) == 1 else 'files'} of {name} to tell {len(model.classes_)} "
        f"classes apart, without having all of them in memory at once."
    )
    tiles = [Tile(f"{epochs}", "epochs"), Tile(f"{seconds:.1f} s", "of training")]
    notes = []
    if test is not None:
        sentence += f" Of {test.n_rows:,} rows of {test.name} it knows {100 * test.accuracy:.1f} %."
        tiles.insert(0, Tile(f"{test.accuracy:.4f}", f"accuracy on {test.n_rows:,} test rows"))
        if test.classes is not None and test.n_shown < test.n_rows:
            notes = [f"Confusions and mistakes are those of {test.n_shown:,} rows of it."]
    return Contents(
        title=name,
        sentence=sentence,
        tiles=tiles,
        history=History(history, "validation"),
        classes=None if test is None else test.classes,
        facts=_facts(record, model),
        commands=[
            ("Train again, as it was typed:", shlex.join(record["command"])),
            (
                "In Python, for columns standardized as run.json says under preprocessing:",
                f"import cnn_core; model = cnn_core.load({f'{folder}/model.safetensors'!r})",
            ),
        ],
        notes=notes,
    )


def contents_again(folder: Path, run: FilesRun) -> Contents:
    """Return what the page tells of a run that was read from its folder, and of its test file.

    Raises
    ------
    FileNotFoundError
        If that is no longer there.
    """
    data = run.record.values["data"]
    model = load(folder / MODEL)
    tested = (
        None
        if data["test"] is None
        else measure(model, run.encoding, run.scaling, data["test"], data["target"])
    )
    return contents_of(run.record.values, short_path(folder), model, tested)


def _facts(record: dict[str, Any], model: Any) -> dict[str, list[Row]]:
    data = record["data"]
    settings = {
        "shards": record["shards"],
        "seed": record["seed"],
        "epochs": model.max_iter,
        "batch size": model.batch_size,
        "learning rate": model.learning_rate_init,
    }
    return {
        "Data": [
            *(("trained on", path) for path in data["train"]),
            *([] if data["test"] is None else [("tested on", data["test"])]),
            ("target", data["target"]),
        ],
        "Settings": [(name, str(value)) for name, value in settings.items() if value is not None],
        "Computed by": [
            ("date", record["date"]),
            *([("backend", describe_backend(record["backend"]))] if "backend" in record else []),
            ("cnn_core", record["cnn_core"]),
        ],
    }
