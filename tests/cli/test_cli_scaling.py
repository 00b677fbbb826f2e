"""Features are scaled by what they are, and no finite value breaks a training."""

from __future__ import annotations

import json

import numpy as np
import pytest

from cnn_core.cli import main
from cnn_core.cli.scaling import Scaling
from cnn_core.data import DataError
from cnn_core.io.fields import Fields
from command_line import record_of, refused, succeed

QUIET = ("--quiet", "--no-plots", "--model", "mlp")


def table(path, rows):
    path.write_text("a,b,kind\n" + "".join(f"{a!r},{b!r},{kind}\n" for a, b, kind in rows))
    return path


def rows_of_two_classes(count=60, factor=1.0, offset=0.0):
    noise = np.random.RandomState(0).normal(size=(count, 2))
    return [
        (float(factor * (n % 2 + 0.1 * x) + offset), float(factor * y), "ab"[n % 2])
        for n, (x, y) in enumerate(noise)
    ]


@pytest.mark.parametrize(
    "factor",
    [1e-300, *(pytest.param(f, marks=pytest.mark.slow) for f in (1e-5, 1e200)), 1.0, 1.7e307],
)
def test_a_table_is_learned_in_any_unit(tmp_path, factor):
    data = table(tmp_path / "table.csv", rows_of_two_classes(factor=factor))
    folder = tmp_path / "run"
    succeed("train", "--data", data, "--out", folder, *QUIET)
    record = record_of(folder)
    assert record["result"]["test_accuracy"] > 0.9
    assert record["preprocessing"]["description"] == "standardised feature by feature"
    succeed("evaluate", folder)
    assert succeed("predict", folder, data).count("\n") == 61
    assert succeed("verify", folder, "--quiet").startswith("the same")


def test_a_table_within_0_and_1_is_standardised_whatever_file_it_is_in(tmp_path):
    x = np.random.RandomState(0).uniform(0, 9e-5, size=(60, 2))
    y = (x[:, 0] > 4.5e-5).astype(int)
    np.savez(tmp_path / "table.npz", X=x.astype(np.float32), y=y)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    for number, data in enumerate(
        (
            ("--data", tmp_path / "table.npz"),
            ("--data", tmp_path / "x.npy", "--labels", tmp_path / "y.npy"),
        )
    ):
        folder = tmp_path / f"run{number}"
        succeed("train", *data, "--out", folder, *QUIET)
        assert record_of(folder)["result"]["test_accuracy"] > 0.8


@pytest.mark.parametrize(
    ("x", "scale"),
    [
        (np.arange(12, dtype=np.uint8).reshape(3, 4), 11.0),
        (np.zeros((3, 4), np.uint8), 1.0),
        (np.arange(24, dtype=np.int16).reshape(3, 2, 4), 23.0),
        (np.linspace(0, 1, 24).reshape(3, 2, 4), 1.0),
        (np.linspace(0, 2**-14, 24).reshape(3, 2, 4), 2**-14),
        (np.linspace(-2, 1, 24).reshape(3, 2, 4), 2.0),
        (np.linspace(-1e200, 1e200, 24).reshape(3, 2, 4), 1e200),
    ],
)
def test_pixels_are_divided_by_their_largest_magnitude(x, scale):
    scaling = Scaling.fixed_on(x)
    assert (float(scaling.offset), float(scaling.scale)) == (0.0, scale)
    assert scaling.in_network == (x.dtype == np.uint8)
    scaled = scaling.apply(x, np.float32)
    if not scaling.in_network:
        np.testing.assert_array_equal(scaled, (x / scale).reshape(3, -1).astype(np.float32))


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.int64, np.uint64, bool])
def test_columns_of_every_type_are_standardised(dtype):
    x = (np.random.RandomState(0).uniform(0, 5, size=(50, 3)) // 1).astype(dtype)
    scaled = Scaling.fixed_on(x).apply(x, np.float64)
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(scaled.std(axis=0), 1, rtol=1e-12)


def test_opposite_values_at_the_end_of_the_range_are_scaled_without_overflow():
    largest = np.finfo(np.float64).max
    x = np.array([[largest, -largest, 0.0, largest / 2]]).T
    scaled = Scaling.fixed_on(x).apply(x, np.float32)
    assert np.abs(scaled).max() < 2
    scaling = Scaling.fixed_on(x)
    scaling.require_near(x, None, "here")


def test_a_value_far_beyond_all_training_samples_is_refused_with_its_place(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    rows = rows_of_two_classes()
    data = table(tmp_path / "table.csv", rows)
    succeed("train", "--data", data, "--out", "run", *QUIET)
    far = table(tmp_path / "far.csv", [*rows[:5], (1e200, 0.0, "a"), *rows[:2]])
    place = "far.csv: expected numbers less than 1e+18 times as far away as those of training, "
    place += "found 1e+200 in column 'a' of sample 5, counted from 0"
    for command in (("predict", "run", far), ("evaluate", "run", "--data", far)):
        assert main([str(word) for word in command]) == 2
        assert place in capsys.readouterr().err
    # In the test part of a training it is found before anything begins.
    x = np.array([row[:2] for row in rows])
    y = np.arange(len(rows)) % 2
    test = x[:4].copy()
    test[3, 1] = -1.7e308
    np.savez("far.npz", x_train=x, y_train=y, x_test=test, y_test=y[:4])
    error = refused(capsys, "train", "--data", "far.npz", "--out", "other")
    assert "found -1.7e+308 in feature 1 of sample 3" in error
    assert not (tmp_path / "other").exists()
    assert not (tmp_path / "other.unfinished").exists()


def test_a_huge_value_among_the_training_samples_ends_in_a_run_folder(tmp_path):
    rows = rows_of_two_classes()
    # Whichever part the samples come into, one of each class is in the training part.
    for number in range(10):
        rows[number] = (1e200, rows[number][1], rows[number][2])
    data = table(tmp_path / "table.csv", rows)
    succeed("train", "--data", data, "--out", tmp_path / "run", *QUIET)
    assert record_of(tmp_path / "run")["result"]["test_loss"] < 10


def test_a_run_whose_features_were_left_as_they_are_is_used_as_it_was_meant(tmp_path):
    rows = [(abs(a) / 2 % 1, abs(b) % 1, kind) for a, b, kind in rows_of_two_classes()]
    data, folder = table(tmp_path / "table.csv", rows), tmp_path / "run"
    succeed("train", "--data", data, "--out", folder, *QUIET, "--epochs", 2)
    path = folder / "run.json"
    record = record_of(folder)
    before = succeed("predict", folder, data, "--outputs")
    # What versions before this one recorded of values within 0 and 1.
    record["preprocessing"] |= {"description": "as they are", "offset": 0.0, "scale": 1.0}
    path.write_text(json.dumps(record))
    after = succeed("predict", folder, data, "--outputs")
    assert after != before
    again = Scaling.from_json(Fields(record["preprocessing"]))
    x = np.array([row[:2] for row in rows])
    np.testing.assert_array_equal(again.apply(x, np.float32), x.astype(np.float32))
    # Training again takes the recorded scaling, so that other weights are no surprise.
    assert main(["verify", str(folder), "--quiet"]) == 1


def test_a_training_resumes_with_the_scaling_that_it_was_begun_with(tmp_path, capsys, monkeypatch):
    data, folder = table(tmp_path / "table.csv", rows_of_two_classes()), tmp_path / "run"
    command = ("train", "--data", data, "--out", folder, *QUIET, "--epochs", 3)
    with monkeypatch.context() as patched:

        def full(*_, **__):
            raise OSError("no room")

        patched.setattr("cnn_core.cli.run_report.write", full)
        assert main([str(word) for word in (*command, "--checkpoint-every", 1)]) == 2
    path = tmp_path / "run.unfinished" / "training.json"
    record = json.loads(path.read_text())
    recorded = record.pop("preprocessing")
    # A checkpoint belongs to samples as they were scaled.
    record["preprocessing"] = {**recorded, "offset": 0, "scale": 2.0}
    path.write_text(json.dumps(record))
    assert "one of another: x:" in refused(capsys, "train", "--resume", folder)
    (path.parent / "checkpoint.safetensors").unlink()
    succeed("train", "--resume", folder, "--quiet")
    assert record_of(folder)["preprocessing"]["scale"] == 2.0


def test_features_without_a_name_are_named_by_their_number():
    with pytest.raises(DataError, match="in feature 1 of sample 0, counted from 0"):
        Scaling.fixed_on(np.eye(3)).require_near(np.array([[0, 1e30, 0]]), None, "here")
