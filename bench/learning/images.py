"""Learning Fashion-MNIST by the recipe of a preset: cnn_core, scikit-learn and PyTorch.

What is timed is the training alone: for cnn_core ``fit`` on the bytes, with all its checks; for the
others on images that are scaled float32 already.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from cnn_core import MLPClassifier, __version__
from cnn_core.network import ByteArray, FloatArray, IndexArray
from learning.result import Learned

OURS, SCIKIT_LEARN, PYTORCH = "cnn-core", "scikit-learn", "torch"
"""The learners, by the names of their distributions."""

QUICK_SAMPLES, QUICK_EPOCHS = 6_000, 2


@dataclass(frozen=True, eq=False)
class Images:
    """Images to learn from, and images to be tried on.

    Attributes
    ----------
    x, x_test : (n, features) array of uint8
    y, y_test : (n,) array of int
        The classes, from 0.
    """

    x: ByteArray
    y: IndexArray
    x_test: ByteArray
    y_test: IndexArray

    @classmethod
    def load(cls, path: str) -> Images:
        """Return what `save` wrote."""
        with np.load(path) as file:
            return cls(**{name: file[name] for name in ("x", "y", "x_test", "y_test")})

    def save(self, folder: str, name: str) -> str:
        """Write them where every process reads them from, and return the path."""
        path = str(Path(folder) / f"{name}.npz")
        np.savez(path, x=self.x, y=self.y, x_test=self.x_test, y_test=self.y_test)
        return path

    def shortened(self) -> Images:
        """Return a few of those to learn from, and all to be tried on."""
        return replace(self, x=self.x[:QUICK_SAMPLES], y=self.y[:QUICK_SAMPLES])


@dataclass(frozen=True)
class ImageJob:
    """Train once, and try what was learned.

    Attributes
    ----------
    learner : str
        `OURS`, `SCIKIT_LEARN` or `PYTORCH`.
    preset : str
    data : str
        A file of `Images.save`.
    seed : int
    changes : mapping
        Parameters that are to be other than in the preset.
    is_quick : bool
        Whether a few samples and epochs are enough, to see that all of it works.
    """

    learner: str
    preset: str
    data: str
    seed: int
    changes: Mapping[str, Any] = field(default_factory=dict)
    is_quick: bool = False

    def run(self) -> dict[str, Any]:
        """Train, and count the images that are classified correctly."""
        images = Images.load(self.data)
        estimator = MLPClassifier.preset(self.preset, **self.changes, random_state=self.seed)
        if self.is_quick:
            images = images.shortened()
            estimator.set_params(max_iter=QUICK_EPOCHS)
        learned = LEARNERS[self.learner](estimator, images)
        return {
            "title": learned.title,
            "seed": self.seed,
            "seconds": learned.seconds,
            "accuracy": float((learned.predicted == images.y_test).mean()),
            "differs": list(learned.differs),
        }


def learn_by_ours(estimator: MLPClassifier, images: Images) -> Learned:
    begun = time.perf_counter()
    estimator.fit(images.x, images.y)
    seconds = time.perf_counter() - begun
    return Learned(f"cnn_core {__version__}", seconds, estimator.predict(images.x_test))


def learn_by_scikit_learn(estimator: MLPClassifier, images: Images) -> Learned:
    import sklearn

    peer, differs = nearest(estimator)
    x, x_test = scaled(images.x, estimator), scaled(images.x_test, estimator)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sklearn.exceptions.ConvergenceWarning)
        begun = time.perf_counter()
        peer.fit(x, images.y)
        seconds = time.perf_counter() - begun
    title = f"scikit-learn {sklearn.__version__}"
    return Learned(title, seconds, peer.predict(x_test), differs)


def learn_by_pytorch(estimator: MLPClassifier, images: Images) -> Learned:
    from learning import pytorch

    x, x_test = scaled(images.x, estimator), scaled(images.x_test, estimator)
    return pytorch.train(estimator, x, images.y, x_test, int(images.y.max()) + 1)


LEARNERS = {OURS: learn_by_ours, SCIKIT_LEARN: learn_by_scikit_learn, PYTORCH: learn_by_pytorch}


def scaled(images: ByteArray, estimator: MLPClassifier) -> FloatArray:
    """Return images as the first layer of the estimator sees them."""
    x: FloatArray = images * np.float32(estimator.input_scale)
    return x


def nearest(estimator: MLPClassifier) -> tuple[Any, tuple[str, ...]]:
    """Return scikit-learn's classifier that comes nearest, and where it differs.

    It has the same layers, epochs and batch size. What it has not got, it does without; where its
    solver has another name it takes Adam, where it has no such schedule its own default rate.
    """
    import sklearn.neural_network

    differs = []
    wanted = estimator.get_params()
    peer = sklearn.neural_network.MLPClassifier(
        hidden_layer_sizes=tuple(np.atleast_1d(wanted["hidden_layer_sizes"])),
        batch_size=wanted["batch_size"],
        max_iter=wanted["max_iter"],
        n_iter_no_change=wanted["max_iter"],
        tol=0.0,
        random_state=wanted["random_state"],
    )
    if wanted["activation"] in ("identity", "logistic", "tanh", "relu"):
        peer.set_params(activation=wanted["activation"])
    else:
        differs.append(f"ReLU for {wanted['activation']}")
    if wanted["solver"] in ("sgd", "adam"):
        same = ("solver", "alpha", "momentum", "nesterovs_momentum", "beta_1", "beta_2", "epsilon")
        peer.set_params(**{name: wanted[name] for name in same})
    else:
        differs.append("Adam, with its default L2 term")
    if wanted["schedule"] in (None, "constant"):
        peer.set_params(learning_rate_init=wanted["learning_rate_init"])
    else:
        differs.append(f"a constant rate of {peer.learning_rate_init:g}, its default")
    # Not a number alone: a setting may be given layer by layer.
    names = ("dropout", "normalization", "label_smoothing", "averaging", "clip_norm", "clip_value")
    differs += [f"no {name.replace('_', ' ')}" for name in names if np.any(wanted[name])]
    return peer, tuple(differs)
