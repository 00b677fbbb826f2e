"""``cnn-core train`` with all defaults learns Fashion-MNIST and leaves a complete run folder."""

from __future__ import annotations

import hashlib
import re
import struct

import numpy as np
import pytest
from matplotlib import image

import cnn_core
from cnn_core.data import fashion_mnist, load_fashion_mnist
from command_line import PICTURES, RUN_FILES, accuracy_in, record_of, rows_of, succeed


@pytest.fixture(scope="module")
def fashion_run(tmp_path_factory):
    """A run with all defaults, and what it printed."""
    folder = tmp_path_factory.mktemp("fashion") / "run"
    return folder, succeed("train", "--out", folder)


@pytest.mark.slow
class TestTrainOnFashionMnist:
    def test_the_defaults_reach_the_promised_accuracy_on_all_test_images(self, fashion_run):
        folder, _ = fashion_run
        data = load_fashion_mnist()
        net = cnn_core.load(folder / "model.safetensors")
        accuracy = np.mean(net.predict(data.x_test.reshape(10_000, 784)) == data.y_test)
        assert accuracy >= 0.88
        assert record_of(folder)["result"]["test_accuracy"] == accuracy
        assert [coefs.shape for coefs in net.coefs_] == [(784, 128), (128, 10)]

    def test_all_images_are_used(self, fashion_run):
        data = record_of(fashion_run[0])["data"]
        assert data["training_samples"] == 60_000
        assert data["test_samples"] == 10_000
        assert data["sha256"] == {file.stem: file.sha256 for file in fashion_mnist.FILES}

    def test_the_run_folder_is_complete_and_nothing_lies_beside_it(self, fashion_run):
        folder, _ = fashion_run
        assert {path.name for path in folder.iterdir()} == RUN_FILES
        assert list(folder.parent.iterdir()) == [folder]

    def test_the_pictures_are_1200_pixels_wide_and_not_empty(self, fashion_run):
        for name in PICTURES:
            pixels = image.imread(fashion_run[0] / name)
            assert pixels.shape[1] == 1200
            assert pixels[..., :3].std() > 0.05

    def test_the_report_puts_the_truth_first(self, fashion_run):
        folder, printed = fashion_run
        data = load_fashion_mnist()
        net = cnn_core.load(folder / "model.safetensors")
        predicted = net.predict(data.x_test.reshape(10_000, 784))
        shirt = data.class_names.index("Shirt")
        right = np.sum((predicted == shirt) & (data.y_test == shirt))
        precision, recall = right / np.sum(predicted == shirt), right / 1000
        assert abs(precision - recall) > 0.001, "the two must differ for this test to tell"
        report = (folder / "report.txt").read_text(encoding="utf-8")
        line = re.search(r"^ *Shirt +([\d.]+) +([\d.]+)", report, re.MULTILINE)
        assert float(line[1]) == pytest.approx(precision, abs=6e-5)
        assert float(line[2]) == pytest.approx(recall, abs=6e-5)
        assert line[0] in printed

    def test_the_history_has_a_row_for_each_epoch(self, fashion_run):
        folder, _ = fashion_run
        record = record_of(folder)
        rows = rows_of(folder / "history.csv")
        epochs = record["settings"]["epochs"]
        assert [int(row["epoch"]) for row in rows] == list(range(1, 1 + epochs))
        assert float(rows[-1]["test_accuracy"]) == record["result"]["test_accuracy"]
        assert float(rows[-1]["loss"]) < float(rows[0]["loss"])
        seconds = sum(float(row["seconds"]) for row in rows)
        assert record["result"]["training_seconds"] == pytest.approx(seconds)

    def test_the_record_says_what_computed_and_with_which_weights(self, fashion_run):
        folder, _ = fashion_run
        record = record_of(folder)
        assert record["backend"] == cnn_core.backend_info()
        assert record["cnn_core"] == cnn_core.__version__
        assert record["interrupted"] is False
        net = cnn_core.load(folder / "model.safetensors")
        weights = b"".join(
            np.asarray(array, "<f4").tobytes()
            for values in net.model_.predicting_layers
            for array in (values[0].T, values[1])
        )
        assert record["result"]["weights_sha256"] == hashlib.sha256(weights).hexdigest()

    def test_the_summary_names_accuracy_preset_network_seconds_backend_and_folder(
        self, fashion_run
    ):
        folder, printed = fashion_run
        summary = printed[printed.index("test accuracy") :]
        assert "784-128-10, relu (preset fast)" in summary
        assert re.search(r"[\d.]+ s for \d+ epochs", summary)
        assert f"{record_of(folder)['result']['test_accuracy']:.4f}" in summary
        assert cnn_core.backend_info()["isa"] in summary
        assert "samples/s" in summary
        assert f"{folder.name}\n" in summary

    def test_evaluate_finds_the_accuracy_of_the_training_again(self, fashion_run):
        printed = succeed("evaluate", fashion_run[0])
        assert accuracy_in(printed) == pytest.approx(
            record_of(fashion_run[0])["result"]["test_accuracy"], abs=5e-5
        )
        assert "Ankle boot" in printed
        assert "network   784-128-10, relu\n" in printed

    def test_predict_names_the_class_of_each_image_of_an_idx_file(self, fashion_run, tmp_path):
        folder, _ = fashion_run
        data = load_fashion_mnist()
        images = data.x_test[:7]
        file = tmp_path / "images-idx3-ubyte"
        file.write_bytes(struct.pack(">4B3I", 0, 0, 8, 3, *images.shape) + images.tobytes())
        printed = succeed("predict", folder, file)
        net = cnn_core.load(folder / "model.safetensors")
        classes = net.predict(images.reshape(7, 784))
        assert printed.splitlines() == [
            "sample,class",
            *(f"{i},{data.class_names[number]}" for i, number in enumerate(classes)),
        ]
