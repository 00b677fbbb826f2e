"""A process whose writing to files is recorded: see `test_written_files.py`.

    python tests/helpers/watched.py FOLDER REPORT MODE COMMAND [ARGUMENT ...]

Carries a command of ``cnn-core`` out, or with ``calls`` all of `CALLS`, and writes to REPORT for
each which files were opened for writing, renamed and brought to the disk in FOLDER, and the error
that it ended with. In the mode ``watch`` it lets all of that happen; any other mode is the name of
an error, as EROFS, with which everything that would change FOLDER fails.
"""

from __future__ import annotations

import errno
import json
import os
import sys
from pathlib import Path

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = {"os.mkdir": 0, "os.rename": 1, "os.truncate": 0, "os.link": 1, "os.symlink": 1}


class Recorder:
    """An audit hook that records what is done in a folder."""

    def __init__(self, folder: Path, mode: str) -> None:
        self.folder = os.path.realpath(folder)
        self.error = None if mode == "watch" else getattr(errno, mode)
        self.events: list[list] = []
        self.is_on = True
        self._fsync = os.fsync
        os.fsync = self.fsync

    def __call__(self, event: str, arguments: tuple) -> None:
        if not self.is_on:
            return
        if event == "open":
            path, _, flags = arguments
            if isinstance(path, str | bytes | os.PathLike) and flags & WRITING:
                creates = bool(flags & (os.O_CREAT | os.O_TRUNC | os.O_APPEND))
                self.change("open", os.fsdecode(path), creates)
        elif event in CHANGES:
            path = os.fsdecode(arguments[CHANGES[event]])
            if event == "os.rename":
                source = os.fsdecode(arguments[0])
                self.change("rename", path, os.path.abspath(source), self.identity(source))
            else:
                self.change(event, path)

    def change(self, kind: str, path: str, *more) -> None:
        path = os.path.abspath(path)
        if not path.startswith(self.folder + os.sep) or (kind == "open" and os.path.isdir(path)):
            return
        self.events.append([kind, path, *more])
        if kind == "rename":
            self.events[-1].append(self.identity(os.path.dirname(path)))
        if self.error is not None:
            raise OSError(self.error, os.strerror(self.error), path)

    def fsync(self, descriptor: int) -> None:
        status = os.fstat(descriptor)
        self.events.append(["fsync", [status.st_dev, status.st_ino]])
        self._fsync(descriptor)

    @staticmethod
    def identity(path: str) -> list[int]:
        status = os.stat(path)
        return [status.st_dev, status.st_ino]


def trained():
    import numpy as np

    from cnn_core import NN

    return NN(3, 4, 2, 0.5, 2, seed=0, backend="numpy").fit(np.ones((6, 3)), np.ones((6, 2)))


def save_nn(folder: Path) -> None:
    trained().save(folder / "nn")


def save_model(folder: Path) -> None:
    trained().model.save(folder / "model")


def save_estimator(folder: Path) -> None:
    import numpy as np

    from cnn_core import MLPClassifier

    x = np.arange(20.0).reshape(10, 2) / 20
    classifier = MLPClassifier((3,), max_iter=300, random_state=0, backend="numpy", tol=1.0)
    classifier.fit(x, np.arange(10) % 2).save(folder / "estimator")


def train_with(folder: Path, *callbacks, checkpoint=None) -> None:
    import numpy as np

    from cnn_core import NN

    net = NN(3, 4, 2, 0.5, 2, seed=0, backend="numpy")
    net.fit(np.ones((6, 3)), np.ones((6, 2)), callbacks=callbacks, checkpoint=checkpoint)


def checkpoint(folder: Path) -> None:
    from cnn_core import Checkpoint

    train_with(folder, checkpoint=Checkpoint(folder / "checkpoint", every_epochs=1))


def save_in_training(folder: Path) -> None:
    from cnn_core.callbacks import SaveModel

    train_with(folder, SaveModel(folder / "epoch-{epoch}"))


def log(folder: Path) -> None:
    from cnn_core.callbacks import CSVLog

    train_with(folder, CSVLog(folder / "log.csv"))


def plot_rates(folder: Path) -> None:
    from cnn_core.learning_rates import LearningRates

    LearningRates([0.1, 0.2, 0.3], [3.0, 2.0, 4.0], [3.0, 2.0, 4.0], 0.2).plot(folder / "rates.svg")


def keep_data(folder: Path) -> None:
    from cnn_core.data import fashion_mnist

    fashion_mnist._read_file = lambda path, file: path.read_bytes()
    keep = fashion_mnist._keep
    keep(folder, fashion_mnist.FILES[0], "here", lambda stream: stream.write(b"contents"))


CALLS = {
    call.__name__: call
    for call in (
        save_nn,
        save_model,
        save_estimator,
        checkpoint,
        save_in_training,
        log,
        plot_rates,
        keep_data,
    )
}


def main() -> int:
    folder, report, mode, command, *arguments = sys.argv[1:]
    from cnn_core.cli import main as cnn_core

    recorder = Recorder(Path(folder), mode)
    sys.addaudithook(recorder)
    code, found = 0, {}
    if command == "calls":
        for name, call in CALLS.items():
            recorder.events, error = [], None
            try:
                call(Path(folder))
            except Exception as raised:
                error = f"{type(raised).__name__}: {raised}"
            found[name] = recorder.events, error
    else:
        code = cnn_core([command, *arguments])
        found[command] = recorder.events, None
    recorder.is_on = False
    Path(report).write_text(json.dumps(found), encoding="utf-8")
    return code


if __name__ == "__main__":
    sys.exit(main())
