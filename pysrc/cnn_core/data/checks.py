"""Errors of the data readers, and the limit on what a packed file may unpack to."""

from __future__ import annotations

import os
import stat

from cnn_core.files import in_message

__all__ = ["DataError", "DataNotFoundError", "check_is_file", "check_unpacked_size"]

ALWAYS_ALLOWED_BYTES = 256 * 2**20
"""A file may make arrays of this many bytes, however small it is: every known data set fits."""

ALLOWED_RATIO = 100
"""A file may always make arrays of this many times its own size: images seldom pack so well."""


class DataError(ValueError):
    """A data file that is not what it should be.

    Parameters
    ----------
    path : str or path-like
        The file (or, for a download, its address).
    expected : str
        What the file should hold.
    found : str
        What it holds instead.
    hint : str, optional
        What to do about it.
    """

    def __init__(
        self, path: str | os.PathLike[str], expected: str, found: str, hint: str = ""
    ) -> None:
        # All four are handed on as they came, so that the error survives pickling.
        super().__init__(path, expected, found, hint)
        self.path = os.fspath(path)
        self.expected = expected
        self.found = found
        self.hint = hint

    def __str__(self) -> str:
        """Return file, expectation, finding and hint in one sentence."""
        expected, found = in_message(self.expected), in_message(self.found)
        sentence = f"{self.path}: expected {expected}, found {found}"
        return f"{sentence}; {self.hint}" if self.hint else sentence


class DataNotFoundError(FileNotFoundError):
    """A data set that is in none of the places where it was looked for.

    The message names every place with its outcome and says what to do.
    """


def check_is_file(path: str | os.PathLike[str]) -> int:
    """Return the size in bytes of a regular file.

    Parameters
    ----------
    path : str or path-like
        File to look at.

    Returns
    -------
    int
        Its size in bytes.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    DataError
        It is a folder, a device or a pipe (opening a pipe would wait for ever).
    """
    try:
        status = os.stat(path)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{os.fspath(path)}: no such file") from error
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "something else"
        raise DataError(path, "a regular file", kind)
    return status.st_size


def check_unpacked_size(path: str | os.PathLike[str], packed: int, unpacked: int) -> None:
    """Refuse a packed file that says it would unpack to far more than data ever does.

    Parameters
    ----------
    path : str or path-like
        The packed file, for the message.
    packed, unpacked : int
        Its size in bytes as it is, and as it says it will be.

    Raises
    ------
    DataError
        It would be more than 256 MiB and more than 100 times the packed size.
    """
    limit = max(ALWAYS_ALLOWED_BYTES, ALLOWED_RATIO * packed)
    if unpacked > limit:
        raise DataError(
            path,
            f"at most {limit} bytes when unpacked (256 MiB, or {ALLOWED_RATIO} times the packed "
            "size if that is more)",
            f"{unpacked} bytes declared in a packed file of {packed} bytes",
            "if the file is to be trusted, store it unpacked",
        )
