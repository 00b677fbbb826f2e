"""Each field of the records of a run, with a value of each other kind, is refused by its name.

A field that no command looks at may hold anything. No command shows a traceback.
"""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

import json_fields
from cnn_core.cli import main, run_report
from cnn_core.cli.resume import TRAINING
from cnn_core.cli.run_folder import RECORD
from command_line import succeed
from json_fields import MISSING, change, places_in

VALUES = {
    **json_fields.VALUES,
    "infinity": float("inf"),
    "empty text": "",
    "a list of texts": ["a", "a"],
    "an object of objects": {"a": {"b": [1]}},
}
# The kind of each field that a command goes by; others are for people.
FIELDS = {
    RECORD: {
        "format": str,
        "format_version": int,
        "interrupted": bool,
        "data": dict,
        "data.asked_for": dict,
        "data.asked_for.data": str,
        "data.asked_for.labels": (str, None),
        "data.asked_for.target": (str, None),
        "data.asked_for.header": (bool, None),
        "data.asked_for.folder": (str, None),
        "data.sha256": dict,
        "data.sha256.x_test": str,
        "data.features": int,
        "data.feature_names": (list, None),
        "class_names": list,
        "class_names.0": str,
        "preprocessing": dict,
        "preprocessing.description": str,
        "preprocessing.offset": float,
        "preprocessing.scale": float,
        "preprocessing.dtype": str,
        "preprocessing.in_network": bool,
        "settings": dict,
        "result": dict,
        "result.test_accuracy": float,
        "result.weights_sha256": str,
        "backend": dict,
        "backend.backend": str,
        "backend.isa": (str, None),
        "backend.threads": (int, None),
        "backend.compiler": (str, None),
        "backend.versions": dict,
        "backend.versions.numpy": (str, None),
        "date": str,
        "command": list,
        "command.0": str,
    },
    TRAINING: {
        "format": str,
        "format_version": int,
        "command": list,
        "command.1": str,
        "data": dict,
        "data.asked_for": dict,
        "data.asked_for.data": str,
        "data.asked_for.labels": (str, None),
        "data.asked_for.header": (bool, None),
        "data.sha256": dict,
        "data.sha256.own.npz": str,
        "settings": dict,
        "backend": str,
        "asked_for_folder": bool,
    },
}
# What only some commands look at; they are refused there.
OF_VERIFY = ("settings", "backend", "date", "command", "result.weights_sha256", "interrupted")


def place_of(name, tree):
    """Return the place that a name of `FIELDS` stands for."""
    for place in places_in(tree):
        if ".".join(map(str, place)) == name:
            return place
    raise AssertionError(f"no {name}")


def is_of(kinds, value):
    """Tell whether a value is of the kind that a field has."""
    if value is MISSING:
        return False
    kinds = kinds if isinstance(kinds, tuple) else (kinds,)
    if value is None:
        return None in kinds
    if isinstance(value, bool):
        return bool in kinds
    if isinstance(value, int):
        return int in kinds or float in kinds
    return type(value) in kinds


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A complete run, an unfinished one, and the file that both were trained on."""
    folder = tmp_path_factory.mktemp("runs")
    rng = np.random.default_rng(0)
    np.savez(folder / "own.npz", X=rng.normal(size=(60, 4)), y=np.arange(60) % 2)
    np.save(folder / "own.npy", rng.normal(size=(3, 4)))
    quick = ("--backend", "numpy", "--epochs", 2, "--quiet", "--hidden", 3, "--no-plots")
    quick = ("train", "--data", folder / "own.npz", *quick)
    succeed(*quick, "--out", folder / "run")
    digits = ("--backend", "numpy", "--epochs", 1, "--quiet", "--hidden", 2, "--no-plots")
    succeed("train", "--data", "digits", *digits, "--out", folder / "digits")
    with pytest.MonkeyPatch.context() as patch:

        def fail(*_, **__):
            raise OSError(28, "No space left on device")

        patch.setattr(run_report, "write", fail)
        arguments = (*quick, "--checkpoint-every", 1, "--out", folder / "left")
        assert main([*map(str, arguments)]) == 2
    return folder


@pytest.fixture
def folder(folders, tmp_path):
    """A copy of all of it."""
    return shutil.copytree(folders, tmp_path / "runs")


def answer(capsys, *arguments):
    """Carry a command out; return its exit code and its last line, after seeing to its manners."""
    capsys.readouterr()
    code = main([str(argument) for argument in arguments])
    error = capsys.readouterr().err
    assert "Traceback" not in error
    if code == 2:
        last = error.splitlines()[-1]
        assert last.startswith("cnn-core: error: ")
        assert len(last) < 3000
        return code, last
    return code, ""


def commands_of(record, folder):
    if record == TRAINING:
        return [("train", "--resume", folder / "left")]
    return [
        ("predict", folder / "run", folder / "own.npy", "--backend", "numpy"),
        ("evaluate", folder / "run", "--backend", "numpy"),
        ("verify", folder / "run", "--quiet"),
    ]


def path_of(record, folder):
    return folder / ("left.unfinished" if record == TRAINING else "run") / record


def write(path, tree):
    path.write_text(json.dumps(tree), encoding="utf-8")


@pytest.mark.parametrize(("record", "name"), [(r, n) for r, names in FIELDS.items() for n in names])
def test_a_field_of_another_kind_is_refused(folder, capsys, record, name):
    path = path_of(record, folder)
    if ".x_test" in name:
        path = folder / "digits" / record
    tree = json.loads(path.read_text(encoding="utf-8"))
    command = commands_of(record, path.parent.parent)[0]
    if record == RECORD:
        command = ("verify" if name.startswith(OF_VERIFY) else "evaluate", path.parent)
    for value in VALUES.values():
        kinds = FIELDS[record][name]
        optional = name in ("interrupted", "preprocessing.in_network", "asked_for_folder")
        if is_of(kinds, value) or (value is MISSING and (optional or ".sha256." in name)):
            continue
        write(path, change(tree, place_of(name, tree), value))
        code, error = answer(capsys, *command)
        assert code == 2, (name, value)
        assert str(path.parent.name).removesuffix(".unfinished") in error, (name, value, error)


@pytest.mark.slow
@pytest.mark.parametrize("record", FIELDS)
@pytest.mark.parametrize("kind", VALUES)
def test_no_value_of_any_field_gives_a_traceback(folder, folders, capsys, record, kind):
    path = path_of(record, folder)
    tree = json.loads(path.read_text(encoding="utf-8"))
    for place in places_in(tree):
        if place[0] == "settings" and record == TRAINING and place != ("settings",):
            continue
        for number, command in enumerate(commands_of(record, folder)):
            if record == TRAINING:
                shutil.rmtree(folder)
                shutil.copytree(folders, folder)
            elif number == 2 and place[0] not in ("settings", "backend", "command"):
                continue
            write(path, change(tree, place, VALUES[kind]))
            assert answer(capsys, *command)[0] in (0, 1, 2)


@pytest.mark.parametrize(
    "contents",
    [b"", b"[]", b"null", b"7", b'"x"', b"\xff", b"{", b"[" * 100_000, b'{"format": NaN}'],
)
@pytest.mark.parametrize("record", FIELDS)
def test_a_record_that_is_no_object_is_refused(folder, capsys, record, contents):
    path = path_of(record, folder)
    path.write_bytes(contents)
    for command in commands_of(record, folder):
        code, error = answer(capsys, *command)
        assert code == 2
        assert str(path) in error


def test_a_table_of_losses_that_is_damaged_is_said_to_be(folder, capsys):
    """The losses are compared where the weights differ."""
    from cnn_core.cli.run_folder import HISTORY, read_losses

    path = folder / "run" / HISTORY
    assert len(read_losses(path)) == 2
    for contents in (
        b"",
        b"epoch\n1\n",
        b"loss\nx\n",
        b"epoch,loss\n1\n",
        b"\xff",
        b'loss\n"' + b"1" * 200_000,
        b",".join([b"loss", *[b"a"] * 100_000]) + b"\n" + b"\n" * 20_000,
    ):
        path.write_bytes(contents)
        with pytest.raises(ValueError, match="a number as the loss"):
            read_losses(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(ValueError, match="a regular file"):
        read_losses(path)
