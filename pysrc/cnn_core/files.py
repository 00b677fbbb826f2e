"""Writing files so that a reader never meets half of one."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

__all__ = ["atomic_write", "remove_leftovers"]


def atomic_write(path: str | os.PathLike[str], write: Callable[[BinaryIO], None]) -> None:
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
    ValueError
        ``path`` exists and is not a regular file (a device or a pipe cannot be replaced).
    """
    target = Path(os.path.realpath(path))
    mode = _mode_to_keep(target)
    # A name of its own length, so that a target near the file system's limit can be written too.
    temporary = target.parent / f".{_mark(target)}-{os.urandom(8).hex()}.tmp"
    try:
        stream = open(temporary, "x+b")  # noqa: SIM115 (closed below, before the renaming)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"cannot write {target}: the folder {target.parent} does not exist"
        ) from error
    try:
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
    _sync_folder(target.parent)


def remove_leftovers(path: str | os.PathLike[str]) -> None:
    """Remove the temporary files of writers of `path` that were killed.

    For a file that only one process writes: that of another one is removed as well.
    """
    target = Path(os.path.realpath(path))
    ours = re.compile(rf"\.{_mark(target)}-[0-9a-f]{{16}}\.tmp")
    with suppress(OSError):
        for found in target.parent.iterdir():
            if ours.fullmatch(found.name):
                found.unlink(missing_ok=True)


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


def _sync_folder(folder: Path) -> None:
    """Ask the system to make the new name last; the file itself is already complete."""
    # Some systems cannot open a folder and some file systems refuse to sync one.
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
