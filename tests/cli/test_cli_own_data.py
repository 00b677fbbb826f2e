"""A user's own files are learned, evaluated and predicted as they were meant."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import struct

import numpy as np
import pytest

import cnn_core
from cnn_core.cli import main
from cnn_core.data import load_digits
from cnn_core.model_file import read_tensors, write_tensors
from command_line import accuracy_in, record_of, refused, rows_of, succeed


def predicted(text):
    return list(csv.DictReader(io.StringIO(text)))


class TestOwnData:
    def test_a_table_is_standardised_by_its_training_part_alone(self, flowers, tmp_path):
        folder = tmp_path / "run"
        arguments = ("--data", flowers, "--target", "kind", "--model", "mlp", "--out", folder)
        printed = succeed("train", *arguments)
        record = record_of(folder)
        assert record["class_names"] == ["lily", "rose", "tulip"]
        assert record["data"]["feature_names"] == ["length", "weight"]
        assert (record["data"]["training_samples"], record["data"]["test_samples"]) == (48, 12)
        assert record["result"]["test_accuracy"] > 0.9
        assert record["data"]["sha256"] == {
            "flowers.csv": hashlib.sha256(flowers.read_bytes()).hexdigest()
        }
        table = [(float(row["length"]), float(row["weight"])) for row in rows_of(flowers)]
        offset, scale = (np.array(record["preprocessing"][key]) for key in ("offset", "scale"))
        assert offset == pytest.approx(np.mean(table, axis=0), rel=0.2)
        assert (offset != np.mean(table, axis=0)).all(), "the test part must not be in the mean"
        assert scale == pytest.approx(np.std(table, axis=0), rel=0.3)
        assert not (folder / "gallery.png").exists()
        assert "no gallery" in printed

    def test_evaluate_measures_the_samples_that_were_held_out(self, flowers, tmp_path):
        folder = tmp_path / "run"
        arguments = ("--data", flowers, "--target", "kind", "--out", folder, "--epochs", 3)
        succeed("train", *arguments, "--quiet", "--no-plots")
        printed = succeed("evaluate", folder)
        assert "12 samples" in printed
        assert "held out in training" in printed
        assert accuracy_in(printed) == pytest.approx(
            record_of(folder)["result"]["test_accuracy"], abs=5e-5
        )

    def test_a_terminal_is_shown_names_that_it_does_not_obey_and_a_file_gets_them_as_they_are(
        self, tmp_path, monkeypatch
    ):
        class Terminal(io.StringIO):
            def isatty(self):
                return True

        table, folder = tmp_path / "table.csv", tmp_path / "run"
        names = ("\x1b[31mred", "caf\u00e9\u00a0noir\x07")
        table.write_text(
            "a,b,kind\n" + "".join(f"{n % 2},{n},{names[n % 2]}\n" for n in range(40)),
            encoding="utf-8",
        )
        train = ("train", "--data", table, "--target", "kind", "--epochs", 1, "--no-plots")
        for command in (
            (*train, "--out", folder),
            ("data", table, "--target", "kind"),
            ("evaluate", folder),
            ("predict", folder, table),
        ):
            out, err = Terminal(), Terminal()
            monkeypatch.setattr("sys.stdout", out)
            monkeypatch.setattr("sys.stderr", err)
            assert main([str(word) for word in command]) == 0
            assert r"\x1b[31mred" in out.getvalue()
            assert "\x1b" not in out.getvalue()
            assert "caf\u00e9\u00a0noir\\x07" in out.getvalue()
            assert "\x07" not in out.getvalue() + err.getvalue()
        assert f",{names[0]}," in succeed("predict", folder, table)
        assert record_of(folder)["class_names"] == list(names)

    def test_evaluate_measures_all_of_another_file(self, flowers, tmp_path, capsys):
        folder = tmp_path / "run"
        succeed(
            *("train", "--data", flowers, "--target", "kind", "--model", "mlp", "--out", folder),
            *("--quiet", "--no-plots"),
        )
        other = tmp_path / "other.csv"
        other.write_text("weight,length,kind\n0.0,1000,lily\n0.02,1020,tulip\n")
        assert "2 samples: all samples of" in succeed("evaluate", folder, "--data", other)
        assert "is not, or no longer, the file that was trained on" in capsys.readouterr().err
        other.write_text("weight,length,kind\n0.0,1000,oak\n0.02,1020,lily\n")
        error = refused(capsys, "evaluate", folder, "--data", other)
        assert "expected the classes that the run knows" in error
        assert "'oak'" in error

    def test_a_file_that_has_changed_is_only_measured_if_it_is_named(
        self, flowers, tmp_path, capsys
    ):
        folder = tmp_path / "run"
        succeed(
            *("train", "--data", flowers, "--target", "kind", "--model", "mlp", "--out", folder),
            *("--quiet", "--no-plots"),
        )
        with open(flowers, "a", encoding="utf-8") as stream:
            stream.write("1000,lily,0\n")
        error = refused(capsys, "evaluate", folder)
        assert "flowers.csv has changed since the training" in error
        assert "to measure on all of it, pass --data" in error
        assert "61 samples: all samples of" in succeed("evaluate", folder, "--data", flowers)
        assert "also those that may have been trained on" in capsys.readouterr().err

    def test_a_table_is_read_as_in_training_if_nothing_else_is_said(self, tmp_path, capsys):
        rows = [f"{k % 2 + 0.01 * k},{-(k % 2)},{'ab'[k % 2]}\n" for k in range(20)]
        table = tmp_path / "table.csv"
        table.write_text("".join(rows))
        folder = tmp_path / "run"
        arguments = (
            "--data",
            table,
            "--no-header",
            "--model",
            "mlp",
            "--out",
            folder,
            "--quiet",
            "--no-plots",
        )
        succeed("train", *arguments)
        other = tmp_path / "other.csv"
        other.write_text("".join(rows[:6]))
        assert "6 samples: all samples of" in succeed("evaluate", folder, "--data", other)
        other.write_text("0,1\n1,0\n")
        assert succeed("predict", folder, other).count("\n") == 3
        capsys.readouterr()
        assert succeed("predict", folder, table).count("\n") == len(rows) + 1
        assert "the last column of" in capsys.readouterr().err
        other.write_text("0,1,2,3\n")
        error = refused(capsys, "predict", folder, other)
        assert "the 2 features that the run knows, found 4 columns" in error

    def test_predict_finds_columns_by_name_and_leaves_the_target_out(
        self, flowers, tmp_path, capsys
    ):
        folder = tmp_path / "run"
        succeed(
            *("train", "--data", flowers, "--target", "kind", "--model", "mlp", "--out", folder),
            *("--quiet", "--no-plots"),
        )
        new = tmp_path / "new.csv"
        new.write_text("weight,kind,length\n0.0,?,1000\n0.01,?,1010\n0.02,?,1020\n")
        expected = ["lily", "rose", "tulip"]
        found = predicted(succeed("predict", folder, new))
        assert [row["predicted"] for row in found] == expected
        assert list(found[0])[:4] == ["weight", "kind", "length", "predicted"]
        assert found[0]["kind"] == "?"
        new.write_text("weight,length\n0.0,1000\n0.01,1010\n0.02,1020\n")
        again = predicted(succeed("predict", folder, new))
        assert [row["probability of rose"] for row in again] == [
            row["probability of rose"] for row in found
        ]
        new.write_text("weight,height\n0.0,1000\n")
        error = refused(capsys, "predict", folder, new)
        assert "expected the column 'length', on which the run was trained" in error

    def test_predict_writes_a_file_as_a_whole_and_not_over_its_input(
        self, digits_run, tmp_path, capsys
    ):
        samples = tmp_path / "samples.npy"
        np.save(samples, load_digits().x_test)
        out = tmp_path / "predictions.csv"
        assert succeed("predict", digits_run, samples, "--out", out, "--outputs") == ""
        rows = rows_of(out)
        net = cnn_core.load(digits_run / "model.safetensors")
        outputs = net.predict_proba(load_digits().x_test.reshape(-1, 64))
        names = [str(digit) for digit in range(10)]
        found = np.array([[float(row[name]) for name in names] for row in rows])
        np.testing.assert_allclose(found, outputs, rtol=1e-5)
        assert [row["class"] for row in rows] == [str(k) for k in outputs.argmax(axis=1)]
        before = samples.read_bytes()
        error = refused(capsys, "predict", digits_run, samples, "--out", samples)
        assert "is the file to be predicted" in error
        assert samples.read_bytes() == before
        assert sorted(path.name for path in tmp_path.iterdir()) == [
            "predictions.csv",
            "samples.npy",
        ]

    def test_an_archive_brings_its_own_test_part_and_bytes_are_divided_by_the_largest(
        self, tmp_path
    ):
        data = load_digits()
        path = tmp_path / "digits.npz"
        parts = ("x_train", "y_train", "x_test", "y_test")
        np.savez(path, **{part: getattr(data, part) for part in parts})
        folder = tmp_path / "run"
        succeed("train", "--data", path, "--epochs", 3, "--out", folder, "--quiet")
        record = record_of(folder)
        assert record["data"]["test_samples"] == len(data.x_test)
        assert record["preprocessing"]["scale"] == 16.0
        assert record["data"]["image_shape"] == [8, 8]
        assert (folder / "gallery.png").exists()
        # The same images, in the same order, as the data set that is known by name.
        named = tmp_path / "named"
        succeed("train", "--data", "digits", "--epochs", 3, "--out", named, "--quiet", "--no-plots")
        results = [record_of(run)["result"]["weights_sha256"] for run in (folder, named)]
        assert results[0] == results[1]

    def test_bytes_are_scaled_by_the_network_and_other_numbers_before_it(self, tmp_path):
        data = load_digits()
        for name, values in (("bytes", data.x_train), ("shorts", data.x_train.astype(np.int16))):
            np.save(tmp_path / "x.npy", values)
            np.save(tmp_path / "y.npy", data.y_train)
            folder = tmp_path / name
            arguments = ("--data", tmp_path / "x.npy", "--labels", tmp_path / "y.npy")
            succeed("train", *arguments, "--epochs", 40, "--out", folder, "--quiet", "--no-plots")
        folders = [tmp_path / name for name in ("bytes", "shorts")]
        records = [record_of(folder) for folder in folders]
        nets = [
            cnn_core.load(tmp_path / name / "model.safetensors") for name in ("bytes", "shorts")
        ]
        assert [record["preprocessing"]["in_network"] for record in records] == [True, False]
        assert [record["preprocessing"]["scale"] for record in records] == [16.0, 16.0]
        assert [net.model_.network.input_scale for net in nets] == [1 / 16, 1.0]
        # A sixteenth is exact, so that the two ways compute the same.
        hashes = {record["result"]["weights_sha256"] for record in records}
        assert len(hashes) == 1

    def test_a_pair_of_arrays_with_other_numbers_as_classes(self, tmp_path):
        data = load_digits()
        np.save(tmp_path / "x.npy", data.x_train.reshape(-1, 64) / 16)
        np.save(tmp_path / "y.npy", 10 * data.y_train.astype(int) - 30)
        folder = tmp_path / "run"
        arguments = ("--data", tmp_path / "x.npy", "--labels", tmp_path / "y.npy")
        succeed("train", *arguments, "--epochs", 40, "--out", folder, "--quiet", "--no-plots")
        record = record_of(folder)
        assert record["class_names"] == [str(number) for number in range(-30, 70, 10)]
        assert record["preprocessing"]["description"] == "standardised feature by feature"
        assert record["result"]["test_accuracy"] > 0.9

    def test_values_of_another_kind_are_scaled_alike_but_not_silently(
        self, digits_run, tmp_path, capsys
    ):
        np.save(tmp_path / "scaled.npy", load_digits().x_test / 16)
        succeed("predict", digits_run, tmp_path / "scaled.npy")
        assert "trained on uint8 values, divided by 16" in capsys.readouterr().err

    def test_a_run_from_before_networks_scaled_is_used_as_it_was_meant(
        self, nn_run, tmp_path, capsys
    ):
        record = {**record_of(nn_run), "format_version": 1}
        del record["preprocessing"]["in_network"]
        (tmp_path / "run.json").write_text(json.dumps(record))
        model = (nn_run / "model.safetensors").read_bytes()
        (tmp_path / "model.safetensors").write_bytes(model)
        assert "do not belong together" in refused(capsys, "evaluate", tmp_path)
        tensors, metadata = read_tensors(tmp_path / "model.safetensors")
        settings = json.loads(metadata["network"])
        del settings["input_scale"]
        metadata = {"network": json.dumps(settings)}
        write_tensors(tmp_path / "model.safetensors", tensors, metadata)
        printed = succeed("evaluate", tmp_path)
        assert accuracy_in(printed) == accuracy_in(succeed("evaluate", nn_run))
        np.save(tmp_path / "x.npy", load_digits().x_test)
        expected = succeed("predict", nn_run, tmp_path / "x.npy", "--outputs")
        assert succeed("predict", tmp_path, tmp_path / "x.npy", "--outputs") == expected

    def test_two_classes_have_two_probabilities(self, tmp_path):
        table = tmp_path / "table.csv"
        rows = [f"{k % 2 + 0.01 * k},{-(k % 2)},{('no', 'yes')[k % 2]}\n" for k in range(40)]
        table.write_text("".join(rows))
        folder = tmp_path / "run"
        arguments = (
            "--data",
            table,
            "--no-header",
            "--model",
            "mlp",
            "--out",
            folder,
            "--no-plots",
        )
        succeed("train", *arguments, "--quiet", "--no-plots")
        assert accuracy_in(succeed("evaluate", folder)) == 1
        assert record_of(folder)["result"]["test_loss"] < 0.1
        samples = tmp_path / "new.csv"
        samples.write_text("0.1,0\n1.1,-1\n")
        succeed("predict", folder, samples, "--outputs", "--out", tmp_path / "predictions.csv")
        found = rows_of(tmp_path / "predictions.csv")
        assert [row["predicted"] for row in found] == ["no", "yes"]
        for row in found:
            shares = [float(row[f"probability of {name}"]) for name in ("no", "yes")]
            assert sum(shares) == pytest.approx(1, abs=1e-5)
            assert max(shares) > 0.9

    def test_a_column_and_rows_of_one_1_are_the_classes_that_they_stand_for(self, tmp_path, capsys):
        x = np.random.RandomState(0).normal(size=(30, 4))
        classes = np.arange(30) % 3
        common = ("--epochs", 2, "--no-plots", "--quiet", "--seed", 1)
        losses = set()
        for number, y in enumerate((classes, classes[:, None], cnn_core.one_hot(classes))):
            file, folder = tmp_path / f"{number}.npz", tmp_path / f"{number}"
            np.savez(file, X=x, y=y)
            succeed("train", "--data", file, "--out", folder, *common)
            losses.add(record_of(folder)["result"]["test_loss"])
        assert len(losses) == 1
        np.savez(tmp_path / "several.npz", X=x, y=np.ones((30, 3)))
        error = refused(capsys, "train", "--data", tmp_path / "several.npz")
        assert "expected one class per sample" in error
        assert "found targets of shape (30, 3)" in error

    def test_predict_reads_an_idx_file_of_images(self, digits_run, tmp_path, capsys):
        images = load_digits().x_test[:5].reshape(5, 8, 8).astype(np.uint8)
        file = tmp_path / "images-idx3-ubyte"
        file.write_bytes(struct.pack(">4B3I", 0, 0, 8, 3, *images.shape) + images.tobytes())
        np.save(tmp_path / "images.npy", images)
        printed = succeed("predict", digits_run, file)
        assert printed == succeed("predict", digits_run, tmp_path / "images.npy")
        assert len(printed.splitlines()) == 6
        assert "--header and --no-header belong to a table" in refused(
            capsys, "predict", digits_run, file, "--header"
        )
        file.write_bytes(struct.pack(">4BI", 0, 0, 8, 1, 5) + bytes(5))
        assert "found shape (5,)" in refused(capsys, "predict", digits_run, file)

    def test_a_class_that_is_only_in_the_test_part_is_refused(self, tmp_path, capsys):
        y_train, y_test = np.arange(20) % 2, np.array([0, 1, 2])
        x = np.random.RandomState(0).normal(size=(20, 3))
        parts = {"x_train": x, "y_train": y_train, "x_test": x[:3], "y_test": y_test}
        np.savez(tmp_path / "data.npz", **parts)
        error = refused(capsys, "train", "--data", tmp_path / "data.npz", "--out", tmp_path / "r")
        assert "expected training samples of each class, found none of '2'" in error

    def test_the_run_is_found_from_another_folder(self, flowers, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        succeed(
            "train",
            "--data",
            "flowers.csv",
            "--target",
            "kind",
            "--model",
            "mlp",
            "--out",
            "run",
            "--quiet",
            "--no-plots",
        )
        monkeypatch.chdir("/")
        assert "held out in training" in succeed("evaluate", tmp_path / "run")
