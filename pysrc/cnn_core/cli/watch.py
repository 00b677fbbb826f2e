"""``cnn-core watch``: the page of a run in the browser, live while another process trains it."""

from __future__ import annotations

import argparse
import time
import webbrowser
from pathlib import Path
from typing import Any

from cnn_core import load
from cnn_core.cli import records, resume
from cnn_core.cli.console import note, one_line, require
from cnn_core.cli.html_report import tested_run, tested_table
from cnn_core.cli.output import print_result
from cnn_core.cli.pages.drawing import DrawingField
from cnn_core.cli.pages.live import Checkpoints, Shown, page_of
from cnn_core.cli.pages.rendering import sections
from cnn_core.cli.pages.server import served
from cnn_core.cli.run_folder import CHECKPOINTS, RECORD, UNFINISHED
from cnn_core.cli.run_page import contents_of
from cnn_core.cli.runs import read_any
from cnn_core.cli.scale_page import contents_again
from cnn_core.cli.scale_run import FilesRun
from cnn_core.cli.sources import Samples, read_samples
from cnn_core.cli.table_page import table_contents
from cnn_core.cli.tabular.run import TableRun
from cnn_core.cli.tabular.watching import MembersOfFiles
from cnn_core.cli.trained_model import Trained
from cnn_core.cli.watching import field_of, so_far
from cnn_core.io.fields import Fields

__all__ = ["run"]

_COMPLETE = "the training is complete"


def run(args: argparse.Namespace) -> int:
    """Run the command: serve the page until Ctrl-C; the exit code is 0."""
    require("watch", "sklearn", "jinja2")
    path = _unfinished(args.folder)
    title, state, field = _finished(args) if path is None else _going_on(args, path)
    with served(page_of(title, state, field), args.port) as address:
        try:
            print_result(args, f"{address}\nCtrl-C ends it", {"address": address})
            if args.open:
                webbrowser.open(address)
            while True:
                # Under SA_RESTART, which polars sets, Ctrl-C ends a sleep but not Event.wait.
                time.sleep(3600)
        except KeyboardInterrupt:
            return 0
    return 0


def _unfinished(folder: Path) -> Path | None:
    """Return the folder of a training that goes on, None if the run is complete."""
    if (folder / RECORD).is_file():
        return None
    path = folder.with_name(folder.name.removesuffix(UNFINISHED) + UNFINISHED)
    return path if (path / resume.TRAINING).is_file() else None


def _finished(args: argparse.Namespace) -> tuple[str, Any, DrawingField | None]:
    """Return the page of a complete run."""
    read = read_any(args.folder, args.backend)
    with records.damaged(args.folder / RECORD):
        if isinstance(read, TableRun):
            contents = table_contents(tested_table(read, args))
            return contents.title, Shown(contents, _COMPLETE).state, None
        if isinstance(read, FilesRun):
            contents = contents_again(args.folder, read)
            return contents.title, Shown(contents, _COMPLETE).state, None
        tested = tested_run(read, args)
        contents = contents_of(tested)
    field = None
    if DrawingField.fits(tested.samples, read.scaling):
        shape = tested.samples.shape[1:]
        field = DrawingField(
            shape, read.class_names, read.scaling, tested.samples, lambda: read.trained
        )
    return contents.title, Shown(contents, _COMPLETE).state, field


def _going_on(args: argparse.Namespace, path: Path) -> tuple[str, Any, DrawingField | None]:
    """Return the page of a training that another process goes on with, by its checkpoints."""
    record = records.read_record(path / resume.TRAINING)
    with records.damaged(path / resume.TRAINING):
        records.check_format(record, resume.FORMAT, (resume.FORMAT_VERSION,))
        source = records.source_from_json(record.fields("data").fields("asked_for"))
        settings = record.fields("settings")
    if settings.values.get("model") == "tables":
        name = one_line(Path(source.data).stem)
        members = MembersOfFiles(path / CHECKPOINTS, name, settings.values)
        return name, members.state, None
    samples = read_samples(source, note)
    checkpoints = _OfNetwork(path, samples, settings)
    return samples.name, checkpoints.state, field_of(samples, checkpoints.network)


class _OfNetwork(Checkpoints):
    """The page of one network, by the checkpoint that is written again and again."""

    def __init__(self, path: Path, samples: Samples, settings: Fields) -> None:
        super().__init__(path)
        self._samples = samples
        self._settings = settings.values
        self._written: int | None = None
        self._trained: Trained | None = None

    def network(self) -> Trained | None:
        """Return what the last checkpoint holds."""
        with self.lock:
            return self._trained

    def read(self) -> None:
        """Read the checkpoint if it was written anew."""
        file = self.folder / resume.CHECKPOINT
        try:
            written = file.stat().st_mtime_ns
            if written == self._written:
                return
            self._trained = Trained(load(file), len(self._samples.class_names))
        except (OSError, ValueError):
            # None yet, or it is being replaced.
            return
        self._written = written
        measured = "test" if self._settings.get("validation_share") is None else "validation"
        epochs = self._settings.get("epochs")
        contents = so_far(
            self._trained.model,
            self._samples,
            self._settings,
            measured=measured,
            length=f"{epochs} epochs",
        )
        self.version += 1
        self.html = sections(contents, live=True)
