"""Open files, and write them atomically."""

from __future__ import annotations

import csv
import errno
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
    "NotAFileError",
    "atomic_write",
    "checked_path",
    "checked_target",
    "in_message",
    "open_file",
    "remove_leftovers",
    "sync_folder",
    "table_text",
    "write_table",
    "write_text",
]

# Characters that begin a formula in spreadsheets; the last four are full-width forms.
_FORMULA_SIGNS = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")


PathLike = str | os.PathLike[str]

# The first attempt succeeds, unless `remove_leftovers` of another process interferes.
_ATTEMPTS = 100
# Possible last parts of the path of a folder.
_NAMES_OF_FOLDERS = ("", os.curdir, os.pardir)
# Flags that not every system has; O_NONBLOCK: do not wait for the other end of a pipe.
_READING = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


class NotAFileError(ValueError):
    """The path does not lead to a regular file.

    Attributes
    ----------
    found : str
        What it is: ``"a folder"``, ``"a device, a pipe or a socket"``.
    """

    def __init__(self, path: PathLike, found: str) -> None:
        super().__init__(path, found)
        self.path = os.fspath(path)
        self.found = found

    def __str__(self) -> str:
        """Return path and finding in one line."""
        return f"{self.path}: expected a regular file, found {self.found}"


def checked_path(path: Any, name: str = "path") -> str:
    """Return a path as text.

    Parameters
    ----------
    path : str or path-like
    name : str
        Name of the argument, for errors.

    Raises
    ------
    TypeError
        For anything else, bytes included.
    ValueError
        If it is empty, or contains a character that is not allowed in file names.
    """
    text = os.fspath(path) if isinstance(path, os.PathLike) else path
    if not isinstance(text, str):
        raise TypeError(f"{name}: expected a path as str or pathlib.Path, found {path!r:.200}")
    if not text:
        raise ValueError(f"{name}: expected a path, found an empty one")
    if "\0" in text:
        raise ValueError(f"{name}: expected a path without NUL characters, found {text!r:.200}")
    try:
        os.fsencode(text)
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{name}: expected a path that the file system can hold, found {text!r:.200}"
        ) from error
    return text


def checked_target(path: Any, name: str = "path") -> str:
    """Return the path of a file that is to be written, as text.

    Parameters
    ----------
    path, name
        As for `checked_path`.

    Raises
    ------
    TypeError, ValueError
        As `checked_path` does.
    IsADirectoryError
        If it ends like the path of a folder: in a separator, ``.`` or ``..``.
    """
    text = checked_path(path, name)
    if os.path.basename(text) in _NAMES_OF_FOLDERS:
        raise IsADirectoryError(
            f"{name}: expected the name of a file, found {text!r:.200}, which is that of a folder"
        )
    return text


def open_file(path: PathLike) -> io.BufferedReader:
    """Open a regular file for reading.

    Query the size and the like from the stream: this is correct even if another process replaces
    the file.

    Parameters
    ----------
    path : str or path-like

    Raises
    ------
    TypeError, ValueError
        As `checked_path` does.
    NotAFileError
        If it is a folder, a device, a pipe or a socket. None of these is waited for.
    OSError
        If it cannot be opened.
    """
    name = checked_path(path)
    try:
        descriptor = os.open(name, _READING)
    except OSError as error:
        # Windows refuses to open folders, other systems sockets.
        if os.path.isdir(name):
            raise NotAFileError(path, "a folder") from error
        if error.errno == errno.ENXIO:
            raise NotAFileError(path, "a device, a pipe or a socket") from error
        if os.path.basename(name) in _NAMES_OF_FOLDERS:
            raise NotAFileError(path, "a path that ends as that of a folder does") from error
        raise
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    raise NotAFileError(path, "a folder" if stat.S_ISDIR(mode) else "a device, a pipe or a socket")


def atomic_write(path: PathLike, write: Callable[[BinaryIO], object]) -> None:
    """Write a file completely or not at all.

    ``write`` fills a temporary file in the same folder, which then replaces ``path`` in one step.
    After an error ``path`` is unchanged and the temporary file is removed.

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
        ``path`` is a folder, or ends like the path of one.
    OSError
        The file cannot be written: the disk is full or read-only, say.
    TypeError
        ``path`` is no path.
    ValueError
        ``path`` is empty or holds a NUL character, or exists and is not a regular file (a device or
        a pipe cannot be replaced).
    """
    target = Path(os.path.realpath(checked_target(path)))
    mode = _mode_to_keep(target)
    try:
        _replace(target, write, mode)
    except FileNotFoundError as error:
        if target.parent.is_dir():
            raise
        raise FileNotFoundError(
            f"cannot write {target}: the folder {target.parent} does not exist"
        ) from error
    except OSError as error:
        # The error should name the target, not the temporary file.
        if error.errno is None:
            raise
        if error.filename is not None and not _is_temporary_of(target, str(error.filename)):
            raise
        raise OSError(error.errno, error.strerror, os.fspath(target)) from error
    sync_folder(target.parent)


def write_text(path: PathLike, text: str) -> None:
    """Write a text in UTF-8 to a file; see `atomic_write`."""
    contents = text.encode()
    atomic_write(path, lambda stream: stream.write(contents))


def write_table(path: PathLike, rows: Iterable[Iterable[Any]]) -> None:
    """Write rows as comma-separated text.

    See `table_text` and `atomic_write`.
    """
    write_text(path, table_text(rows))


def table_text(rows: Iterable[Iterable[Any]]) -> str:
    """Return rows as comma-separated text.

    A text that a spreadsheet would run as a formula, because it begins with ``=``, ``+``, ``-``,
    ``@``, a tab or a line break and is no number, gets an apostrophe before it (OWASP, CSV
    injection). Texts with commas, quotes or line breaks are quoted (RFC 4180).
    """
    text = io.StringIO(newline="")
    plain = csv.writer(text, lineterminator="\n")
    # Some versions of Python do not quote a carriage return.
    quoting = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    for row in rows:
        cells = [_no_formula(cell) if isinstance(cell, str) else cell for cell in row]
        has_returns = any(isinstance(cell, str) and "\r" in cell for cell in cells)
        (quoting if has_returns else plain).writerow(cells)
    return text.getvalue()


def _no_formula(cell: str) -> str:
    if not cell.startswith(_FORMULA_SIGNS):
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell


def _replace(target: Path, write: Callable[[BinaryIO], object], mode: int | None) -> None:
    """Write a temporary file that replaces the target; remove it after an error."""
    for _ in range(_ATTEMPTS):
        # Its length does not depend on the target, whose name may be near the file system's limit.
        temporary = target.parent / f".{_mark(target)}-{os.urandom(8).hex()}.tmp"
        with open(temporary, "x+b") as stream, _kept_open(stream) as descriptor:
            try:
                if not _is_kept(descriptor, temporary):
                    continue
                write(stream)
                stream.flush()
                os.fsync(stream.fileno())
                stream.close()
                if mode is not None:
                    os.chmod(temporary, mode)
                os.replace(temporary, target)
            except BaseException:
                with suppress(OSError):
                    temporary.unlink()
                raise
            return
    raise FileExistsError(
        errno.EEXIST, "other processes remove each temporary file made there", os.fspath(target)
    )


def remove_leftovers(path: PathLike) -> None:
    """Remove the temporary files of killed writers of `path`, not of running ones."""
    target = Path(os.path.realpath(path))
    with suppress(OSError):
        for found in target.parent.iterdir():
            if _is_temporary_of(target, found):
                with suppress(OSError), found.open("r+b") as stream:
                    _lock(stream.fileno())
                    found.unlink()


@contextmanager
def _kept_open(stream: BinaryIO) -> Iterator[int | None]:
    """Yield a second descriptor of the file, so that a lock outlives the stream."""
    if fcntl is None:
        yield None
        return
    descriptor = os.dup(stream.fileno())
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _is_kept(descriptor: int | None, temporary: Path) -> bool:
    """Lock a new file; return False if `remove_leftovers` of another process removed it."""
    if descriptor is None:
        return True
    try:
        _lock(descriptor)
    except BlockingIOError:
        return False
    except OSError:
        # A file system without locks, where `remove_leftovers` removes nothing.
        return True
    return _is_at(descriptor, temporary)


def _lock(descriptor: int) -> None:
    """Lock a file as long as it is open; the system unlocks the files of a killed process.

    Raises
    ------
    OSError
        If it is locked already (a BlockingIOError), or the state is unknown.
    """
    if fcntl is not None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is_at(descriptor: int, path: Path) -> bool:
    """Tell whether an open file still has its name."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def _is_temporary_of(target: Path, path: str | Path) -> bool:
    """Tell by its name whether a file is a temporary file of the target."""
    name = rf"\.{_mark(target)}-[0-9a-f]{{16}}\.tmp"
    return re.fullmatch(name, os.path.basename(path)) is not None


def in_message(text: object, most: int = 1000) -> str:
    """Return text from a file for a message: shortened, without control characters."""
    shown = f"{text!s:.{most}}"
    if shown.isprintable():
        return shown
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in shown)[:most]


def _mark(target: Path) -> str:
    """Return the common part of the names of a target's temporary files."""
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
    """Flush the names in a folder to the disk."""
    # Some systems cannot open a folder and some file systems refuse to sync one.
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
