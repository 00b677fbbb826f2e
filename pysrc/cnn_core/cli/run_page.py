"""The page of a run: what it tells, from the record, the model and the test part."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core.cli.console import one_line
from cnn_core.cli.pages.classes import class_results
from cnn_core.cli.pages.contents import Contents, History, Importance, Row, Tile
from cnn_core.cli.pages.importance import permutation_importance
from cnn_core.cli.pages.samples import ImageSamples, SampleViewer, TableSamples, number_text
from cnn_core.cli.pages.weights import weight_pictures
from cnn_core.cli.plan import counted
from cnn_core.cli.trained_model import Trained
from cnn_core.files import write_text
from cnn_core.io.fields import Fields
from cnn_core.network import ByteArray, FloatArray

__all__ = [
    "Tested",
    "commands_of",
    "computed_by",
    "contents_of",
    "facts_of",
    "shown_settings",
    "write_page",
]

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Tested:
    """A run with its test part.

    Attributes
    ----------
    record : Fields
        What ``run.json`` holds.
    folder : str
        The run folder, as it is typed.
    history : dict of str to list of float
    trained : Trained
    samples : numpy.ndarray, (n, features), (n, height, width) or (n, height, width, channels)
        The test part as it was stored.
    x : numpy.ndarray, (n, features)
        The same as the network takes it.
    y : numpy.ndarray, (n,)
        Its classes.
    test_part : str
        In words, how the test part came about.
    """

    record: Fields
    folder: str
    history: dict[str, list[float]]
    trained: Trained
    samples: Array
    x: FloatArray | ByteArray
    y: Array
    test_part: str


def write_page(path: Path, contents: Contents) -> None:
    """Write the page of a run of whichever kind, one file of HTML.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    from cnn_core.cli.pages.rendering import report_page

    write_text(path, report_page(contents))


def contents_of(tested: Tested) -> Contents:
    """Return what the page of a run tells.

    Raises
    ------
    TypeError, ValueError
        If the record is damaged.
    """
    record, trained = tested.record, tested.trained
    data, result = record.fields("data"), record.fields("result")
    names = record.names("class_names")
    outputs = trained.outputs(tested.x)
    columns = data.optional(data.names, "feature_names")
    importance = _importance(tested, columns)
    viewer = _viewer(tested, columns, importance)
    classes = class_results(np.clip(outputs, 0, 1), tested.y, names, viewer)
    accuracy = 1 - classes.wrong / len(tested.y)
    loss, _ = trained.measure(tested.x, tested.y)
    shape = tested.samples.shape[1:] if tested.samples.ndim > 2 else None
    return Contents(
        title=data.text("name"),
        sentence=_sentence(tested, len(names), accuracy),
        tiles=[
            Tile(f"{accuracy:.4f}", f"accuracy on {len(tested.y):,} test samples"),
            Tile(f"{loss:.4f}", "loss on them"),
            Tile(f"{result.number('training_seconds'):.2f} s", "of training"),
            Tile(f"{result.number('samples_per_second'):,.0f}", "samples a second"),
            Tile(f"{trained.model.network.n_parameters():,}", "parameters"),
        ],
        history=_history(tested),
        classes=classes,
        weights=weight_pictures(trained.model, shape, columns),
        importance=importance,
        facts=facts_of(record, tested.test_part),
        commands=commands_of(record, tested.folder),
        notes=_notes(record),
    )


def _sentence(tested: Tested, n_classes: int, accuracy: float) -> str:
    data, network = tested.record.fields("data"), tested.record.fields("result").text("network")
    sizes, *words = network.split(", ")
    shape = tested.samples.shape[1:]
    kind = (
        f"images of {' x '.join(map(str, shape))}"
        if len(shape) > 1
        else f"rows of {shape[0]} columns"
    )
    count = data.whole("training_samples")
    usual = int(np.bincount(tested.y).max()) / len(tested.y)
    return (
        f"A network {sizes} ({', '.join(words)}) learned from {count:,} {kind} of "
        f"{data.text('name')} to tell {n_classes} classes apart. Of {len(tested.y):,} test samples "
        f"it knows {100 * accuracy:.1f} %; always answering the largest class would be right for "
        f"{100 * usual:.1f} %."
    )


def _notes(record: Fields) -> list[str]:
    if "interrupted" in record and record.flag("interrupted"):
        done = record.fields("result").whole("epochs")
        return [f"The training was interrupted after {counted(done)}."]
    return []


def _history(tested: Tested) -> History:
    data, settings = tested.record.fields("data"), tested.record.fields("settings")
    kept = None
    if settings.values.get("patience") is not None:
        kept = tested.record.fields("result").whole("kept_epoch", 1)
    measured = "validation" if data.values.get("validation_samples") else "test"
    smooth = settings.values.get("label_smoothing")
    loss = "Loss, with smoothed labels" if smooth else "Loss"
    return History(tested.history, measured, kept, loss)


def _importance(tested: Tested, columns: tuple[str, ...] | None) -> Importance | None:
    """Return the importance of the columns of a table."""
    if tested.samples.ndim != 2 or columns is None:
        return None
    return permutation_importance(
        np.asarray(tested.x), tested.y, columns, lambda x, y: tested.trained.measure(x, y)[0]
    )


def _viewer(
    tested: Tested, columns: tuple[str, ...] | None, importance: Importance | None
) -> SampleViewer:
    """Return what shows the samples: images, or rows with the most important columns first."""
    samples = tested.samples
    if samples.ndim > 2:
        return ImageSamples(samples)
    names = columns or tuple(f"column {number + 1}" for number in range(samples.shape[1]))
    first = () if importance is None else tuple(names.index(name) for name in importance.names)
    return TableSamples([samples[:, column] for column in range(len(names))], names, first)


# What stands in tables


def facts_of(record: Fields, test_part: str) -> dict[str, list[Row]]:
    """Return what a run was trained on, by which settings and by which versions."""
    data = record.fields("data")
    validation = data.whole("validation_samples") if "validation_samples" in data else 0
    rows = [
        ("read from", data.text("source")),
        ("samples", _counts(data, validation)),
        ("features", f"{data.whole('features'):,}"),
        ("classes", f"{len(record.names('class_names')):,}"),
        ("test part", test_part),
        ("scaling", record.fields("preprocessing").text("description")),
        *((f"SHA-256 of {name}", value) for name, value in data.text_by_text("sha256").items()),
    ]
    return {
        "Data": rows,
        "Settings": shown_settings(record.fields("settings").values),
        "Computed by": computed_by(record),
    }


def computed_by(record: Fields) -> list[Row]:
    """Return when and by what a run was computed."""
    backend = record.fields("backend")
    versions = backend.fields("versions").values if "versions" in backend else {}
    computed = [
        ("date", record.text("date")),
        ("backend", _shown(backend.values.get("backend"))),
        ("ISA level", isa if (isa := _shown(backend.values.get("isa"))) != "numpy" else ""),
        ("threads", _shown(backend.values.get("threads"))),
        ("compiler", _shown(backend.values.get("compiler"))),
        *((name, _shown(value)) for name, value in versions.items()),
        ("SHA-256 of the weights", record.fields("result").text("weights_sha256")),
    ]
    return [(name, value) for name, value in computed if value]


def shown_settings(settings: dict[str, Any]) -> list[Row]:
    """Return the settings of a training that say something, as a page shows them."""
    return [
        (name.replace("_", " "), _shown(value))
        for name, value in settings.items()
        if value is not None
    ]


def _counts(data: Fields, validation: int) -> str:
    held_out = f"{validation:,} validation, " if validation else ""
    training, test = data.whole("training_samples"), data.whole("test_samples")
    return f"{training:,} training, {held_out}{test:,} test"


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return ", ".join(map(_shown, value))
    return one_line(number_text(value))


def commands_of(record: Fields, folder: str) -> list[Row]:
    """Return what can be done with a run, and the commands that do it."""
    command = shlex.join(record.texts("command"))
    run = shlex.quote(folder)
    model = f"{folder}/model.safetensors"
    return [
        ("Train again, as it was typed:", command),
        ("Train again and compare the bits:", f"cnn-core verify {run}"),
        ("Predict the samples of a file:", f"cnn-core predict {run} new.csv --out predictions.csv"),
        ("In Python:", f"import cnn_core; model = cnn_core.load({model!r})"),
    ]
