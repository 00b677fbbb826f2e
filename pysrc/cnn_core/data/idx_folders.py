"""Find the IDX files of MNIST and similar data sets in a folder, by their published names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from .checks import DataError
from .idx import read_idx
from .tables import Table, table_of

__all__ = ["IdxFolder", "idx_files_in"]

# Such as train-images-idx3-ubyte, t10k-labels.idx1-ubyte.gz, emnist-letters-test-images-idx3-ubyte.
_NAME = re.compile(
    r"(?P<set>.*?)(?P<part>train|t10k|test)-(?P<what>images|labels)[.-]idx\d-ubyte(\.gz)?", re.I
)


class IdxFolder(NamedTuple):
    """The files of a data set in a folder.

    Attributes
    ----------
    path : pathlib.Path
    images, labels : pathlib.Path
        Files of the training part.
    test_images, test_labels : pathlib.Path or None
        Files of the test part, if there is one.
    """

    path: Path
    images: Path
    labels: Path
    test_images: Path | None
    test_labels: Path | None

    @property
    def files(self) -> tuple[Path, ...]:
        """All files."""
        return tuple(file for file in self[1:] if file is not None)

    def read(self) -> Table:
        """Read the files.

        Raises
        ------
        DataError
            If one of them is damaged, or they do not belong together.
        """
        parts = {"X": read_idx(self.images), "y": read_idx(self.labels)}
        if self.test_images is not None and self.test_labels is not None:
            parts |= {"X_test": read_idx(self.test_images), "y_test": read_idx(self.test_labels)}
        return table_of(self.path, parts)


def idx_files_in(folder: str | os.PathLike[str]) -> IdxFolder | None:
    """Find the IDX files of a data set by their names, packed or not.

    Returns
    -------
    IdxFolder or None
        None if there are none, or it is no folder.

    Raises
    ------
    DataError
        If one of them is missing, or there are several data sets.
    OSError
        If the folder cannot be read.
    """
    path = Path(folder)
    found: dict[str, dict[str, Path]] = {}
    for file, match in _named_so(path):
        part = "train" if match["part"].lower() == "train" else "test"
        files = found.setdefault(match["set"], {})
        # If a file is there both plain and packed, use the plain one.
        files.setdefault(f"{part} {match['what'].lower()}", file)
    if not found:
        return None
    if len(found) > 1:
        names = ", ".join(sorted(name or "MNIST" for name in found))
        raise DataError(
            path,
            "the IDX files of one data set",
            f"those of several: {names}",
            "name one of them by --data FILE --labels FILE, or put each into its own folder",
        )
    (files,) = found.values()
    for part in ("train", "test"):
        missing = [kind for kind in ("images", "labels") if f"{part} {kind}" not in files]
        if len(missing) == 1 or (missing and part == "train"):
            raise DataError(
                path,
                "train-images-idx3-ubyte and train-labels-idx1-ubyte, and for a test part "
                "t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte",
                f"no file of the {part} {missing[0]}",
            )
    return IdxFolder(
        path,
        files["train images"],
        files["train labels"],
        files.get("test images"),
        files.get("test labels"),
    )


def _named_so(folder: Path) -> Iterator[tuple[Path, re.Match[str]]]:
    """Yield the files of a folder with such names, sorted."""
    if folder.is_dir():
        for file in sorted(folder.iterdir()):
            match = _NAME.fullmatch(file.name)
            if match is not None:
                yield file, match
