"""Fashion-MNIST: search, verification and cache."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from ..files import atomic_write, checked_path
from .checks import DataError, DataNotFoundError
from .dataset import Dataset
from .idx import read_known_idx

__all__ = ["cache_folder", "load_fashion_mnist"]

Report = Callable[[str], None]
Progress = Callable[[str, int, "int | None"], None]
"""Called with a file's name, the bytes received and the bytes to come (None if unknown)."""


class DataFile(NamedTuple):
    """One of the four files: its name without endings, contents' SHA-256, and shape."""

    field: str
    stem: str
    sha256: str
    shape: tuple[int, ...]


FILES = (
    DataFile(
        "x_train",
        "train-images-idx3-ubyte",
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        (60_000, 28, 28),
    ),
    DataFile(
        "y_train",
        "train-labels-idx1-ubyte",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        (60_000,),
    ),
    DataFile(
        "x_test",
        "t10k-images-idx3-ubyte",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        (10_000, 28, 28),
    ),
    DataFile(
        "y_test",
        "t10k-labels-idx1-ubyte",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        (10_000,),
    ),
)

CLASS_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

ENVIRONMENT_VARIABLE = "CNN_CORE_DATA"
SYSTEM_FOLDER = Path("/usr/share/datasets/fashion-mnist")
DEBIAN_PACKAGE = "dataset-fashion-mnist"
DOWNLOAD_URLS = (
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
)

Arrays = dict[str, npt.NDArray[Any]]


def load_fashion_mnist(
    path: str | os.PathLike[str] | None = None,
    *,
    report: Report | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """Load Fashion-MNIST; download it if it is not on this machine.

    It is searched for in this order:

    1. the folder ``path``, and then nowhere else;
    2. the folder that the environment variable ``CNN_CORE_DATA`` names, and then nowhere else;
    3. the user's cache folder;
    4. ``/usr/share/datasets/fashion-mnist`` (Debian's package ``dataset-fashion-mnist``);
    5. the data set's public locations, from which it is downloaded into the cache folder;
    6. Debian's package, fetched by ``apt-get download`` without root and unpacked into the cache
       folder.

    The contents of every file are verified by SHA-256, wherever they come from. A damaged file in
    the cache folder is removed and downloaded again; a damaged file elsewhere is not touched.

    Parameters
    ----------
    path : str or path-like, optional
        Folder with the four files, named ``train-images-idx3-ubyte`` (or ``.idx3-ubyte``) and so
        on, with or without ``.gz``.
    report : callable, optional
        Called with one line of text for each place as soon as it has been tried.
    progress : callable, optional
        Called during a download with the file name, the bytes received and the total bytes or None.
        Without it, a progress bar is shown if standard error is a terminal.

    Returns
    -------
    Dataset
        ``x_train`` (60000, 28, 28), ``y_train`` (60000,), ``x_test`` (10000, 28, 28) and
        ``y_test`` (10000,), all uint8; ten ``class_names``; ``scale`` 255.

    Raises
    ------
    DataNotFoundError
        The data are in none of these places (a FileNotFoundError that lists them all).
    DataError
        A file outside the cache folder is damaged or is not a file of Fashion-MNIST.
    """
    if path is not None:
        folder = Path(checked_path(path))
        return _dataset(_read_named_folder(folder, "the path passed"), str(folder))
    named = os.environ.get(ENVIRONMENT_VARIABLE)
    if named:
        return _dataset(_read_named_folder(Path(named), ENVIRONMENT_VARIABLE), named)

    search = _Search(report)
    cache = cache_folder()
    arrays: Arrays = {}
    if cache is None:
        search.tell("the user's cache folder", "skipped, " + _not_installed("platformdirs"))
    else:
        arrays = _read_cache(cache, search)
        if len(arrays) == len(FILES):
            return _dataset(arrays, str(cache))

    if _look_into_system_folder(search):
        return _dataset(_read_folder(SYSTEM_FOLDER), str(SYSTEM_FOLDER))

    source = _fetch(cache, arrays, search, progress)
    if source is None:
        raise DataNotFoundError(search.summary())
    return _dataset(arrays, source)


def cache_folder() -> Path | None:
    """Return the folder in which fetched files are kept.

    Returns
    -------
    pathlib.Path or None
        A user's folder, which need not exist: below ``XDG_CACHE_HOME`` or ``~/.cache`` on Linux.
        None on other systems if platformdirs is not installed.
    """
    if sys.platform.startswith("linux"):
        caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        return Path(caches) / "cnn-core" / "fashion-mnist"
    try:
        import platformdirs
    except ModuleNotFoundError:
        return None
    return Path(platformdirs.user_cache_dir("cnn-core", appauthor=False)) / "fashion-mnist"


class _Search:
    """The places tried so far, reported at once and kept for the final error."""

    def __init__(self, report: Report | None) -> None:
        self._report = report
        self._steps: list[str] = []

    def tell(self, where: object, outcome: object) -> None:
        step = f"{where}: {outcome}"
        self._steps.append(step)
        if self._report is not None:
            self._report(step)

    def summary(self) -> str:
        steps = "\n".join(f"  - {step}" for step in self._steps)
        names = ", ".join(f"{file.stem}.gz" for file in FILES)
        return (
            f"Fashion-MNIST was not found. Tried:\n{steps}\n"
            f"Put its four files ({names}) into a folder and pass that folder or name it in "
            f"{ENVIRONMENT_VARIABLE}; or use the digits that come with scikit-learn, which need "
            "no download: cnn_core.data.load_digits(), on the command line --data digits."
        )


def _dataset(arrays: Arrays, source: str) -> Dataset:
    return Dataset(
        name="fashion-mnist", class_names=CLASS_NAMES, scale=255.0, source=source, **arrays
    )


def _not_installed(package: str) -> str:
    return f'{package} is not installed (pip install "cnn-core[app]")'


# Reading folders


def _candidates(folder: Path, file: DataFile) -> list[Path]:
    """Return the files of a folder with a name of this file."""
    names = (file.stem, file.stem.replace("-idx", ".idx"))
    paths = [folder / f"{name}{ending}" for name in names for ending in (".gz", "")]
    return [path for path in paths if path.is_file()]


def _read_file(path: Path, file: DataFile) -> npt.NDArray[np.uint8]:
    """Read one file and verify it."""
    digest = hashlib.sha256()
    try:
        array = read_known_idx(path, shape=file.shape, on_bytes=digest.update)
    except DataError as error:
        hint = f"the SHA-256 of the unpacked file should be {file.sha256}"
        raise DataError(error.path, error.expected, error.found, hint) from error
    if digest.hexdigest() != file.sha256:
        raise DataError(path, f"contents with the SHA-256 {file.sha256}", digest.hexdigest())
    return array


def _read_folder(folder: Path) -> Arrays:
    """Read all four files of a complete folder."""
    return {file.field: _read_file(_candidates(folder, file)[0], file) for file in FILES}


def _missing_from(folder: Path) -> str:
    """Describe what a folder lacks, '' if it has all four files."""
    if not folder.is_dir():
        return "a file, not a folder" if folder.exists() else "no such folder"
    missing = [file.stem for file in FILES if not _candidates(folder, file)]
    return f"no {', '.join(missing)} (with or without .gz)" if missing else ""


def _read_named_folder(folder: Path, origin: str) -> Arrays:
    """Read a folder that the user named; missing files are an error."""
    missing = _missing_from(folder)
    if missing:
        raise DataNotFoundError(
            f"Fashion-MNIST was not found in {folder} (from {origin}): {missing}. No other place "
            f"was tried, since this one was named."
        )
    return _read_folder(folder)


def _read_cache(folder: Path, search: _Search) -> Arrays:
    """Read the undamaged files of the cache folder and remove the damaged ones."""
    arrays: Arrays = {}
    for file in FILES:
        for path in _candidates(folder, file):
            try:
                arrays[file.field] = _read_file(path, file)
                break
            except DataError as error:
                with suppress(OSError):
                    path.unlink()
                search.tell(path, f"damaged, {'left' if path.exists() else 'removed'} ({error})")
            except OSError as error:
                search.tell(path, error)
    if len(arrays) < len(FILES):
        missing = [file.stem for file in FILES if file.field not in arrays]
        search.tell(folder, f"no {', '.join(missing)}" if folder.is_dir() else "no such folder")
    return arrays


def _look_into_system_folder(search: _Search) -> bool:
    missing = _missing_from(SYSTEM_FOLDER)
    if missing:
        search.tell(SYSTEM_FOLDER, f"{missing} (Debian's package {DEBIAN_PACKAGE} has it)")
    return not missing


# Fetching


def _fetch(
    cache: Path | None, arrays: Arrays, search: _Search, progress: Progress | None
) -> str | None:
    """Fetch the files missing in `arrays`; return their origin, or None without success."""
    with _store(cache, search) as folder:
        for url in DOWNLOAD_URLS:
            if _download(url, folder, arrays, search, progress):
                return f"{url}, kept in {folder}" if folder == cache else url
        if _fetch_package(folder, arrays, search):
            package = f"Debian's package {DEBIAN_PACKAGE}"
            return f"{package}, kept in {folder}" if folder == cache else package
    return None


@contextmanager
def _store(cache: Path | None, search: _Search) -> Iterator[Path]:
    """Yield the cache folder, or a temporary one if there can be none."""
    if cache is not None:
        try:
            cache.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=cache):
                pass
        except OSError as error:
            search.tell(cache, f"cannot be written, so nothing will be kept ({error})")
        else:
            yield cache
            return
    with tempfile.TemporaryDirectory(prefix="cnn-core-") as folder:
        yield Path(folder)


def _keep(
    folder: Path, file: DataFile, origin: str, fill: Callable[[BinaryIO], None]
) -> npt.NDArray[np.uint8]:
    """Store the output of `fill` if it is that file, and return its contents."""
    arrays = []

    def write(stream: BinaryIO) -> None:
        fill(stream)
        stream.flush()
        try:
            arrays.append(_read_file(Path(stream.name), file))
        except DataError as error:
            # The error names a temporary file that will be removed; name its origin instead.
            raise DataError(origin, error.expected, error.found, error.hint) from error

    atomic_write(folder / f"{file.stem}.gz", write)
    return arrays[0]


def _download(
    url: str, folder: Path, arrays: Arrays, search: _Search, progress: Progress | None
) -> bool:
    """Download missing files from one location; return whether all are there."""
    from . import fetching

    try:
        for file in FILES:
            if file.field not in arrays:
                address = f"{url}{file.stem}.gz"
                with fetching.shown(progress) as shown:
                    arrays[file.field] = _keep(
                        folder,
                        file,
                        address,
                        lambda stream, address=address, shown=shown: fetching.download(  # type: ignore[misc]
                            address, stream, shown
                        ),
                    )
    except ModuleNotFoundError as error:
        search.tell(url, "skipped, " + _not_installed(str(error.name)))
    except (OSError, ValueError) as error:
        search.tell(url, fetching.in_short(error))
    else:
        search.tell(url, "downloaded and verified")
        return True
    return False


def _fetch_package(folder: Path, arrays: Arrays, search: _Search) -> bool:
    """Take missing files from Debian's package; return whether all are there."""
    from . import fetching

    where = f"apt-get download {DEBIAN_PACKAGE}"
    try:
        with fetching.unpacked_package(DEBIAN_PACKAGE) as root:
            inside = root / SYSTEM_FOLDER.relative_to("/")
            for file in FILES:
                if file.field not in arrays:
                    arrays[file.field] = _keep_from_package(folder, file, inside)
    except (OSError, DataError) as error:
        search.tell(where, fetching.in_short(error))
        return False
    search.tell(where, "fetched and verified")
    return True


def _keep_from_package(folder: Path, file: DataFile, inside: Path) -> npt.NDArray[np.uint8]:
    paths = _candidates(inside, file)
    if not paths:
        raise DataError(DEBIAN_PACKAGE, f"a file {file.stem}", "none")

    def fill(stream: BinaryIO) -> None:
        with open(paths[0], "rb") as source:
            shutil.copyfileobj(source, stream)

    return _keep(folder, file, f"{paths[0].name} of {DEBIAN_PACKAGE}", fill)
