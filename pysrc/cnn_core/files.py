"""Writing files so that a reader never meets half of one."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

try:
    import fcntl
except ImportError:  # no POSIX system
    fcntl = None  # type: ignore[assignment]

__all__ = [
    "atomic_write",
    "in_message",
    "remove_leftovers",
    "sync_folder",
    "write_table",
    "write_text",
]


def atomic_write(path: str | os.PathLike[str], write: Callable[[BinaryIO], object]) -> None:
    """Write a file as a whole or not at all.

    ``write`` fills a temporary file in the same folder, which then takes the place of ``path`` in
    one step. Whatever goes wrong, ``path`` is what it was before and the temporary file is gone.

    Parameters
    ----------
    path : str or path-like
        File to create or to replace. A symbolic link is followed: the file it names is replaced.
        A new file gets the permissions that the umask leaves; a replaced one keeps its own.
    write : callable
        Called once with a binary stream that is empty, writable, readable and seekable, and whose
        ``name`` is the temporary file. What it raises is passed on.

    Raises
    ------
    FileNotFoundError
        The folder of ``path`` does not exist.
    IsADirectoryError
        ``path`` is a folder.
    OSError
        The file cannot be written: the disk is full or read-only, say.
    ValueError
        ``path`` exists and is not a regular file (a device or a pipe cannot be replaced).
    """
    target = Path(os.path.realpath(path))
    mode = _mode_to_keep(target)
    # A name of its own length, so that a target near the file system's limit can be written too.
    temporary = target.parent / f".{_mark(target)}-{os.urandom(8).hex()}.tmp"
    try:
        _replace(temporary, target, write, mode)
    except FileNotFoundError as error:
        if target.parent.is_dir():
            raise
        raise FileNotFoundError(
            f"cannot write {target}: the folder {target.parent} does not exist"
        ) from error
    except OSError as error:
        # Nobody knows the temporary file; and a full disk names none.
        if error.errno is None or error.filename not in (None, os.fspath(temporary)):
            raise
        raise OSError(error.errno, error.strerror, os.fspath(target)) from error
    sync_folder(target.parent)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text in UTF-8 as a file, as a whole or not at all; see `atomic_write`."""
    contents = text.encode()
    atomic_write(path, lambda stream: stream.write(contents))


def write_table(path: str | os.PathLike[str], rows: Iterable[Iterable[Any]]) -> None:
    """Write rows as comma-separated text, as a whole or not at all; see `atomic_write`."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    write_text(path, text.getvalue())


def _replace(
    temporary: Path, target: Path, write: Callable[[BinaryIO], object], mode: int | None
) -> None:
    """Write the temporary file and let it take the place of the target, or remove it."""
    stream = open(temporary, "x+b")  # noqa: SIM115 (closed below, before the renaming)
    try:
        with _claimed(stream):
            with stream:
                write(stream)
                stream.flush()
                os.fsync(stream.fileno())
            if mode is not None:
                os.chmod(temporary, mode)
            os.replace(temporary, target)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def remove_leftovers(path: str | os.PathLike[str]) -> None:
    """Remove the temporary files of writers of `path` that were killed, not of those at work."""
    target = Path(os.path.realpath(path))
    ours = re.compile(rf"\.{_mark(target)}-[0-9a-f]{{16}}\.tmp")
    with suppress(OSError):
        for found in target.parent.iterdir():
            if ours.fullmatch(found.name):
                with suppress(OSError), found.open("r+b") as stream:
                    _lock(stream.fileno())
                    found.unlink()


@contextmanager
def _claimed(stream: BinaryIO) -> Iterator[None]:
    """Keep `remove_leftovers` off a file, also once the stream is closed."""
    if fcntl is None:
        yield
        return
    descriptor = os.dup(stream.fileno())
    try:
        # Some file systems have no locks.
        with suppress(OSError):
            _lock(descriptor)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    """Lock a file as long as it is open; the system unlocks those of a process that was killed.

    Raises
    ------
    OSError
        If somebody else has locked it, or that cannot be told.
    """
    if fcntl is not None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def in_message(text: object, most: int = 1000) -> str:
    """Return what a file says for a message: cut, and with nothing that a terminal would obey."""
    shown = f"{text!s:.{most}}"
    if shown.isprintable():
        return shown
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in shown)[:most]


def _mark(target: Path) -> str:
    """Return by what the temporary files of a target are known, however long its name is."""
    return hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16]


def _mode_to_keep(target: Path) -> int | None:
    """Permission bits of the file that will be replaced, None if there is none."""
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(f"cannot write {target}: it is a folder, expected a file name")
    if not stat.S_ISREG(mode):
        raise ValueError(f"cannot write {target}: it exists and is not a regular file")
    return stat.S_IMODE(mode)


def sync_folder(folder: Path) -> None:
    """Ask the system to make the names in a folder last."""
    # Some systems cannot open a folder and some file systems refuse to sync one.
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
