"""``--images FOLDER``: images in a folder for each class."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cnn_core.cli.image_files import OTHER_ENDINGS, Size, is_image, read_images
from cnn_core.data import DataError, Table
from cnn_core.data.checks import open_data

__all__ = ["ImageFolder", "holds_images", "images_below"]

_TRAIN = ("train", "training")
_TEST = ("test", "testing")
_VALIDATION = ("val", "valid", "validation")
# Files that systems leave in folders, besides hidden ones.
_LEFT_BEHIND = ("__macosx", "thumbs.db", "desktop.ini")


@dataclass(eq=False)
class ImageFolder:
    """The images of a folder, by their classes.

    Attributes
    ----------
    path : pathlib.Path
    class_names : tuple of str
        Names of the folders of the classes, sorted.
    train, test : list of (pathlib.Path, int)
        Images and their class indices, sorted by name. `test` is empty without a test part.
    left_out : set of pathlib.Path
        Files that are not images, hidden, or of an unused part.
    """

    path: Path
    class_names: tuple[str, ...] = ()
    train: list[tuple[Path, int]] = field(default_factory=list)
    test: list[tuple[Path, int]] = field(default_factory=list)
    left_out: set[Path] = field(default_factory=set)

    @classmethod
    def at(cls, path: Path) -> ImageFolder:
        """Return the images in a folder; only names are read.

        Raises
        ------
        DataError
            If it holds no class folders with images; the message names misplaced files.
        OSError
            If a folder cannot be read.
        """
        found = cls(path)
        train, test = found._parts()
        in_train = found._classes(train, least=2)
        in_test = {} if test is None else found._classes(test, least=1)
        found.class_names = tuple(sorted({*in_train, *in_test}))
        position = {name: number for number, name in enumerate(found.class_names)}
        found.train = [(file, position[name]) for name, files in in_train.items() for file in files]
        found.test = [(file, position[name]) for name, files in in_test.items() for file in files]
        return found

    @property
    def files(self) -> list[Path]:
        """All images."""
        return [file for file, _ in (*self.train, *self.test)]

    def sha256(self) -> str:
        """Return the SHA-256 of the names and the contents of all images."""
        digest = hashlib.sha256()
        for file in self.files:
            digest.update(os.fsencode(file.relative_to(self.path).as_posix()) + b"\0")
            with open_data(file) as stream:
                digest.update(hashlib.sha256(stream.read()).digest())
        return digest.hexdigest()

    def read(
        self,
        size: Size | None,
        shape: tuple[int, ...] | None,
        report: Callable[[str], None],
    ) -> Table:
        """Return the images and their classes.

        Parameters
        ----------
        size, shape
            See `cnn_core.cli.image_files.read_images`.
        report : callable
            Called with a line of text about what is left out.

        Raises
        ------
        DataError, OSError
            If an image cannot be read, or is of another size.
        """
        if self.left_out:
            count = len(self.left_out)
            report(
                f"{count} of what is in {self.path} {'is' if count == 1 else 'are'} left out: "
                f"hidden, no image or no part of it, such as {min(self.left_out)}"
            )
        images = read_images(self.files, size, shape)
        y = np.array([number for _, number in (*self.train, *self.test)], np.int64)
        count = len(self.train)
        has_test = bool(self.test)
        return Table(
            X=images[:count],
            y=y[:count],
            feature_names=None,
            class_names=self.class_names,
            X_test=images[count:] if has_test else None,
            y_test=y[count:] if has_test else None,
            source=str(self.path),
        )

    def _parts(self) -> tuple[Path, Path | None]:
        """Return the folder of the training part, and that of the test part if there is one."""
        folders = {
            entry.name.lower(): entry for entry in self._visible(self.path) if entry.is_dir()
        }
        train, test, validation = (
            next((folders[name] for name in names if name in folders), None)
            for names in (_TRAIN, _TEST, _VALIDATION)
        )
        others = [one for one in folders.values() if one not in (train, test, validation)]
        if train is None or (others and not any(one.is_dir() for one in self._visible(train))):
            # A class may have the name "train".
            return self.path, None
        if others:
            raise DataError(
                others[0],
                f"folders of parts beside {train.name}, such as test",
                f"the folder {others[0].name}",
                f"take it out, or move it into {train.name} if it is a class",
            )
        if test is not None and validation is not None:
            self.left_out.add(validation)
        return train, test or validation

    def _classes(self, folder: Path, least: int) -> dict[str, list[Path]]:
        """Return the images of each class, by name; at least `least` classes are required."""
        entries = self._visible(folder)
        folders = [entry for entry in entries if entry.is_dir()]
        for entry in entries:
            if entry.is_dir():
                continue
            if is_image(entry) or entry.suffix.lower() in OTHER_ENDINGS:
                found = "an image beside them" if folders else "an image and no folder"
                hint = "move each image into a folder that has the name of its class"
                raise DataError(entry, f"in {folder} a folder for each class", found, hint)
            self.left_out.add(entry)
        if len(folders) < least:
            raise DataError(
                folder,
                "a folder of images for each of at least two classes",
                f"one, {folders[0].name}" if folders else "none",
                "make a folder for each class, which has its name",
            )
        for entry in folders:
            if any("\ud800" <= character <= "\udfff" for character in entry.name):
                # Python's escape for a byte that is not valid text.
                hint = "rename the folder"
                raise DataError(entry, "a name of a class in UTF-8", ascii(entry.name), hint)
        return {entry.name: self._images(entry) for entry in folders}

    def _images(self, folder: Path) -> list[Path]:
        """Return the images of one class."""
        images = []
        for entry in self._visible(folder):
            if entry.is_dir():
                hint = "move its images up into the folder of the class"
                raise DataError(entry, f"images of the class {folder.name}", "a folder", hint)
            if is_image(entry):
                images.append(entry)
            elif entry.suffix.lower() in OTHER_ENDINGS:
                hint = "convert it to PNG, or take it out"
                raise DataError(entry, "a PNG or JPEG image", f"a {entry.suffix} file", hint)
            else:
                self.left_out.add(entry)
        if not images:
            hint = "add some, or take the folder out"
            raise DataError(folder, f"images of the class {folder.name}", "none", hint)
        return images

    def _visible(self, folder: Path) -> list[Path]:
        """Return the visible contents of a folder, sorted."""
        visible = []
        for entry in sorted(folder.iterdir()):
            if entry.name.startswith(".") or entry.name.lower() in _LEFT_BEHIND:
                self.left_out.add(entry)
            elif entry.is_symlink() and not entry.exists():
                hint = "mend the link, or take it out"
                raise DataError(entry, "a file or a folder", "a link that leads nowhere", hint)
            else:
                visible.append(entry)
        return visible


def holds_images(folder: str | os.PathLike[str]) -> bool:
    """Tell whether a folder, or its training part, holds images or mostly folders of images."""
    path = Path(folder)
    with suppress(OSError):
        for part in (path, *(path / name for name in _TRAIN)):
            if part.is_dir():
                folders = [one for one in part.iterdir() if one.is_dir() and one.name[0] != "."]
                of_images = sum(any(_images_in(one, 1)) for one in folders)
                if any(_images_in(part, 1)) or (of_images and 2 * of_images >= len(folders)):
                    return True
    return False


def images_below(paths: Sequence[Path]) -> list[Path]:
    """Return the images at paths of files and folders.

    Raises
    ------
    DataError
        If a folder holds no images, or a file is not an image.
    """
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            if not is_image(path):
                hint = "convert it, or leave it out"
                raise DataError(path, "a PNG or JPEG image", f"a file {path.name}", hint)
            found.append(path)
            continue
        images = list(_images_in(path, 3))
        if not images:
            raise DataError(path, "PNG or JPEG images", "none")
        found += images
    return found


def _images_in(folder: Path, levels: int) -> Iterator[Path]:
    """Yield the visible images in a folder and in `levels` levels of subfolders."""
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            if levels > 1:
                yield from _images_in(entry, levels - 1)
        elif is_image(entry):
            yield entry
