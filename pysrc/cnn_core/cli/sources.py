"""Read the samples of ``--data``, with a training and a test part."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core.cli.console import CommandError, short_path
from cnn_core.cli.scaling import Scaling
from cnn_core.cli.source import Source
from cnn_core.cli.tables import (
    TrainedColumns,
    classes_of,
    listed,
    read_table,
    read_table_alike,
    require_learnable,
)
from cnn_core.cli.tabular.samples import unheard
from cnn_core.data import DataNotFoundError, Dataset, load_digits, load_fashion_mnist
from cnn_core.data.fashion_mnist import FILES
from cnn_core.data.splits import shuffled_by_class

__all__ = [
    "Samples",
    "TestPart",
    "find_fashion_mnist",
    "image_shape",
    "read_samples",
    "read_test_part",
    "split_off",
]

Array = npt.NDArray[Any]
IndexArray = npt.NDArray[np.intp]

TEST_SHARE = 0.2


@dataclass(frozen=True, eq=False)
class Samples:
    """Unscaled samples with classes, and their scaling.

    Attributes
    ----------
    name : str
        Short name, suitable for a folder.
    source : str
        Where the data were found.
    x_train, x_test : numpy.ndarray, (n, features) or images
    y_train, y_test : numpy.ndarray, (n,)
        Positions in `class_names`.
    class_names : tuple of str
    feature_names : tuple of str or None
    target_name : str or None
        Name of the column that held the classes.
    scaling : Scaling
    hashes : dict of str to str
        SHA-256 of the data, by name.
    test_part : str
        Origin of the test part, as text.
    """

    name: str
    source: str
    x_train: Array
    y_train: Array
    x_test: Array
    y_test: Array
    class_names: tuple[str, ...]
    feature_names: tuple[str, ...] | None
    target_name: str | None
    scaling: Scaling
    hashes: dict[str, str]
    test_part: str

    @property
    def image_shape(self) -> tuple[int, ...] | None:
        """Height and width, and channels if there are several, if the samples are images."""
        return image_shape(self.x_train)

    @property
    def n_features(self) -> int:
        """Number of features of a sample."""
        return int(np.prod(self.x_train.shape[1:]))


@dataclass(frozen=True, eq=False)
class TestPart:
    """Samples to evaluate a model on.

    Attributes
    ----------
    x : numpy.ndarray, (n, features) or images
    y : numpy.ndarray, (n,)
        Positions in the class names of the run.
    description : str
        In words, what it is.
    """

    __test__ = False  # pytest takes a class of this name for a test

    x: Array
    y: Array
    description: str


def image_shape(x: Array) -> tuple[int, ...] | None:
    """Return height and width, and channels of colour images, if `x` holds images."""
    return tuple(map(int, x.shape[1:])) if x.ndim > 2 else None


def read_samples(source: Source, report: Callable[[str], None] | None = None) -> Samples:
    """Read the data to train on.

    Parameters
    ----------
    source : Source
    report : callable, optional
        Called with a line of text for each place without the data.

    Returns
    -------
    Samples

    Raises
    ------
    FileNotFoundError, ValueError
        If the file does not exist, or does not hold samples with classes.
    """
    if source.is_file:
        return _own_samples(source, report or unheard)
    dataset = _known_dataset(source, report)
    return Samples(
        name=dataset.name,
        source=dataset.source,
        x_train=dataset.x_train,
        y_train=dataset.y_train.astype(np.intp),
        x_test=dataset.x_test,
        y_test=dataset.y_test.astype(np.intp),
        class_names=dataset.class_names,
        feature_names=None,
        target_name=None,
        scaling=Scaling.divide_by(dataset.scale, dataset.x_train.dtype.name),
        hashes=_dataset_hashes(dataset),
        test_part=_test_part_of(dataset),
    )


def read_test_part(
    source: Source,
    class_names: tuple[str, ...],
    columns: TrainedColumns,
    known_hashes: dict[str, str],
    report: Callable[[str], None],
    *,
    asked_for: bool,
) -> TestPart:
    """Read the samples to evaluate the model of a run on.

    These are the test part of the data if there is one. For the unchanged training file they are
    the part that was held out. Otherwise they are the whole file, which the user must have named.

    Parameters
    ----------
    source : Source
    class_names : tuple of str
        Class names of the run.
    columns : TrainedColumns
        Columns of the training data.
    known_hashes : dict of str to str
        SHA-256 of the data of the run.
    report : callable
        Called with each line of text for the user.
    asked_for : bool
        Whether the user named the data; otherwise they are those of the run.

    Raises
    ------
    FileNotFoundError, ValueError
        If the file does not exist, does not fit the run, or is a changed version of the training
        file.
    """
    if not source.is_file:
        dataset = _known_dataset(source, report)
        y = _translated(dataset.y_test, dataset.class_names, class_names, dataset.name)
        return TestPart(dataset.x_test, y, _test_part_of(dataset))
    table, hashes = read_table_alike(source, columns, report)
    own_names, y, y_test = classes_of(table)
    place = short_path(table.source)
    is_unchanged = sorted(hashes.values()) == sorted(known_hashes.values())
    remark = ""
    if table.X_test is not None and y_test is not None:
        if not is_unchanged and not asked_for:
            remark = f"{place} has changed since the training"
        x, description = table.X_test, f"the test part of {place}"
        y = y_test
    elif is_unchanged:
        _, held_out = split_off(y, own_names, TEST_SHARE)
        x, y = table.X[held_out], y[held_out]
        description = f"the samples of {place} held out in training"
    elif asked_for:
        remark = (
            f"{place} is not, or no longer, the file that was trained on; all its samples are "
            "measured, also those that may have been trained on"
        )
        x, description = table.X, f"all samples of {place}"
    else:
        raise CommandError(
            f"{place} has changed since the training, so that the samples held out then can no "
            f"longer be told from the others; to measure on all of it, pass --data {place}"
        )
    part = TestPart(x, _translated(y, own_names, class_names, table.source), description)
    if remark:
        report(remark)
    return part


def split_off(
    y: Array, class_names: tuple[str, ...], fraction: float
) -> tuple[IndexArray, IndexArray]:
    """Split samples with a fixed seed, stratified by class.

    Parameters
    ----------
    y : numpy.ndarray, (n,)
        Positions in `class_names`.
    class_names : tuple of str
    fraction : float
        Share to split off, above 0 and at most 0.5.

    Returns
    -------
    rest, part : numpy.ndarray
        Indices in rising order; each class is in `rest`.

    Raises
    ------
    CommandError
        If a class has one sample only, or nothing would be split off.
    """
    for name, count in zip(class_names, np.bincount(y, minlength=len(class_names)), strict=True):
        if count == 1:
            raise CommandError(
                f"class {name!r} has one sample only, which cannot be both trained and tested on; "
                "add samples of it, or leave it out"
            )
    by_class = shuffled_by_class(y)
    steps = np.floor(np.arange(len(y) + 1) * fraction + 1e-9)
    chosen = np.diff(steps) > 0
    if not chosen.any():
        raise CommandError(f"{len(y)} samples are too few to hold a share of {fraction:g} out")
    return np.sort(by_class[~chosen]), np.sort(by_class[chosen])


# Data sets known by name


def find_fashion_mnist(
    folder: str | Path | None, report: Callable[[str], None] | None = None
) -> Dataset:
    """Load Fashion-MNIST; report each searched place if it is not found at once.

    Parameters
    ----------
    folder : str or pathlib.Path or None
        The folder to use, if given.
    report : callable, optional
        See `read_samples`.

    Raises
    ------
    FileNotFoundError, ValueError
        If it is not found, or damaged. Reported places are not listed again.
    """
    tried: list[str] = []

    def tell(step: str) -> None:
        if report is not None:
            if not tried:
                report("looking for Fashion-MNIST")
            report(f"tried {step}")
            tried.append(step)

    try:
        return load_fashion_mnist(folder, report=tell)
    except DataNotFoundError as error:
        if not tried:
            raise
        advice = str(error).splitlines()[-1]
        raise DataNotFoundError(
            f"Fashion-MNIST was found in none of these places. {advice}"
        ) from error


def _known_dataset(source: Source, report: Callable[[str], None] | None) -> Dataset:
    if source.data == "digits":
        return load_digits()
    return find_fashion_mnist(source.folder, report)


def _test_part_of(dataset: Dataset) -> str:
    if dataset.name == "digits":
        return "a fixed fifth of the digits, held out"
    return "the data set's own test part"


def _dataset_hashes(dataset: Dataset) -> dict[str, str]:
    if dataset.name == "fashion-mnist":
        return {file.stem: file.sha256 for file in FILES}
    parts = ("x_train", "y_train", "x_test", "y_test")
    return {
        part: hashlib.sha256(np.ascontiguousarray(getattr(dataset, part)).data).hexdigest()
        for part in parts
    }


def _translated(y: Array, names: tuple[str, ...], wanted: tuple[str, ...], where: str) -> Array:
    """Return positions in `wanted` for positions in `names`."""
    position = {name: i for i, name in enumerate(wanted)}
    unknown = [name for name in names if name not in position]
    if unknown:
        raise CommandError(
            f"{where}: expected the classes that the run knows, {listed(wanted)}, "
            f"found also {listed(unknown)}"
        )
    positions: Array = np.array([position[name] for name in names], np.intp)[y]
    return positions


# Files of the user's


def _own_samples(source: Source, report: Callable[[str], None]) -> Samples:
    table, hashes = read_table(source, report)
    class_names, y, y_test = classes_of(table)
    require_learnable(table, class_names, len(y))
    if table.X_test is not None and y_test is not None:
        _require_all_classes(table.source, class_names, y)
        x_train, y_train, x_test = table.X, y, table.X_test
        test_part = "the file's own test part"
    else:
        train, test = split_off(y, class_names, TEST_SHARE)
        x_train, y_train = table.X[train], y[train]
        x_test, y_test = table.X[test], y[test]
        test_part = f"a random {TEST_SHARE:.0%} of the file, held out"
    scaling = Scaling.fixed_on(x_train)
    for x in (table.X, table.X_test):
        if x is not None:
            scaling.require_near(x, table.feature_names, table.source)
    return Samples(
        name=source.name,
        source=table.source,
        x_train=x_train,
        y_train=y_train,
        x_test=x_test,
        y_test=y_test,
        class_names=class_names,
        feature_names=table.feature_names,
        target_name=table.target_name,
        scaling=scaling,
        hashes=hashes,
        test_part=test_part,
    )


def _require_all_classes(where: str, names: tuple[str, ...], y: Array) -> None:
    counts = np.bincount(y, minlength=len(names))
    missing = [name for name, count in zip(names, counts, strict=True) if not count]
    if missing:
        raise CommandError(
            f"{where}: expected training samples of each class, found none of {listed(missing)}; "
            "add some, or leave their test samples out"
        )
