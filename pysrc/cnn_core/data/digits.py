"""The handwritten digits that come with scikit-learn: real images without a download."""

from __future__ import annotations

import numpy as np

from .dataset import Dataset
from .splits import shuffled_by_class

__all__ = ["load_digits"]

_TEST_EVERY = 5


def load_digits() -> Dataset:
    """Load scikit-learn's 8 x 8 digits.

    The split is always the same: within each class, every fifth of the shuffled images is a test
    image.

    Returns
    -------
    Dataset
        ``x_train`` (1437, 8, 8), ``y_train`` (1437,), ``x_test`` (360, 8, 8) and ``y_test``
        (360,), all uint8; class names "0" to "9"; ``scale`` 16.

    Raises
    ------
    ModuleNotFoundError
        scikit-learn is not installed.
    """
    try:
        from sklearn import datasets
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'the digits come with scikit-learn, which is not installed: pip install "cnn-core[app]"'
        ) from error
    digits = datasets.load_digits()
    images = digits.images.astype(np.uint8)
    labels = digits.target.astype(np.uint8)

    is_test = np.zeros(labels.size, dtype=bool)
    is_test[shuffled_by_class(labels)[::_TEST_EVERY]] = True
    return Dataset(
        name="digits",
        x_train=images[~is_test],
        y_train=labels[~is_test],
        x_test=images[is_test],
        y_test=labels[is_test],
        class_names=tuple(str(name) for name in digits.target_names),
        scale=16.0,
        source="scikit-learn",
    )
