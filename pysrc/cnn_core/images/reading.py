"""Read image classifiers from model files."""

from __future__ import annotations

from cnn_core.estimators.reading import read_as
from cnn_core.images.classifier import ImageClassifier
from cnn_core.io.model_state import ModelFile


def read(file: ModelFile) -> ImageClassifier:
    """Return the estimator in a file.

    Raises
    ------
    cnn_core.ModelFileError
        If the contents of the file are inconsistent.
    """
    return read_as(ImageClassifier, file)
