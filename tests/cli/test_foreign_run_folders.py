"""A run folder may come from anybody: no command writes, or removes, anything outside it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from cnn_core.cli import main, run_report
from cnn_core.cli.resume import CHECKPOINT, TRAINING
from cnn_core.cli.run_folder import FILES
from cnn_core.files import _mark
from command_line import refused, succeed

pytestmark = pytest.mark.skipif(os.name != "posix", reason="symbolic links")

QUICK = ("--backend", "numpy", "--epochs", 2, "--quiet", "--hidden", 3, "--checkpoint-every", 1)
# Without pictures, which take most of the time.
PLAIN = ("--quiet", "--no-plots")
RESULTS = (CHECKPOINT, TRAINING, *FILES)


@pytest.fixture(scope="module")
def unfinished_run(tmp_path_factory):
    """An unfinished training of two epochs, and the data that it needs."""
    folder = tmp_path_factory.mktemp("unfinished")
    rng = np.random.default_rng(0)
    np.savez(folder / "own.npz", X=rng.normal(size=(60, 4)), y=np.arange(60) % 2)
    with pytest.MonkeyPatch.context() as patch:

        def fail(*_, **__):
            raise OSError(28, "No space left on device")

        patch.setattr(run_report, "write", fail)
        arguments = ("--data", folder / "own.npz", *QUICK, "--out", folder / "run")
        assert main(["train", *map(str, arguments)]) == 2
    assert sorted(os.listdir(folder / "run.unfinished")) == sorted([CHECKPOINT, TRAINING])
    return folder / "run.unfinished"


@pytest.fixture
def place(unfinished_run, tmp_path):
    """A copy of it, to be changed, beside a folder that nothing may be changed in."""
    shutil.copytree(unfinished_run, tmp_path / "given" / "run.unfinished")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_bytes(b"precious")
    shutil.copy(unfinished_run / TRAINING, outside)
    shutil.copy(unfinished_run / CHECKPOINT, outside)
    return tmp_path


def contents(folder):
    return {
        path.relative_to(folder): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


def test_it_resumes_from_a_copied_folder(place):
    succeed("train", "--resume", place / "given" / "run", "--quiet")
    assert set(os.listdir(place / "given" / "run")) == set(FILES) - {"gallery.png", "filters.png"}


@pytest.mark.parametrize("name", RESULTS)
@pytest.mark.parametrize("target", ["new", "precious", "loop", "."])
def test_a_link_in_it_is_not_written_through(place, capsys, name, target):
    folder = place / "given" / "run.unfinished"
    before = contents(place / "outside")
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(name if target == "loop" else place / "outside" / target)
    if name == TRAINING and target != ".":
        # A link to a real record is none of ours either.
        (folder / name).unlink()
        (folder / name).symlink_to(place / "outside" / TRAINING)
    error = refused(capsys, "train", "--resume", place / "given" / "run")
    assert "a symbolic link" in error or "found neither" in error or TRAINING in error
    assert contents(place / "outside") == before
    assert (folder / name).is_symlink()


@pytest.mark.parametrize("name", RESULTS)
def test_a_folder_or_a_pipe_in_the_place_of_a_file_is_refused_before_training(place, capsys, name):
    folder = place / "given" / "run.unfinished"
    for make in (os.mkdir, os.mkfifo):
        (folder / name).unlink(missing_ok=True)
        make(folder / name)
        error = refused(capsys, "train", "--resume", place / "given" / "run")
        assert name in error
        (folder / name).rmdir() if make is os.mkdir else (folder / name).unlink()


def test_links_of_other_names_are_left_alone_and_not_followed(place):
    folder = place / "given" / "run.unfinished"
    before = contents(place / "outside")
    temporary = folder / f".{_mark(folder / CHECKPOINT)}-{'0' * 16}.tmp"
    for link in (folder / "notes.txt", folder / "other.png", temporary):
        link.symlink_to(place / "outside" / "precious")
    (folder / "my notes").write_text("mine")
    succeed("train", "--resume", place / "given" / "run", *PLAIN)
    assert contents(place / "outside") == before
    assert (place / "given" / "run" / "my notes").read_text() == "mine"
    assert (place / "given" / "run" / "notes.txt").is_symlink()


def test_an_unfinished_folder_that_is_a_link_is_refused(place, capsys):
    before = contents(place / "outside")
    shutil.rmtree(place / "given" / "run.unfinished")
    (place / "given" / "run.unfinished").symlink_to(place / "outside")
    assert "symbolic link" in refused(capsys, "train", "--resume", place / "given" / "run")
    assert contents(place / "outside") == before


@pytest.mark.parametrize("target", ["outside/new", "outside", "empty"])
def test_a_link_in_the_place_of_the_final_folder_is_left_alone(place, target):
    (place / "empty").mkdir()
    before = contents(place / "outside")
    (place / "given" / "run").symlink_to(place / target)
    # The name without the link is taken: the folder gets a number.
    succeed("train", "--resume", place / "given" / "run.unfinished", *PLAIN)
    assert contents(place / "outside") == before
    assert os.listdir(place / "empty") == []
    assert (place / "given" / "run").is_symlink()
    assert (place / "given" / "run-2" / "model.safetensors").is_file()


def test_a_complete_run_whose_files_are_links_is_used_without_changing_them(place):
    succeed("train", "--resume", place / "given" / "run", *PLAIN)
    run, real = place / "given" / "run", place / "real"
    real.mkdir()
    for name in os.listdir(run):
        shutil.move(run / name, real / name)
        (run / name).symlink_to(real / name)
    before = contents(place)
    assert "accuracy" in succeed("evaluate", run, "--backend", "numpy")
    assert "nothing to go on with" in succeed("train", "--resume", run)
    assert contents(place) == before


def test_every_file_of_a_run_is_named(digits_run):
    # Filters are those of convolutions.
    assert set(os.listdir(digits_run)) == set(FILES) - {"filters.png"}


@pytest.mark.parametrize("kind", ["a pipe", "a folder", "a device"])
def test_data_that_are_no_file_are_refused_and_not_waited_for(place, capsys, kind):
    record = place / "given" / "run.unfinished" / TRAINING
    data = Path(json.loads(record.read_text())["data"]["asked_for"]["data"])
    other = place / "given" / "own.npz"
    if kind == "a pipe":
        os.mkfifo(other)
    elif kind == "a folder":
        other.mkdir()
    else:
        other.symlink_to(os.devnull)
    record.write_text(record.read_text().replace(str(data), str(other)))
    error = refused(capsys, "train", "--resume", place / "given" / "run")
    assert f"{other}: expected a regular file" in error
