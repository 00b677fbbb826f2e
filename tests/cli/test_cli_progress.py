"""A training tells how far it has come: on a line that fits, or in lines that never stay away."""

from __future__ import annotations

import itertools
import re

import pytest

from cnn_core import EpochRecord
from cnn_core.cli import progress


class Clock:
    """A clock that goes on by a step at each look."""

    def __init__(self, step):
        self.now = 0.0
        self.step = step

    def __call__(self):
        self.now += self.step
        return self.now


def record(epoch):
    return EpochRecord(
        epoch=epoch,
        last_epoch=epoch,
        loss=0.5,
        accuracy=0.75,
        validation_loss=None,
        validation_accuracy=0.25,
        learning_rate=0.1,
        seconds=1.0,
        samples=1000,
    )


@pytest.fixture
def printed(monkeypatch):
    lines = []
    monkeypatch.setattr(progress, "show_progress", lines.append)
    return lines


def numbers(lines):
    return [int(line.split("epoch ")[1].split("/")[0].split()[0]) for line in lines]


def run(epochs, seconds_an_epoch, ended_after=None):
    lines = progress._Lines("training", progress._ByEpochs(epochs), "test", Clock(seconds_an_epoch))
    for epoch in range(1, (ended_after or epochs) + 1):
        lines.on_epoch(record(epoch))
    lines.print_waiting()


@pytest.mark.parametrize("epochs", [1, 2, 7, 12, 20])
def test_few_epochs_are_all_printed(printed, epochs):
    run(epochs, 0.01)
    assert numbers(printed) == list(range(1, epochs + 1))


@pytest.mark.parametrize("epochs", [21, 100, 101, 999])
def test_of_quick_epochs_about_ten_are_printed_in_even_steps(printed, epochs):
    run(epochs, 1e-6)
    found = numbers(printed)
    assert found[0] == 1
    assert found[-1] == epochs
    assert 8 <= len(found) <= 13
    assert len({b - a for a, b in itertools.pairwise(found[1:-1])}) == 1


def test_a_line_comes_at_least_every_few_seconds(printed):
    run(100_000, 0.005, ended_after=10_000)
    found = numbers(printed)
    assert (found[0], found[-1]) == (1, 10_000)
    assert max(b - a for a, b in itertools.pairwise(found)) * 0.005 <= 5.01


def test_the_last_epoch_is_printed_when_it_was_not_planned(printed):
    run(1000, 1e-6, ended_after=57)
    assert numbers(printed) == [1, 57]


def test_an_epoch_that_takes_long_shows_progress(printed):
    clock = Clock(0.0)
    lines = progress._Lines("training", progress._ByEpochs(3), "test", clock)
    for second in range(1, 18):
        clock.now = float(second)
        lines.on_second()
    lines.on_epoch(record(1))
    clock.now = 19.0
    lines.on_second()
    assert printed[:3] == [
        f"training: the current epoch has taken {n} s so far" for n in (5, 10, 15)
    ]
    assert printed[3].startswith("training: epoch 1/3  loss 0.5000  accuracy 0.750  test 0.250")
    assert len(printed) == 4


def test_a_training_by_the_clock_prints_in_even_steps_of_time(printed):
    class Budget(progress._ByTime):
        def done(self, record):
            return min(record.epoch * 0.1, self.whole)

    lines = progress._Lines("training", Budget(30.0), "test", Clock(0.1))
    for epoch in range(1, 301):
        lines.on_epoch(record(epoch))
    lines.print_waiting()
    assert len(printed) in (11, 12)
    assert printed[-1].startswith("training: 30.0/30 s  epoch 300")


@pytest.mark.parametrize("columns", [20, 40, 60, 80, 100, 200])
@pytest.mark.parametrize(("label", "measured"), [("training", "test"), ("training", "validation")])
def test_a_live_line_shows_whole_numbers_at_any_width(columns, label, measured):
    widths = {**progress._FIELDS, "done": 7, "measured": len(measured) + 6}
    fields, bar = progress._fitting(columns - len(label), widths)
    taken = len(label) + sum(widths[field] + 1 for field in fields) + (bar + 1 if bar else 0)
    assert taken <= columns
    if columns >= 60:
        assert {"done", "loss", "measured"} <= fields
    if columns >= 100:
        assert fields == set(widths)


def test_the_line_that_is_drawn_at_60_columns_is_not_cut(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with progress.epochs_shown("training", 12, quiet=False) as on_epoch:
        for epoch in range(1, 13):
            on_epoch(record(epoch))
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", capsys.readouterr().err)
    assert "12/12 loss 0.5000 accuracy 0.750 test 0.250" in shown
    assert "…" not in shown
