"""From what was typed behind ``--data`` to samples with classes, in a training and a test part."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core.cli.console import CommandError, short_path
from cnn_core.cli.scaling import Scaling
from cnn_core.data import (
    DataError,
    DataNotFoundError,
    Dataset,
    Table,
    load_digits,
    load_fashion_mnist,
    load_file,
    read_idx,
)
from cnn_core.data.fashion_mnist import FILES
from cnn_core.data.tables import ENDINGS

__all__ = [
    "Samples",
    "Source",
    "TestPart",
    "find_fashion_mnist",
    "read_features",
    "read_samples",
    "read_test_part",
    "split_off",
]

Array = npt.NDArray[Any]
IndexArray = npt.NDArray[np.intp]

TEST_SHARE = 0.2
_SPLIT_SEED = 0
_KNOWN = ("fashion-mnist", "digits")


@dataclass(frozen=True)
class Source:
    """What was typed to name the data; kept with a run, so that the data can be read again.

    Attributes
    ----------
    data : str
        ``"fashion-mnist"``, ``"digits"`` or a file.
    labels, target, header, folder
        As the arguments ``--labels``, ``--target``, ``--header`` and ``--data-folder``.
    """

    data: str
    labels: str | None = None
    target: str | None = None
    header: bool | None = None
    folder: str | None = None

    def __post_init__(self) -> None:
        """Refuse arguments that do not go with the data."""
        ending = Path(self.data).suffix.lower()
        if self.folder is not None and self.data != "fashion-mnist":
            raise CommandError(f"--data-folder belongs to fashion-mnist, not to {self.data}")
        if self.labels is not None and ending != ".npy":
            raise CommandError(f"--labels belongs to an .npy file, not to {self.data}")
        if (self.target is not None or self.header is not None) and ending != ".csv":
            raise CommandError(
                f"--target, --header and --no-header belong to a .csv file, not to {self.data}"
            )
        if self.target is not None and self.header is False:
            raise CommandError("--target names a column, which --no-header rules out")

    @classmethod
    def from_arguments(cls, arguments: Any) -> Source:
        """Return the source that the arguments of `cnn_core.cli.arguments.add_data` name."""
        folder = arguments.data_folder
        return cls(
            data=arguments.data,
            labels=arguments.labels,
            target=arguments.target,
            header=arguments.header,
            folder=None if folder is None else str(folder),
        )

    @property
    def is_file(self) -> bool:
        """Whether the data are a file of the user's."""
        return self.data not in _KNOWN

    def absolute(self) -> Source:
        """Return a source that means the same from any folder."""
        values = asdict(self)
        for key in ("labels", "folder", *(["data"] if self.is_file else [])):
            if values[key] is not None:
                values[key] = str(Path(values[key]).absolute())
        return Source(**values)


@dataclass(frozen=True, eq=False)
class Samples:
    """Samples with classes, as they were stored, and the scaling for them.

    Attributes
    ----------
    name : str
        Short name, fit for a folder's name.
    source : str
        Where the data were found.
    x_train, x_test : numpy.ndarray, (n, features) or (n, height, width)
    y_train, y_test : numpy.ndarray, (n,)
        Positions in `class_names`.
    class_names : tuple of str
    feature_names : tuple of str or None
    scaling : Scaling
    hashes : dict of str to str
        SHA-256 of what was read, by what it is the hash of.
    test_part : str
        In words, how the test part came about.
    """

    name: str
    source: str
    x_train: Array
    y_train: Array
    x_test: Array
    y_test: Array
    class_names: tuple[str, ...]
    feature_names: tuple[str, ...] | None
    scaling: Scaling
    hashes: dict[str, str]
    test_part: str

    @property
    def image_shape(self) -> tuple[int, int] | None:
        """Height and width, if the samples are images."""
        return image_shape(self.x_train)

    @property
    def n_features(self) -> int:
        """Number of features of a sample."""
        return int(np.prod(self.x_train.shape[1:]))


@dataclass(frozen=True, eq=False)
class TestPart:
    """What a model is evaluated on.

    Attributes
    ----------
    x : numpy.ndarray, (n, features) or (n, height, width)
    y : numpy.ndarray, (n,)
        Positions in the class names of the run.
    description : str
        In words, what it is.
    """

    __test__ = False  # pytest takes a class of this name for a test

    x: Array
    y: Array
    description: str


def image_shape(x: Array) -> tuple[int, int] | None:
    """Return height and width if `x` holds images, (n, height, width)."""
    return (int(x.shape[1]), int(x.shape[2])) if x.ndim == 3 else None


def read_samples(source: Source, report: Callable[[str], None] | None = None) -> Samples:
    """Read the data to train on.

    Parameters
    ----------
    source : Source
    report : callable, optional
        Called with a line of text for each place in which the data were looked for in vain.

    Returns
    -------
    Samples

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, or it does not hold samples with classes.
    """
    if source.is_file:
        return _own_samples(source)
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
        scaling=Scaling.divide_by(dataset.scale, dataset.x_train.dtype.name),
        hashes=_dataset_hashes(dataset),
        test_part=_test_part_of(dataset),
    )


def read_test_part(
    source: Source,
    class_names: tuple[str, ...],
    feature_names: tuple[str, ...] | None,
    known_hashes: dict[str, str],
    report: Callable[[str], None],
    *,
    asked_for: bool,
) -> TestPart:
    """Read what a run's model is to be evaluated on.

    That is the test part of the data if they have one of their own; the part that was held out
    in training if it is the file that was trained on, unchanged; and otherwise all of the file,
    which must have been asked for.

    Parameters
    ----------
    source : Source
    class_names, feature_names : tuple of str
        Those of the run.
    known_hashes : dict of str to str
        SHA-256 of the data of the run.
    report : callable
        Called with a line of text for all that the user should know.
    asked_for : bool
        Whether the user named the data; otherwise they are those of the run.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, it does not go with the run, or it is the one that was trained
        on, but has changed.
    """
    if not source.is_file:
        dataset = _known_dataset(source, report)
        y = _translated(dataset.y_test, dataset.class_names, class_names, dataset.name)
        return TestPart(dataset.x_test, y, _test_part_of(dataset))
    table = _in_order(_read_table(source), feature_names)
    own_names, y, y_test = _classes(table)
    place = short_path(table.source)
    is_unchanged = sorted(_file_hashes(source).values()) == sorted(known_hashes.values())
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


def read_features(
    path: Path,
    n_features: int,
    feature_names: tuple[str, ...] | None,
    header: bool | None = None,
) -> Array:
    """Read samples to predict the classes of.

    Parameters
    ----------
    path : pathlib.Path
        IDX file, ``.npz`` (its test part, if it has one), ``.npy`` or ``.csv``. A ``.csv`` with a
        header may hold one more column than the features, such as the target; it is left out.
    n_features : int
        Number of the features that the run knows.
    feature_names : tuple of str or None
        Their names; the columns of a ``.csv`` with a header are put into their order.
    header : bool, optional
        Whether a ``.csv`` begins with a header.

    Returns
    -------
    numpy.ndarray, (n, features) or (n, height, width)

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, or it does not hold what the run needs.
    """
    ending = path.suffix.lower()
    if header is not None and ending != ".csv":
        raise CommandError(f"--header and --no-header belong to a .csv file, not to {path}")
    if ending not in ENDINGS:
        images = read_idx(path)
        if images.ndim not in (2, 3) or images.size == 0:
            raise DataError(
                path,
                "samples of shape (n, features) or (n, height, width)",
                f"shape {images.shape}",
            )
        return images
    if ending == ".csv":
        return _csv_features(path, n_features, feature_names, header)
    table = _loaded(path, has_target=False)
    return table.X if table.X_test is None else table.X_test


def split_off(
    y: Array, class_names: tuple[str, ...], fraction: float
) -> tuple[IndexArray, IndexArray]:
    """Split samples at random, the same way each time, every class in the same proportion.

    Parameters
    ----------
    y : numpy.ndarray, (n,)
        Positions in `class_names`.
    class_names : tuple of str
    fraction : float
        Above 0 and at most 0.5: what is split off.

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
    # RandomState, unlike Generator, promises the same numbers in every version of NumPy.
    shuffled = np.random.RandomState(_SPLIT_SEED).permutation(len(y))
    by_class = shuffled[np.argsort(y[shuffled], kind="stable")]
    steps = np.floor(np.arange(len(y) + 1) * fraction + 1e-9)
    chosen = np.diff(steps) > 0
    if not chosen.any():
        raise CommandError(f"{len(y)} samples are too few to hold a share of {fraction:g} out")
    return np.sort(by_class[~chosen]), np.sort(by_class[chosen])


# Data sets known by name


def find_fashion_mnist(
    folder: str | Path | None, report: Callable[[str], None] | None = None
) -> Dataset:
    """Load Fashion-MNIST, telling where it is looked for if it is not found at once.

    Parameters
    ----------
    folder : str or pathlib.Path or None
        Where it is to be, if anywhere in particular.
    report : callable, optional
        See `read_samples`.

    Raises
    ------
    FileNotFoundError, ValueError
        If it is nowhere, or damaged. Places that were reported are not listed again.
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
    unknown = [name for name in names if name not in wanted]
    if unknown:
        raise CommandError(
            f"{where}: expected the classes that the run knows, {_listed(wanted)}, "
            f"found also {_listed(unknown)}"
        )
    positions: Array = np.array([wanted.index(name) for name in names], np.intp)[y]
    return positions


# Files of the user's


def _own_samples(source: Source) -> Samples:
    table = _read_table(source)
    class_names, y, y_test = _classes(table)
    if table.X_test is not None and y_test is not None:
        x_train, y_train, x_test = table.X, y, table.X_test
        test_part = "the file's own test part"
    else:
        train, test = split_off(y, class_names, TEST_SHARE)
        x_train, y_train = table.X[train], y[train]
        x_test, y_test = table.X[test], y[test]
        test_part = f"a random {TEST_SHARE:.0%} of the file, held out"
    return Samples(
        name=Path(source.data).stem,
        source=table.source,
        x_train=x_train,
        y_train=y_train,
        x_test=x_test,
        y_test=y_test,
        class_names=class_names,
        feature_names=table.feature_names,
        scaling=Scaling.fixed_on(x_train),
        hashes=_file_hashes(source),
        test_part=test_part,
    )


def _read_table(source: Source) -> Table:
    path = Path(source.data)
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        likely = get_close_matches(source.data, _KNOWN, n=1)
        hint = f"; did you mean {likely[0]}?" if likely else ""
        kind = "a folder" if path.is_dir() else repr(source.data)
        raise CommandError(
            f"--data: expected {', '.join(_KNOWN)} or a file whose name ends in "
            f"{', '.join(ENDINGS)}, found {kind}{hint}"
        )
    if ending == ".npy" and source.labels is None:
        raise CommandError(
            f"--data {path}: an .npy file holds samples only; name the file of their classes with "
            "--labels"
        )
    return _loaded(path, target=source.target, labels=source.labels, header=source.header)


def _loaded(path: Path, **arguments: Any) -> Table:
    """Read a file; what to do about an error is said in the words of the command line."""
    try:
        return load_file(path, **arguments)
    except DataError as error:
        hint = error.hint.replace("pass header=True or header=False", "add --header or --no-header")
        hint = hint.replace("pass has_target=False if there is no target", "")
        if path.suffix.lower() == ".csv":
            hint = _csv_hint(path, error, arguments) or hint
        raise DataError(error.path, error.expected, error.found, hint) from error


def _csv_hint(path: Path, error: DataError, arguments: dict[str, Any]) -> str:
    """Return what to do about a table that cannot be read, '' if there is nothing to add."""
    separator = _other_separator(path)
    if separator:
        return f"its columns are separated by {separator}; write the file with commas"
    if error.expected != "a finite number" or error.found.startswith("an empty cell"):
        return ""
    hint = "text columns cannot be features"
    if arguments.get("target") is None and arguments.get("has_target", True):
        first = _first_line(path)
        if arguments.get("header") is False or not first:
            return f"target: the last column; {hint}"
        return f"target: {first[-1]}, the last column; name another one with --target; {hint}"
    return hint


def _other_separator(path: Path) -> str:
    """Return what stands between the columns instead of commas, '' if it is commas."""
    cells = _first_line(path)
    if len(cells) == 1:
        for character, name in ((";", "semicolons"), ("\t", "tabs")):
            if character in cells[0]:
                return name
    return ""


def _file_hashes(source: Source) -> dict[str, str]:
    files = [path for path in (source.data, source.labels) if path is not None]
    return {Path(path).name: _file_hash(Path(path)) for path in files}


def _file_hash(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while piece := stream.read(2**20):
            digest.update(piece)
    return digest.hexdigest()


def _classes(table: Table) -> tuple[tuple[str, ...], Array, Array | None]:
    """Return the names of the classes, and the targets of both parts as positions in them."""
    if table.y is None:
        raise CommandError(f"{table.source}: expected a class for each sample, found none")
    y = _class_column(table.source, table.y)
    y_test = None if table.y_test is None else _class_column(table.source, table.y_test)
    if table.class_names is not None:
        names = table.class_names
    else:
        both = y if y_test is None else np.concatenate([y, y_test])
        numbers, positions = np.unique(both, return_inverse=True)
        names = tuple(str(number) for number in numbers)
        y, y_test = positions[: len(y)], positions[len(y) :] if y_test is not None else None
    if len(names) < 2:
        raise CommandError(f"{table.source}: expected at least two classes, found {names[0]!r}")
    if len(names) > max(2, len(y) // 2):
        raise CommandError(
            f"{table.source}: expected classes, found {len(names)} different targets for {len(y)} "
            "samples; numbers that are not classes cannot be learned by this command"
        )
    return names, y, y_test


def _class_column(source: str, y: Array) -> Array:
    """Return one whole number per sample for targets in any usual form."""
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim == 2:
        one_hot = ((y == 0) | (y == 1)).all() and (y.sum(axis=1) == 1).all()
        if not one_hot:
            raise CommandError(
                f"{source}: expected one class per sample, as a number, a name or a row of one 1 "
                f"and zeros, found targets of shape {y.shape}"
            )
        classes: Array = y.argmax(axis=1)
        return classes
    whole = y.astype(np.int64)
    if not (whole == y).all():
        first = int(np.argmax(whole != y))
        raise CommandError(
            f"{source}: expected classes, whole numbers or names, "
            f"found {y[first]} for sample {first}; other numbers cannot be learned by this command"
        )
    return whole


def _in_order(table: Table, feature_names: tuple[str, ...] | None) -> Table:
    """Return a table whose columns, if they have names, stand as they did in training."""
    found = table.feature_names
    if found is None or feature_names is None or found == feature_names:
        return table
    if set(found) != set(feature_names):
        raise DataError(
            table.source,
            f"the columns that the run was trained on, {_listed(feature_names)}",
            _listed(found),
        )
    order = [found.index(name) for name in feature_names]
    values = {**vars(table), "X": table.X[:, order], "feature_names": feature_names}
    return Table(**values)


def _csv_features(
    path: Path, n_features: int, feature_names: tuple[str, ...] | None, header: bool | None
) -> Array:
    first = _first_line(path)
    if feature_names is None or header is False or not set(feature_names) & set(first):
        if first and len(first) != n_features and not _other_separator(path):
            raise DataError(
                path,
                f"a column for each of the {n_features} features that the run knows",
                f"{len(first)} columns",
                "leave the column of the target out" if len(first) == n_features + 1 else "",
            )
        return _in_order(_loaded(path, has_target=False, header=header), feature_names).X
    missing = [name for name in feature_names if name not in first]
    others = [name for name in first if name not in feature_names]
    if missing or len(others) > 1:
        raise DataError(
            path,
            f"the columns {_listed(feature_names)} and at most one other",
            f"{_listed(missing)} missing" if missing else f"also {_listed(others)}",
        )
    if others:
        table = _loaded(path, target=others[0], header=True)
    else:
        table = _loaded(path, has_target=False, header=True)
    return _in_order(table, feature_names).X


def _first_line(path: Path) -> list[str]:
    """Return the cells of the first line; an unreadable file is left to the strict reader."""
    if not path.is_file():
        return []
    with open(path, encoding="utf-8-sig", errors="replace", newline="") as stream:
        return [cell.strip() for cell in next(csv.reader([stream.readline(2**20)]), [])]


def _listed(names: tuple[str, ...] | list[str], most: int = 8) -> str:
    """Return names with commas, the first of them if there are many."""
    listed = ", ".join(repr(name) for name in names[:most])
    return listed if len(names) <= most else f"{listed} and {len(names) - most} more"
