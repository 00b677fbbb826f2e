"""What docs/image-classifier.md shows can be done as it is shown."""

from __future__ import annotations

import re
import shlex
import sys

import numpy as np
import pytest

import cnn_core
from cnn_core import ImageClassifier, Stack
from cnn_core.cli import train
from cnn_core.images.architectures import ARCHITECTURES
from paths import SOURCES


@pytest.fixture(scope="module")
def page():
    return (SOURCES / "docs" / "image-classifier.md").read_text(encoding="utf-8")


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.S | re.M)


def test_the_first_example(page, tmp_path, monkeypatch, capsys):
    x = np.zeros((128, 8, 8), np.uint8)
    x[::2, 3] = 255
    data = cnn_core.data.Dataset(
        "", x, np.arange(128) % 2, x, np.arange(128) % 2, ("a", "b"), 255, ""
    )
    monkeypatch.setattr(cnn_core, "load_fashion_mnist", lambda: data)
    monkeypatch.chdir(tmp_path)
    exec(blocks(page, "python")[0], {})
    assert "Conv2D" in capsys.readouterr().out
    assert isinstance(cnn_core.load("clothes.safetensors"), ImageClassifier)


def test_layers_of_ones_own(page):
    known = {"ImageClassifier": ImageClassifier}
    exec(blocks(page, "python")[1], known)
    x = np.zeros((8, 9, 9), np.uint8)
    known["classifier"].set_params(max_iter=1).fit(x, np.arange(8) % 2)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="tomllib is there from Python 3.11 on")
def test_layers_of_a_file(page):
    import tomllib

    layers = tomllib.loads(blocks(page, "toml")[0])["layers"]
    assert Stack((28, 28, 1)).extend(layers).layers[-1].fan_out == 128


def test_the_commands_are_ones(page):
    for line in blocks(page, "sh")[0].splitlines():
        _, *words = shlex.split(line, comments=True)
        assert train.parse(words).command == "train"


def test_the_named_architectures_are_as_told(page):
    for name, (blocks_, units) in ARCHITECTURES.items():
        channels = [str(count) for block in blocks_ for count in block]
        assert f'"{name}"' in page
        assert f"{', '.join(channels[:-1])} and {channels[-1]} channels" in page
        assert units == 128
