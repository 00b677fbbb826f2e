"""Sets of images that registries have: scikit-learn's digits, and emoji of 32 x 32 in colour.

Emoji are no photographs, but as large and as colourful as the images of CIFAR-10, which no registry
was found to have. Two sets, those of Google and of Twitter, are sorted into their nine categories,
such as food or travel. A fifth of the emoji, in both drawings, is the test part: so no emoji is in
both parts.
"""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["SETS", "ImageSet", "digits", "emoji"]

PACKAGES = ("emoji-datasource-google", "emoji-datasource-twitter")
VERSION = "16.0.0"
SIDE = 32
# Pieces of other emoji, such as a colour of hair.
NO_CATEGORY = "Component"


class ImageSet(NamedTuple):
    """Images (n, height, width, channels), bytes or numbers up to 1, and their classes."""

    x_train: npt.NDArray[Any]
    y_train: npt.NDArray[np.int64]
    x_test: npt.NDArray[Any]
    y_test: npt.NDArray[np.int64]


def digits(folder: Path) -> ImageSet:
    """Return scikit-learn's digits, 8 x 8, as `cnn_core.load_digits` splits them."""
    from cnn_core.data import load_digits

    data = load_digits()
    x_train, x_test = (
        (x.reshape(-1, 8, 8, 1) / data.scale).astype(np.float32)
        for x in (data.x_train, data.x_test)
    )
    return ImageSet(x_train, data.y_train.astype(np.int64), x_test, data.y_test.astype(np.int64))


def emoji(folder: Path) -> ImageSet:
    """Return emoji by their categories, from the packages of npm, which are fetched if need be."""
    images, categories, names = [], [], []
    for package in PACKAGES:
        vendor = package.rpartition("-")[2]
        listed, sheet = _contents(folder, package, vendor)
        for one in listed:
            if one["category"] != NO_CATEGORY and one[f"has_img_{vendor}"]:
                # Around each is a margin of one pixel.
                top, left = (one[name] * (SIDE + 2) + 1 for name in ("sheet_y", "sheet_x"))
                images.append(sheet[top : top + SIDE, left : left + SIDE])
                categories.append(one["category"])
                names.append(one["unified"])
    x = np.stack(images)
    _, y = np.unique(categories, return_inverse=True)
    different, number = np.unique(names, return_inverse=True)
    is_tested = np.random.RandomState(0).permutation(len(different)) % 5 == 0
    test = is_tested[number]
    y = y.astype(np.int64)
    return ImageSet(x[~test], y[~test], x[test], y[test])


SETS = {"digits": digits, "emoji": emoji}


def _contents(
    folder: Path, package: str, vendor: str
) -> tuple[list[dict[str, Any]], npt.NDArray[np.uint8]]:
    """Return what a package lists, and the sheet of its images, on white."""
    from PIL import Image

    path = folder / f"{package}-{VERSION}.tgz"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "pack", "--silent", f"{package}@{VERSION}"], cwd=folder, check=True)
    with tarfile.open(path) as package_file:
        listed, sheet = (
            package_file.extractfile(f"package/{name}")
            for name in ("emoji.json", f"img/{vendor}/sheets/{SIDE}.png")
        )
        assert listed is not None
        assert sheet is not None
        image = Image.open(io.BytesIO(sheet.read())).convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        pixels = np.asarray(Image.alpha_composite(white, image).convert("RGB"))
        return json.load(listed), pixels
