"""Fetch a file from the network, or a package from Debian's archive."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

__all__ = ["download", "in_short", "shown", "unpacked_package"]

Progress = Callable[[str, int, "int | None"], None]

CONNECT_SECONDS = 10
"""How long a machine without a network waits for each location."""

SILENCE_SECONDS = 30
"""How long a connected server may send nothing."""

APT_SECONDS = 300
"""How long one call of apt-get or dpkg-deb may take."""

MAX_DOWNLOAD_BYTES = 64 * 2**20
"""Largest file that is accepted: well above Fashion-MNIST's largest, unpacked."""


def download(url: str, stream: BinaryIO, progress: Progress) -> None:
    """Download one file by HTTP.

    Parameters
    ----------
    url : str
        Its address.
    stream : binary stream
        Where its bytes are written.
    progress : callable
        Called with the file's name, the bytes received and the bytes to come or None.

    Raises
    ------
    ModuleNotFoundError
        pooch is not installed.
    OSError
        The server cannot be reached or refuses, or the file is larger than 64 MiB.
    """
    import pooch

    sink = _Sink(url, stream, progress)
    get = pooch.HTTPDownloader(progressbar=sink, timeout=(CONNECT_SECONDS, SILENCE_SECONDS))
    get(url, sink, None)


class _Sink:
    """File and progress bar for pooch; it counts bytes and stops a download that is too long."""

    def __init__(self, url: str, stream: BinaryIO, progress: Progress) -> None:
        self.total = 0
        self._name = url.rsplit("/", 1)[-1]
        self._stream = stream
        self._progress = progress
        self._received = 0

    def write(self, piece: bytes) -> None:
        self._received += len(piece)
        if self._received > MAX_DOWNLOAD_BYTES:
            raise OSError(f"the file is larger than {MAX_DOWNLOAD_BYTES} bytes")
        self._stream.write(piece)
        self._progress(self._name, self._received, self.total or None)

    def flush(self) -> None:
        self._stream.flush()

    # The interface of a progress bar in pooch; `write` does the reporting.
    def update(self, count: int) -> None: ...

    def reset(self) -> None: ...

    def close(self) -> None: ...


@contextmanager
def shown(progress: Progress | None) -> Iterator[Progress]:
    """Return the callback for the progress of a download.

    Parameters
    ----------
    progress : callable or None
        The user's own callback, used as it is. None asks for a progress bar on standard error,
        which is shown if that is a terminal and rich is installed.

    Yields
    ------
    callable
        Called with the file name, the bytes received and the total bytes or None.
    """
    if progress is not None:
        yield progress
        return
    try:
        if not sys.stderr.isatty():
            raise ModuleNotFoundError
        from rich import progress as bars
        from rich.console import Console
    except ModuleNotFoundError:
        yield lambda _name, _received, _total: None
        return
    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.DownloadColumn(),
        bars.TransferSpeedColumn(),
    )
    with bars.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda name, received, total: bar.update(
            task, description=name, completed=received, total=total
        )


def in_short(error: Exception) -> str:
    """Return an error as one line.

    Parameters
    ----------
    error : Exception
        The error; for nested errors of the network library the innermost is used.

    Returns
    -------
    str
        One line.
    """
    cause: BaseException = error
    while (inner := _reason(cause)) is not None:
        cause = inner
    return " ".join(str(cause).split()) or type(cause).__name__


def _reason(error: BaseException) -> BaseException | None:
    """Return the cause of a network error: `requests` and `urllib3` both wrap errors."""
    parts = (getattr(error, "reason", None), *error.args)
    return next((part for part in parts if isinstance(part, BaseException)), None)


@contextmanager
def unpacked_package(package: str) -> Iterator[Path]:
    """Fetch a Debian package and unpack it, without being root and without installing it.

    As root, apt's lists are refreshed once if apt does not know the package or its address. Other
    users are told to do so.

    Parameters
    ----------
    package : str
        The package's name.

    Yields
    ------
    pathlib.Path
        A temporary folder that takes the place of the root of the file system.

    Raises
    ------
    OSError
        apt-get or dpkg-deb is missing, fails or takes longer than five minutes.
    """
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise OSError(f"skipped, there is no {tool} here")
    with tempfile.TemporaryDirectory(prefix="cnn-core-") as name:
        folder = Path(name)
        _download_package(package, folder)
        archives = list(folder.glob("*.deb"))
        if not archives:
            raise OSError("apt-get ended well and left no package")
        root = folder / "root"
        _run(["dpkg-deb", "-x", str(archives[0]), str(root)], folder)
        yield root


def _download_package(package: str, folder: Path) -> None:
    command = ["apt-get", "-q", "-o", "Acquire::http::Timeout=20", "download", package]
    try:
        _run(command, folder)
        return
    except OSError as error:
        text = str(error)
        stale = any(sign in text for sign in ("Unable to locate", "Can't find", "404"))
        if not stale:
            raise
        if not _is_root():
            raise OSError(f"{text} (try again after: sudo apt-get update)") from error
    try:
        _run(["apt-get", "-q", "-o", "Acquire::http::Timeout=20", "update"], folder)
        _run(command, folder)
    except OSError as error:
        raise OSError(f"{text}; after apt-get update: {error}") from error


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _run(command: list[str], folder: Path) -> None:
    """Run a program within the time limit; raise OSError with its output if it fails."""
    # A file, not a pipe, which helpers that outlive the program could keep open forever.
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = process.wait(APT_SECONDS)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if isinstance(error, subprocess.TimeoutExpired):
                raise OSError(f"{command[0]} took longer than {APT_SECONDS} seconds") from error
            raise
        if code != 0:
            output.seek(0)
            lines = output.read().decode(errors="replace").splitlines()
            told = [line for line in lines if line.startswith(("E:", "dpkg-deb: error"))] or lines
            raise OSError(f"{command[0]} failed: {' '.join(told)[:500] or f'exit code {code}'}")
