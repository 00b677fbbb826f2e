"""Errors of the data readers, and the limit of unpacked sizes."""

from __future__ import annotations

import io
import os

from cnn_core.files import NotAFileError, in_message, open_file

__all__ = ["DataError", "DataNotFoundError", "check_unpacked_size", "open_data", "size_of"]

ALWAYS_ALLOWED_BYTES = 256 * 2**20
"""A file may make arrays of this many bytes, however small it is: every known data set fits."""

ALLOWED_RATIO = 100
"""A file may always make arrays of this many times its own size: images seldom pack so well."""


class DataError(ValueError):
    """A data file is damaged or of another kind.

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
        # All four are passed on unchanged, so that the error survives pickling.
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
    """A data set was not found in any of the places that were searched.

    The message names every place with its outcome and says what to do.
    """


def open_data(path: str | os.PathLike[str]) -> io.BufferedReader:
    """Open a file for reading.

    Query its size from the stream, since another process may replace the file.

    Parameters
    ----------
    path : str or path-like
        File to open.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    DataError
        It is a folder, a device or a pipe (reading a pipe could block forever).
    TypeError, ValueError
        It is not a path.
    """
    try:
        return open_file(path)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{os.fspath(path)}: no such file") from error
    except NotAFileError as error:
        raise DataError(path, "a regular file", error.found) from error


def size_of(stream: io.BufferedReader) -> int:
    """Return the size of an open file in bytes."""
    return os.fstat(stream.fileno()).st_size


def check_unpacked_size(path: str | os.PathLike[str], packed: int, unpacked: int) -> None:
    """Refuse a packed file whose declared size is far beyond that of real data.

    Parameters
    ----------
    path : str or path-like
        The packed file, for the message.
    packed, unpacked : int
        Its size in bytes, and the declared unpacked size.

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
