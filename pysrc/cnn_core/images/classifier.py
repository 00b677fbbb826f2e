"""`ImageClassifier`."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from cnn_core.backends.interface import Predictor
from cnn_core.estimators.base_classifier import BaseClassifier
from cnn_core.estimators.compat import available_if, with_callbacks
from cnn_core.estimators.described import keep
from cnn_core.estimators.evaluation import EvalSet, with_validation
from cnn_core.estimators.parameters import network_with, partial_fit_is_there
from cnn_core.estimators.task import Task
from cnn_core.export.program import Program
from cnn_core.images import presets
from cnn_core.images.architectures import layers_of
from cnn_core.images.documentation import documented
from cnn_core.images.shapes import as_image_rows, shape_of_rows, warn_of_other_values
from cnn_core.io.checkpoint import Checkpoint
from cnn_core.layers import Augmentation, Dense
from cnn_core.layers.images import ImageShape
from cnn_core.model import Model
from cnn_core.network import FloatArray, Network
from cnn_core.optimizers import Optimizer
from cnn_core.outputs import Keep, KeptOutputs, blocks
from cnn_core.sparse import Samples
from cnn_core.training.callbacks import Callback
from cnn_core.training.schedules import Schedule
from cnn_core.validation import flag, number, share, shown

_BYTES = np.dtype(np.uint8)
_BYTE_SCALE = 1 / 255
# Number of images mirrored at a time.
_MIRRORED_AT_ONCE = 1024


@documented
class ImageClassifier(BaseClassifier):
    """A classifier of images: a convolutional network.

    It has the methods and most parameters of `MLPClassifier`. The defaults are a small network and
    a training that work well for many data sets.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    {attributes}

    See Also
    --------
    MLPClassifier : For features that are not pixels. cnn_core.Stack : Layers of your own.

    Examples
    --------
    Horizontal and vertical bars:

    >>> import numpy as np
    >>> from cnn_core import ImageClassifier
    >>> X = np.zeros((64, 8, 8), np.uint8)
    >>> for number, image in enumerate(X):
    ...     (image if number % 2 else image.T)[number % 8] = 255
    >>> y = np.where(np.arange(64) % 2, "lying", "standing")
    >>> classifier = ImageClassifier(max_iter=8, batch_size=16, random_state=0).fit(X, y)
    >>> classifier.predict(X[:2]).tolist(), classifier.image_shape_
    (['standing', 'lying'], (8, 8, 1))
    """

    _saved_as = "ImageClassifier"
    _described_by = "architecture"
    _usual_batch = 64
    _usual_schedule = "one_cycle"

    architecture: str | Sequence[Any]
    image_shape: Sequence[int] | None
    mirror: bool
    shift: int
    crop: int
    erase: int
    mirror_average: bool
    input_scale: Any

    # Parameters of `MLPClassifier` that do not exist here; set them in an optimizer as `solver`.
    learning_rate = "constant"
    power_t = 0.5
    momentum = 0.9
    nesterovs_momentum = True
    beta_1 = 0.9
    beta_2 = 0.999
    epsilon = 1e-8
    max_fun = 1

    def __init__(
        self,
        architecture: str | Sequence[Any] = "small",
        *,
        image_shape: Sequence[int] | None = None,
        mirror: bool = False,
        shift: int = 0,
        crop: int = 0,
        erase: int = 0,
        mirror_average: bool = False,
        solver: str | Optimizer = "adamw",
        alpha: float = 0.0,
        batch_size: int | str = "auto",
        learning_rate_init: float = 0.003,
        max_iter: int = 16,
        shuffle: bool = True,
        random_state: int | np.random.RandomState | np.random.Generator | None = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: float = math.inf,
        class_weight: Mapping[Any, float] | Literal["balanced"] | None = None,
        label_smoothing: float = 0.05,
        dropout: float = 0.2,
        initializer: str | Sequence[str] = "he_normal",
        weight_decay: float | None = None,
        clip_value: float | None = None,
        clip_norm: float | None = None,
        averaging: float = 0.0,
        schedule: str | Schedule | None = "auto",
        scoring: str | Callable[..., float] | None = None,
        callbacks: Sequence[Callback] | None = None,
        time_budget: float | None = None,
        input_scale: float | Literal["auto"] = "auto",
        dtype: npt.DTypeLike | None = None,
        backend: str = "auto",
        n_threads: int | None = None,
    ) -> None:
        keep(self, locals())

    @classmethod
    def preset(cls, name: str, **overrides: Any) -> ImageClassifier:
        """Return an estimator with settings for images like Fashion-MNIST's: 60,000 of 28 x 28.

        They suit clothes, which may be mirrored. Pass ``mirror=False`` for digits, and ``erase=0``
        for smaller images. `get_params` shows all settings. `fit` warns if there are too few
        samples for the epochs of the preset.

        Parameters
        ----------
        name : {"image", "image-best"}
            ``"image"`` trains for about a minute on two cores, ``"image-best"``, a wider network,
            for six.
        **overrides
            Parameters that replace those of the preset.

        Raises
        ------
        ValueError
            For another name.

        Examples
        --------
        >>> from cnn_core import ImageClassifier
        >>> ImageClassifier.preset("image", random_state=0).architecture
        'small'
        """
        estimator = cls(**{**presets.settings_of(name), **overrides})
        if "max_iter" not in overrides:
            vars(estimator)["_preset"] = name
        return estimator

    @with_callbacks
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
        eval_set: EvalSet = None,
        checkpoint: Checkpoint | str | os.PathLike[str] | None = None,
    ) -> ImageClassifier:
        """Learn the classes of images; with `warm_start` continue from the last fit.

        Parameters
        ----------
        X : array-like, (n, height, width), (n, height, width, channels) or (n, n_features)
            Grey or colour images, or flat rows of their values: see `image_shape`. Bytes (uint8)
            and C-contiguous float32 and float64 are not copied.
        y : array-like, (n,) or (n, n_labels)
            Classes, numbers or text; for several labels per image 0 and 1.
        sample_weight : array-like, (n,), optional
            Weight of each image, at least 0.
        X_val, y_val, sample_weight_val : array-likes, optional
            One more validation set, as in scikit-learn's gradient boosting: a pipeline transforms
            it with ``transform_input=["X_val"]``. It comes after those of `eval_set`.
        eval_set : tuple (X, y) or (X, y, sample_weight), or list of such, optional
            Images to measure loss and score on after every epoch, as for `MLPClassifier.fit`.
            Neither random changes nor averaging with mirror images are applied to them.
        checkpoint : Checkpoint or path-like, optional
            A file from which the same call resumes after being killed, to the same bits, as for
            `MLPClassifier.fit`.

        Returns
        -------
        ImageClassifier
            The estimator itself.

        Raises
        ------
        TypeError, ValueError
            For parameters and data of the wrong type, shape or range. The estimator is then
            unchanged.
        DivergenceError
            If the loss explodes or is not finite; the last good weights are kept. It is a
            ``ValueError``. With `early_stopping` it is a warning instead.
        RuntimeError
            If it is being fitted already, by another thread or one of its callbacks.
        """
        sets = with_validation(eval_set, X_val, y_val, sample_weight_val)
        return self._fit(X, y, sample_weight, sets, incremental=False, checkpoint=checkpoint)

    @available_if(partial_fit_is_there)
    def partial_fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        classes: Any = None,
        *,
        eval_set: EvalSet = None,
    ) -> ImageClassifier:
        """Train for one epoch on images, from the current state of the estimator.

        The learning rate is constant, since the number of epochs is not known.

        Parameters
        ----------
        X, y, sample_weight, eval_set
            As for `fit`.
        classes : array-like, (n_classes,), optional
            All classes, also those of later calls. Needed only in the first call.

        Returns
        -------
        ImageClassifier
            The estimator itself.

        Raises
        ------
        TypeError, ValueError, DivergenceError, RuntimeError
            As for `fit`; also for a first call without `classes`, and for unknown classes.
        """
        self._require_classes(classes)
        return self._fit(X, y, sample_weight, eval_set, incremental=True, classes=classes)

    @property
    def image_shape_(self) -> ImageShape:
        """Height, width and channels of an image."""
        self._require_fitted()
        return self._images.input_shape

    def _layer_arrays(self, name: str, arrays_of: Any) -> list[FloatArray]:
        """Refuse, since the weights of convolutions have another layout."""
        raise AttributeError(
            f"{type(self).__name__} has no {name}; its weights are in model_.layers"
        )

    def _set_layer_arrays(self, name: str, values: Any, set_arrays: Any) -> None:
        self._layer_arrays(name, set_arrays)

    def _become(self, model: Model, task: Any) -> None:
        if not isinstance(model.network.layers[0], Augmentation):
            raise ValueError("a network whose first layer does not say what an image is")
        super()._become(model, task)

    @property
    def _images(self) -> Augmentation:
        """The first layer, which says what an image is."""
        first = self.model_.network.layers[0]
        assert isinstance(first, Augmentation)
        return first

    @property
    def _sample_shape(self) -> tuple[int, ...]:
        return self.image_shape_

    def _table_of(
        self, X: Any, name: str = "X", known: tuple[int, ...] | None = None
    ) -> tuple[npt.NDArray[Any], tuple[int, ...]]:
        shape: Any = known
        rows, found = as_image_rows(X, type(self).__name__, name, self.image_shape, shape)
        if self.input_scale == "auto" and self.__sklearn_is_fitted__() and known is not None:
            were_bytes = self.model_.network.input_scale == _BYTE_SCALE
            warn_of_other_values(rows, name, were_bytes=were_bytes, stacklevel=4)
        return rows, found

    def _network_of(
        self,
        sample_shape: tuple[int, ...],
        dtype: np.dtype[Any],
        task: Task,
        before: Network | None,
    ) -> Network:
        if self.solver == "lbfgs":
            raise ValueError("solver: expected one that takes steps on batches, found 'lbfgs'")
        if len(sample_shape) == 1:
            # Rows of files, whose values are not known yet.
            name = type(self).__name__
            if self.input_scale == "auto":
                raise ValueError(
                    "input_scale: expected a number for rows of files, such as 1 / 255 for bytes, "
                    "found 'auto'"
                )
            sample_shape = shape_of_rows(sample_shape[0], name, "X", self.image_shape)
        height, width, channels = sample_shape
        images = Augmentation(
            (height, width, channels),
            mirror=flag("mirror", self.mirror),
            shift=self.shift,
            crop=self.crop,
            erase=self.erase,
        )
        flag("mirror_average", self.mirror_average)
        layers = layers_of(self.architecture, images, share("dropout", self.dropout))
        last = Dense(layers[-1].fan_out, task.n_outputs, task.activation)
        return network_with(self, [*layers, last], task, self._scale_for(dtype, before))

    def _scale_for(self, dtype: np.dtype[Any], before: Network | None) -> float:
        if isinstance(self.input_scale, str):
            if self.input_scale != "auto":
                raise ValueError(
                    f"input_scale: expected 'auto' or a number, found {shown(self.input_scale)}"
                )
            if before is not None:
                return before.input_scale
            return _BYTE_SCALE if dtype == _BYTES else 1.0
        return number("input_scale", self.input_scale)

    def as_program(self) -> Program:
        """Return the fitted model as a `cnn_core.export.program.Program` for the exports.

        Raises
        ------
        NotFittedError
            Before the first `fit`.
        """
        program = super().as_program()
        return replace(program, mirrored=self.image_shape_) if self.mirror_average else program

    def predictor(self, rows: int = 1) -> Predictor:
        """Return a callable that predicts `rows` images at a time, passed as flat rows.

        See `MLPClassifier.predictor`.

        Raises
        ------
        NotFittedError
            Before the first `fit`.
        TypeError, ValueError
            If `rows` is not a whole number of at least 1, and with `mirror_average`.
        """
        self._require_single_predictions("a predictor")
        return super().predictor(rows)

    def _require_single_predictions(self, what: str) -> None:
        if self.mirror_average:
            raise ValueError(
                f"mirror_average: expected False for {what}, which has one prediction of each "
                "image, found True; call set_params(mirror_average=False) first"
            )

    def _predicted(self, samples: Samples, keep: Keep | None) -> npt.NDArray[Any]:
        if not self.mirror_average:
            return super()._predicted(samples, keep)
        assert isinstance(samples, np.ndarray)
        kept = KeptOutputs(len(samples), np.copy if keep is None else keep)
        for block in blocks(len(samples), min(len(samples), _MIRRORED_AT_ONCE)):
            images = samples[block]
            outputs = self.model_.predict(images)
            outputs += self.model_.predict(self._mirrored(images))
            outputs /= 2
            kept.add(block, outputs)
        return kept.values

    def _mirrored(self, rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
        images = rows.reshape(len(rows), *self.image_shape_)
        return np.ascontiguousarray(images[:, :, ::-1]).reshape(rows.shape)

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn what the estimator can take."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = False
        tags.input_tags.three_d_array = True
        return tags
