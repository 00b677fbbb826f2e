"""Begin and resume the folder of an unfinished training.

Its name ends in ``.unfinished``. After Ctrl-C there is a complete run folder with a usable model,
which also holds the files to resume.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from cnn_core import load
from cnn_core.cli import records, run_folder
from cnn_core.cli.console import CommandError, note, short_path
from cnn_core.cli.run_folder import CHECKPOINT, CHECKPOINTS, UNFINISHED, NewFolder
from cnn_core.files import remove_leftovers
from cnn_core.io.fields import Fields
from cnn_core.training import DivergenceError

try:
    import fcntl
except ImportError:  # no POSIX system
    fcntl = None  # type: ignore[assignment]

__all__ = ["CHECKPOINT", "FORMAT", "FORMAT_VERSION", "Begun", "begin", "find", "go_on", "reopen"]

TRAINING = "training.json"
FORMAT = "cnn-core training"
FORMAT_VERSION = 1


@contextmanager
def begin(out: Path | None, name: str, record: dict[str, Any]) -> Iterator[NewFolder]:
    """Create a run folder that can be resumed after its first checkpoint.

    While the block runs, the folder's name ends in ``.unfinished``. If the block fails, the folder
    is removed, unless it holds the checkpoint of an epoch.

    Parameters
    ----------
    out : pathlib.Path or None
        As for `run_folder.new_folder`.
    name : str
        Name of the data.
    record : dict
        Everything that is needed to resume the training.

    Raises
    ------
    CommandError
        If `out` is not empty, or another training is writing it or left it unfinished.
    OSError
        If nothing can be written there.
    """
    final, path = _claim(out, name)
    try:
        try:
            records.write_json(path / TRAINING, {**record, "asked_for_folder": out is not None})
            lock = _locked(path)
        except BaseException:
            shutil.rmtree(path, ignore_errors=True)
            raise
        with lock, _made(path, final, asked_for=out is not None, is_new=True) as folder:
            yield folder
    except OSError as error:
        if run_folder.is_about(error, path):
            raise OSError(error.errno, error.strerror, short_path(final)) from error
        raise


@dataclass(frozen=True, eq=False)
class Begun:
    """An unfinished training.

    Attributes
    ----------
    path, final : pathlib.Path
        Its folder, and the final name of the folder; equal if Ctrl-C ended the training.
    """

    path: Path
    final: Path


def find(folder: Path) -> Begun | None:
    """Return the unfinished training of a run folder; None if it is complete.

    Parameters
    ----------
    folder : pathlib.Path
        The folder, with or without ``.unfinished``.

    Raises
    ------
    CommandError
        If neither exists.
    """
    whole = Path(os.path.realpath(folder))
    if whole.is_file():
        raise CommandError(
            f"--resume: expected the folder of a cnn-core train, found a file: {short_path(whole)}"
        )
    final = whole.parent / (whole.name.removesuffix(UNFINISHED) or whole.name)
    path = _while_unfinished(final)
    if path.is_symlink():
        raise CommandError(
            f"--resume: {path} is a symbolic link; name the folder that it leads to, or remove it"
        )
    if (path / TRAINING).is_file():
        return Begun(path, final)
    if (final / run_folder.RECORD).is_file():
        return Begun(final, final) if _was_interrupted(final) else None
    if path.is_dir():
        raise CommandError(
            f"--resume: {path} has no {TRAINING}: its training was ended before it began; remove "
            "the folder and train again"
        )
    raise CommandError(
        f"--resume: expected the folder of an unfinished cnn-core train, found neither "
        f"{short_path(path)} nor a run in {short_path(final)}"
    )


@contextmanager
def go_on(begun: Begun) -> Iterator[Fields]:
    """Open an unfinished training; yield its initial record.

    No other process can resume it before the block ends. The folder is not changed.

    Raises
    ------
    CommandError
        If another process is resuming it, the record is damaged, or the folder has unexpected
        files.
    """
    _require_own_files(begun.path)
    with _locked(begun.path):
        yield _read(begun.path / TRAINING)


@contextmanager
def reopen(begun: Begun, record: Fields) -> Iterator[NewFolder]:
    """Create the run folder of a resumed training, inside the block of `go_on`; see `begin`."""
    path = _while_unfinished(begun.final)
    try:
        if begun.path != path:
            if os.path.lexists(path):
                raise CommandError(f"--resume: {short_path(path)} is in the way; remove or move it")
            os.rename(begun.path, path)
        _remove_old_results(path)
        with records.damaged(path / TRAINING):
            # Missing in records of the first version.
            asked_for = "asked_for_folder" not in record or record.flag("asked_for_folder")
        with _made(path, begun.final, asked_for=asked_for, is_new=False) as folder:
            yield folder
    except OSError as error:
        if run_folder.is_about(error, path):
            raise OSError(error.errno, error.strerror, short_path(begun.final)) from error
        raise


@contextmanager
def _made(path: Path, final: Path, *, asked_for: bool, is_new: bool) -> Iterator[NewFolder]:
    folder = NewFolder(path, final)
    try:
        yield folder
        folder.final = run_folder.put_in_place(path, final, asked_for=asked_for)
    except BaseException as error:
        if not path.exists():
            raise
        has_epochs = not is_new or any(map(_epochs_in, _checkpoints(path)))
        if has_epochs and not isinstance(error, DivergenceError | CommandError):
            note(f"cnn-core train --resume {short_path(final)} goes on from the last checkpoint")
        elif is_new:
            shutil.rmtree(path, ignore_errors=True)
            if isinstance(error, KeyboardInterrupt):
                raise KeyboardInterrupt("nothing was written") from error
        raise
    if folder.was_interrupted and (folder.final / CHECKPOINT).exists():
        note(f"cnn-core train --resume {short_path(folder.final)} goes on to the end")
        return
    # Only now, so that the folder is always complete or resumable.
    shutil.rmtree(folder.final / CHECKPOINTS, ignore_errors=True)
    for name in (CHECKPOINT, TRAINING):
        with suppress(OSError):
            (folder.final / name).unlink()


def _checkpoints(path: Path) -> list[Path]:
    """Return the checkpoints in the folder of an unfinished training."""
    return [path / CHECKPOINT, *sorted((path / CHECKPOINTS).glob("*.safetensors"))]


def _was_interrupted(final: Path) -> bool:
    """Tell whether a run folder can be resumed and its training has not ended."""
    if not (final / TRAINING).is_file():
        return False
    try:
        record = records.read_record(final / run_folder.RECORD)
        return "interrupted" not in record or record.flag("interrupted")
    except (OSError, ValueError, TypeError):
        return True


def _epochs_in(checkpoint: Path) -> int:
    """Return the epochs of a checkpoint; 0 if it is missing or cannot be read."""
    try:
        epochs: int = load(checkpoint, backend="numpy").epochs_done
    except (OSError, ValueError):
        return 0
    return epochs


def _while_unfinished(final: Path) -> Path:
    return final.parent / (final.name + UNFINISHED)


def _claim(out: Path | None, name: str) -> tuple[Path, Path]:
    """Make a folder for exclusive use."""
    wanted = run_folder.final_folder(out, name)
    for number in range(1, 1000):
        final = wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}")
        path = _while_unfinished(final)
        try:
            path.mkdir()
        except FileExistsError as error:
            if out is None:
                continue
            raise CommandError(
                f"--out: there is an unfinished training in {path}; go on with it by "
                f"cnn-core train --resume {out}, or remove it"
            ) from error
        return final, path
    raise CommandError(f"{wanted} and 998 more folders of this name exist already; use --out")


def _locked(path: Path) -> IO[bytes]:
    """Open and lock the record of a training until it is closed.

    The system releases the lock when the process ends.
    """
    stream = open(path / TRAINING, "r+b")  # noqa: SIM115 (the caller closes it)
    try:
        if fcntl is not None:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Another process may have finished in between.
            if not os.path.samestat(os.fstat(stream.fileno()), os.stat(path / TRAINING)):
                raise FileNotFoundError
    except BlockingIOError as error:
        stream.close()
        raise CommandError(f"another process is training in {path}; wait for its end") from error
    except OSError as error:
        stream.close()
        raise CommandError(f"{path} has gone: another process completed it") from error
    return stream


def _read(path: Path) -> Fields:
    record = records.read_record(path)
    with records.damaged(path):
        records.check_format(record, FORMAT, (FORMAT_VERSION,))
    return record


def _require_own_files(path: Path) -> None:
    """Check that files written to a folder stay in it, since it may come from a stranger.

    Raises
    ------
    CommandError
        If the name of an output file is a link, a folder or a device.
    """
    folder = path / CHECKPOINTS
    inside = list(folder.iterdir()) if folder.is_dir() and not folder.is_symlink() else [folder]
    for file in (*(path / name for name in (TRAINING, CHECKPOINT, *run_folder.ALL_FILES)), *inside):
        if os.path.lexists(file) and not stat.S_ISREG(os.lstat(file).st_mode):
            raise CommandError(
                f"--resume: expected a file {short_path(file)} as cnn-core train writes it, found "
                "a symbolic link, a folder or a device; remove it"
            )


def _remove_old_results(path: Path) -> None:
    """Remove the results of a complete run, or partial results."""
    for name in run_folder.ALL_FILES:
        (path / name).unlink(missing_ok=True)
        remove_leftovers(path / name)
