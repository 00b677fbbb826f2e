"""Networks for images on the command line: presets, layers of a file, and the run folder."""

from __future__ import annotations

import os
import re

import numpy as np
import pytest

import cnn_core
from cnn_core import Augmentation, Conv2D, GlobalAveragePool, ImageClassifier
from cnn_core.cli.filters import seen_by_filters
from cnn_core.images.presets import PRESETS
from command_line import PICTURES, RUN_FILES, accuracy_in, record_of, refused, succeed

QUICK = ("train", "--data", "digits", "--no-plots", "--quiet", "--epochs", 1)
NETWORK = """
[[layers]]
kind = "Conv2D"
channels = 6
normalization = "batch"

[[layers]]
kind = "GlobalAveragePool"
"""


@pytest.fixture
def toml(tmp_path):
    path = tmp_path / "net.toml"
    path.write_text(NETWORK, encoding="utf-8")
    return path


def loaded(folder):
    return cnn_core.load(folder / "model.safetensors")


@pytest.mark.parametrize("name", PRESETS)
def test_the_library_has_the_preset_that_was_asked_for(tmp_path, name):
    folder = tmp_path / "run"
    succeed(*QUICK, "--preset", name, "--out", folder)
    overrides = {"input_scale": 1 / 16, "max_iter": 1, "random_state": 0, "image_shape": (8, 8)}
    # Digits are neither mirrored nor erased.
    changes = {"mirror": False, "erase": 0, "shift": 0, "crop": 0, "mirror_average": False}
    expected = ImageClassifier.preset(name, **changes, **overrides)
    assert loaded(folder).get_params() == expected.get_params()
    assert record_of(folder)["settings"]["preset"] == name


def test_the_help_has_a_line_for_each_preset():
    printed = succeed("train", "--help")
    assert re.search(r"^  image +convolutions 16-32-64 and 128, .* 16 epochs; for", printed, re.M)


@pytest.mark.slow
def test_a_run_folder_has_a_picture_of_the_filters(tmp_path):
    folder = tmp_path / "run"
    printed = succeed(
        "train", "--data", "digits", "--preset", "image", "--epochs", 1, "--out", folder
    )
    assert {path.name for path in folder.iterdir()} == RUN_FILES | {"filters.png"}
    assert PICTURES < RUN_FILES
    assert "8x8x1-16c3-p2-32c3-p2-64c3-p2-128-10, relu, batch normalization" in printed
    # Evaluated, it has the recorded accuracy.
    evaluated = succeed("evaluate", folder)
    assert accuracy_in(evaluated) == pytest.approx(
        record_of(folder)["result"]["test_accuracy"], abs=1e-4
    )
    assert succeed("verify", folder).rstrip().endswith("the same, bit for bit")


def test_what_filters_see_is_the_convolution_of_the_images(rng):
    classifier = ImageClassifier(
        [Conv2D((6, 5, 3), 20, normalization="batch")], max_iter=1, random_state=0, mirror=True
    )
    x = rng.integers(0, 256, (40, 6, 5, 3)).astype(np.uint8)
    classifier.fit(x, np.arange(40) % 2)
    view = seen_by_filters(classifier.model_, x[:4].reshape(4, -1))
    assert (view.filters.shape, view.responses.shape) == ((16, 3, 3), (4, 16, 6, 5))
    assert (view.images.shape, view.n_filters) == ((4, 6, 5, 3), 20)
    weights = classifier.model_.layers[1].weights.reshape(3, 3, 3, 20)
    middle = np.einsum("ijc,ijco->o", x[1, 1:4, 1:4] / 255, weights)
    assert (
        np.isclose(view.responses[1, :, 2, 2][:, np.newaxis], middle, atol=1e-4).any(axis=1).all()
    )


def test_layers_of_a_file(tmp_path, toml):
    folder = tmp_path / "run"
    succeed(*QUICK, "--network", toml, "--shift", 1, "--crop", 2, "--erase", 3, "--out", folder)
    first, *others, _ = loaded(folder).model_.network.layers
    assert first == Augmentation((8, 8, 1), shift=1, crop=2, erase=3)
    expected = Conv2D((8, 8, 1), 6, normalization="batch"), GlobalAveragePool((8, 8, 6))
    assert tuple(others) == expected
    settings = record_of(folder)["settings"]
    assert (settings["preset"], settings["shift"]) == ("image", 1)
    # The record has the layers: the file may change, or be gone.
    os.remove(toml)
    assert succeed("verify", folder, "--quiet").startswith("the same")


def test_images_are_mirrored_if_asked_for(tmp_path):
    arguments = ("--preset", "image", "--mirror", "--mirror-average")
    succeed(*QUICK, *arguments, "--out", tmp_path / "run")
    classifier = loaded(tmp_path / "run")
    assert (classifier.mirror, classifier.mirror_average) == (True, True)
    # The command line averages as the estimator does.
    evaluated = accuracy_in(succeed("evaluate", tmp_path / "run"))
    recorded = record_of(tmp_path / "run")["result"]
    assert evaluated == pytest.approx(recorded["test_accuracy"], abs=1e-4)
    digits = cnn_core.data.load_digits()
    accuracy = classifier.score(digits.x_test, digits.y_test)
    assert accuracy == pytest.approx(recorded["test_accuracy"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--mirror",), "--mirror has no effect on the preset fast; it belongs to image"),
        (("--preset", "best", "--mirror-average"), "--mirror-average has no effect on the preset"),
        (("--preset", "nn", "--no-mirror"), "--no-mirror has no effect on the preset nn"),
        (("--preset", "best", "--network", "x.toml"), "--network has no effect on the preset best"),
        (("--preset", "image", "--hidden", 3), "--hidden has no effect on the preset image"),
        (("--preset", "image", "--shift", 8), "preset image: shift: expected fewer pixels"),
        (("--preset", "image", "--crop", -1), "--crop: expected a whole number of at least 0"),
    ],
)
def test_arguments_without_effect_are_refused(capsys, arguments, message):
    assert message in refused(capsys, *QUICK, *arguments)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("layers = 3", "expected a table [[layers]] for each layer"),
        ("layers = [1]", "expected a table [[layers]] for each layer"),
        ("", "expected a table [[layers]] for each layer"),
        ("[[layer]]", "expected tables [[layers]] and nothing else, found 'layer'"),
        ("[[layers", "expected TOML, found something else"),
        ('[[layers]]\nkind = "Conv2D"', "architecture: layer 1 (Conv2D): "),
        ('[[layers]]\nkind = "Conv"', "layer 1: expected a kind among Dense, "),
        ('[[layers]]\nkind = "Conv2D"\nchannels = 4\nkernel = 9\npadding = "valid"', "kernel: exp"),
    ],
)
def test_a_file_that_describes_no_layers_is_refused(capsys, toml, text, message):
    toml.write_text(text, encoding="utf-8")
    assert message in refused(capsys, *QUICK, "--network", toml)


def test_a_file_that_is_not_there_is_refused(capsys, tmp_path):
    assert "net.toml" in refused(capsys, *QUICK, "--network", tmp_path / "net.toml")


def test_rows_that_are_no_square_image_are_refused(capsys, tmp_path):
    np.savez(tmp_path / "rows.npz", X=np.random.rand(40, 7), y=np.arange(40) % 2)
    message = refused(capsys, "train", "--data", tmp_path / "rows.npz", "--preset", "image")
    assert "preset image: X: expected images" in message


@pytest.mark.parametrize("channels", [pytest.param(2, marks=pytest.mark.slow), 3])
def test_images_of_several_channels(tmp_path, rng, channels):
    x = rng.integers(0, 256, (60, 6, 6, channels)).astype(np.uint8)
    np.savez(tmp_path / "colour.npz", X=x, y=np.arange(60) % 3)
    folder = tmp_path / "run"
    arguments = ("--data", tmp_path / "colour.npz", "--preset", "image", "--epochs", 1)
    assert f"images of 6 x 6 x {channels}" in succeed("train", *arguments, "--out", folder)
    assert loaded(folder).image_shape_ == (6, 6, channels)
    assert {"gallery.png", "filters.png"} <= {path.name for path in folder.iterdir()}
    assert record_of(folder)["data"]["image_shape"] == [6, 6, channels]
