"""`NN`: a network of one hidden layer with a small interface."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from cnn_core import backends
from cnn_core.arrays import as_numbers, as_samples
from cnn_core.backends.interface import Predictor
from cnn_core.class_targets import ClassTargets, Targets
from cnn_core.displays import Plots
from cnn_core.model import Model
from cnn_core.network import RULES, Dense, FloatArray, Network, Rule
from cnn_core.nn_attributes import NNAttributes
from cnn_core.sparse import Samples
from cnn_core.targets import as_targets, require_two_classes, warn_of_unreachable
from cnn_core.training import EpochRecord, Recipe, Validation
from cnn_core.training.callbacks import Callback, OnEpoch, PrintEpochs, as_callbacks
from cnn_core.training.schedules import Schedule
from cnn_core.validation import parameters_dtype, scale, shown, whole

if TYPE_CHECKING:
    from cnn_core.io.checkpoint import Checkpoint


class NN(NNAttributes, Plots):
    """A neural network of one hidden layer: sigmoid units, squared error, gradient descent.

    Parameters
    ----------
    input_neurons, hidden_neurons, output_neurons : int
        Features of a sample, hidden units, outputs.
    learning_rate : float
        Above 0. For the exact rule a value between 0.1 and 2 suits most data scaled to [0, 1].
    epochs : int
        Passes over the data of one `fit`.
    batch_size : int
        Samples of one step. Ignored by the article's rule, whose step uses all samples.
    rule : {"exact", "article"}
        ``"exact"``: the gradient of the mean over the batch of half the squared error summed over
        the outputs. ``"article"``: the step of the published article, whose names this class uses.
        It sums over the samples, applies the sigmoid twice in the backward pass, and gives each
        *training sample* its own bias. So `predict` then needs exactly as many samples as were
        fitted.
    dtype : numpy.float32 or numpy.float64, optional
        By default float32 for the exact rule and float64 for the article's.
    seed : int, optional
        Fixes the first weights and the order of the samples. None draws both from NumPy's global
        generator, so that ``np.random.seed(s)`` followed by ``NN(...)`` equals ``NN(..., seed=s)``.
    shuffle : bool
        Whether to shuffle the samples in every epoch.
    backend : {"auto", "cython", "numpy"}
        See `cnn_core.backends.get`.
    verbose : int
        1 prints a line per epoch, 0 nothing.
    input_scale : float
        Every input is multiplied by it, in training and prediction. Not 0. For bytes (uint8) from 0
        to 255 the usual choice is ``1 / 255``. Bytes are not converted or copied.
    n_threads : int, optional
        At most this many threads compute a step or a prediction; small ones use fewer. By default
        `CNN_CORE_NUM_THREADS`, or if it is unset, the number of cores that the process may use.
        Threads change no bit of any result. The NumPy backend leaves threads to its BLAS.

    Attributes
    ----------
    wih : (hidden, input) array
        Weights from the inputs to the hidden units: a view, so that writing into it changes the
        network. First values: normal, mean 0, standard deviation ``input_neurons ** -0.5``.
    who : (output, hidden) array
        Weights from the hidden units to the outputs, likewise.
    bih, bho : (hidden,) and (output,) arrays
        Biases, 0 at first. For the article's rule the number 0 at first, then arrays
        (hidden, samples) and (output, samples).
    lr, epochs, batch_size, shuffle, verbose
        The settings of these names (`lr` is the learning rate), which may be changed at any time.
    input_neurons, hidden_neurons, output_neurons, rule, dtype, seed, backend, input_scale
        The arguments; `backend` is the name of the backend in use.
    n_threads : int or None
        Most threads in use; None where NumPy's BLAS decides.
    history : dict of str to list of float
        ``loss``, ``accuracy`` (if the targets are classes), ``validation_loss``,
        ``validation_accuracy``, ``learning_rate`` (of the last step) and ``seconds``, one value for
        each epoch. Validation values exist only for epochs with validation data.

    Raises
    ------
    TypeError, ValueError
        For an argument of the wrong type or outside its range.

    References
    ----------
    Rumelhart, Hinton, Williams, "Learning representations by back-propagating errors", Nature 323,
    1986.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    >>> net = NN(2, 8, 1, learning_rate=5.0, epochs=2000, batch_size=4, seed=0)
    >>> net.fit(X, [[0.0], [1.0], [1.0], [0.0]]).predict(X).round().ravel()
    array([0., 1., 1., 0.], dtype=float32)
    """

    # So that a misspelt attribute is an error.
    __slots__ = ("__weakref__",)

    def __init__(
        self,
        input_neurons: int,
        hidden_neurons: int,
        output_neurons: int,
        learning_rate: float,
        epochs: int,
        *,
        batch_size: int = 32,
        rule: Rule = "exact",
        dtype: npt.DTypeLike | None = None,
        seed: int | None = None,
        shuffle: bool = True,
        backend: str = "auto",
        verbose: int = 0,
        input_scale: float = 1.0,
        n_threads: int | None = None,
    ) -> None:
        sizes = (
            whole("input_neurons", input_neurons, 1),
            whole("hidden_neurons", hidden_neurons, 1),
            whole("output_neurons", output_neurons, 1),
        )
        self.lr = learning_rate
        self.epochs = epochs
        self.batch_size = batch_size
        if not isinstance(rule, str) or rule not in RULES:
            raise ValueError(f"rule: expected 'exact' or 'article', found {shown(rule)}")
        real = parameters_dtype(dtype, rule)
        self.seed = _seed(seed)
        self.shuffle = shuffle
        self.verbose = verbose
        network = Network(
            (Dense(*sizes[:2]), Dense(*sizes[1:])),
            rule=rule,
            input_scale=scale("input_scale", input_scale, real),
        )
        self._model = Model(network, dtype=real, backend=backend, n_threads=n_threads)
        source = np.random if self.seed is None else np.random.RandomState(self.seed)
        self._model.initialize("article", source)
        if rule == "exact" and self.shuffle:
            self._model.seed = int(source.randint(2**31 - 1))

    def fit(
        self,
        X: npt.ArrayLike,
        T: npt.ArrayLike,
        *,
        validation: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
        on_epoch: Callable[[EpochRecord], None] | None = None,
        schedule: Schedule | str = "constant",
        callbacks: Iterable[Callback] = (),
        checkpoint: Checkpoint | str | os.PathLike[str] | None = None,
    ) -> NN:
        """Train for `epochs` epochs, from the current state of the network.

        Parameters
        ----------
        X : array-like, (n, input)
            Samples: real numbers of any dtype, which `input_scale` should bring to about [0, 1].
            Bytes (uint8) are trained on as they are; so are, without a copy, C-contiguous arrays of
            the network's dtype.
        T : array-like
            Integer labels (n,), which stand for one-hot rows, or target values (n, output).
        validation : (X, T), optional
            Data to measure loss and accuracy on after every epoch.
        on_epoch : callable, optional
            Called after every epoch with its `cnn_core.training.EpochRecord`.
        schedule : Schedule or str
            How the learning rate changes over these epochs; see `cnn_core.schedules`.
        callbacks : iterable of Callback
            See `cnn_core.callbacks`.
        checkpoint : Checkpoint or path-like, optional
            A file from which the same call, on a network made in the same way, resumes after being
            killed. The result has the same bits as without the interruption. A network without a
            `seed` takes that of the file. See `cnn_core.Checkpoint`. Not available for the
            article's rule.

        Returns
        -------
        NN
            The network itself.

        Raises
        ------
        TypeError, ValueError
            For data of the wrong type, shape or range, or with values that are not finite.
        CheckpointError, ModelFileError
            If the checkpoint belongs to another training, or is damaged. Both are ``ValueError``.
        OSError
            If a checkpoint cannot be written; the one before it is still there then.
        DivergenceError
            A `FloatingPointError`: the loss of an epoch exploded or is not finite. The last good
            weights are restored.
        RuntimeError
            If this network is being trained already, by another thread or by the caller of
            `on_epoch`.
        """
        if checkpoint is not None and self.rule == "article":
            raise ValueError(
                f"checkpoint: expected None for the article's rule, found {checkpoint!r}; save the "
                "network between calls of fit, or use rule='exact'"
            )
        x, t, are_classes = self._as_data(X, T)
        validate = None if validation is None else self._validation(validation, len(x))
        own = [PrintEpochs()] if self.verbose else []
        last = [] if on_epoch is None else [OnEpoch(on_epoch)]
        article = self.rule == "article"
        recipe = Recipe(
            epochs=self.epochs,
            batch_size=len(x) if article else self.batch_size,
            learning_rate=self.lr,
            schedule=schedule,
            shuffle=self.shuffle and not article,
        )
        self._model_for(len(x)).train(
            x,
            t,
            recipe,
            are_classes=are_classes,
            validation=validate,
            callbacks=[*own, *as_callbacks(callbacks), *last],
            owner=self,
            checkpoint=checkpoint,
            seeded=self.seed is not None,
        )
        return self

    def backprop(self, X: npt.ArrayLike, T: npt.ArrayLike) -> float:
        """Take one step on all the samples given.

        Parameters
        ----------
        X : array-like, (n, input)
        T : array-like
            Integer labels (n,) or target values (n, output).

        Returns
        -------
        float
            The loss before the step: the mean over the samples of half the squared error summed
            over the outputs.

        Raises
        ------
        TypeError, ValueError, RuntimeError
            As `fit` does.
        """
        x, t, _ = self._as_data(X, T)
        return self._model_for(len(x)).step(x, t, self.lr)

    def predict(self, X: npt.ArrayLike) -> FloatArray:
        """Return the outputs, (n, output), each between 0 and 1.

        Parameters
        ----------
        X : array-like, (n, input)

        Raises
        ------
        TypeError, ValueError
            As for `fit`. With the article's rule also for another number of samples than in `fit`.

        See Also
        --------
        predictor : with less overhead, for few samples at a time.
        """
        model = self._model
        network = model.network
        x = as_samples(
            X, network.n_inputs, model.dtype, empty_allowed=True, finite_unless_as_is=True
        )
        if network.rule == "exact":
            return model.predict(x)
        if not model.bias_rows:
            # Not fitted yet: its biases are the number 0, which goes with any number of samples.
            model = copy.copy(model)
            model.take_bias_rows(len(x))
            return model.predict(x)
        return self._model_for(len(x)).predict(x)

    def predictor(self, rows: int = 1) -> Predictor:
        """Return a callable that predicts `rows` samples at a time, with preallocated buffers.

        Called with `x`, (rows, input) or for one row (input,), it returns the outputs,
        (rows, output). It is fast because it checks and converts less:

        - `x` must be a C-contiguous array of the network's dtype or of bytes (uint8);
        - values are not checked to be finite;
        - the next call overwrites the returned array: copy what you want to keep.

        It uses the current parameters of the network, also after more training. It is for one
        thread at a time; make one for each thread.

        Parameters
        ----------
        rows : int
            At least 1.

        Returns
        -------
        cnn_core.contracts.Predictor

        Raises
        ------
        TypeError, ValueError
            If `rows` is not a whole number of at least 1, and for the article's rule. When called:
            for samples of the wrong shape, dtype or layout.

        Examples
        --------
        >>> import numpy as np
        >>> net = NN(4, 3, 2, learning_rate=0.5, epochs=1, seed=0)
        >>> predict = net.predictor()
        >>> x = np.ones(4, np.float32)
        >>> predict(x).shape
        (1, 2)
        """
        return self._model.predictor(whole("rows", rows, 1))

    def forward(self, X: npt.ArrayLike) -> FloatArray:
        """Return the outputs with samples as columns, (output, n): ``predict(X).T``."""
        columns: FloatArray = self.predict(X).T
        return columns

    def activation(self, z: npt.ArrayLike) -> FloatArray:
        """Return the sigmoid ``1 / (1 + exp(-z))`` of each value, in the shape of `z`.

        float32 stays float32; anything else is computed in float64. There is no overflow.

        Raises
        ------
        TypeError
            If `z` is not made of real numbers.
        """
        values = as_numbers(z, "z")
        if values.dtype != np.float32:
            values = values.astype(np.float64)
        rows = np.ascontiguousarray(values, values.dtype.newbyteorder("=")).reshape(1, -1)
        out = np.empty_like(rows)
        backends.get(self.backend).kernels(rows.dtype).activate("sigmoid", rows, out)
        return out.reshape(values.shape)

    def sigmoid_derivative(self, z: npt.ArrayLike) -> FloatArray:
        """Return ``activation(z) * (1 - activation(z))`` of each value, in the shape of `z`."""
        a = self.activation(z)
        return np.asarray(a * (1 - a))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network to a file that `cnn_core.load` reads.

        The layout is that of safetensors: numbers and text, and nothing that could run. An existing
        file is replaced only when the new one is complete.

        Raises
        ------
        OSError
            If the file cannot be written.
        """
        from cnn_core.io.nn_state import NNState, article_arrays, write_nn

        model = self._model
        state = NNState(
            sizes=(self.input_neurons, self.hidden_neurons, self.output_neurons),
            learning_rate=self.lr,
            epochs=self.epochs,
            batch_size=self.batch_size,
            rule=self.rule,
            dtype=self.dtype.name,
            seed=self.seed,
            shuffle=self.shuffle,
            shuffle_key=model.seed,
            epochs_done=model.epochs_done,
            samples_done=model.samples_done,
            input_scale=self.input_scale,
            arrays=article_arrays(model.layers),
            history=self.history,
        )
        write_nn(path, state)

    def as_model_data(self, X: npt.ArrayLike, T: npt.ArrayLike) -> tuple[Model, Samples, Targets]:
        """Return the model, and samples and targets in the form that it takes."""
        x, t, _ = self._as_data(X, T)
        return self._model_for(len(x)), x, t

    def _model_for(self, samples: int) -> Model:
        """Return the model; for the article's rule with biases for `samples` samples."""
        fitted = self._model.bias_rows
        if self.rule == "article" and samples != fitted:
            if fitted:
                raise ValueError(_other_samples(fitted, samples))
            self._model.take_bias_rows(samples)
        return self._model

    def _as_data(
        self, X: npt.ArrayLike, T: npt.ArrayLike, part: str = ""
    ) -> tuple[Samples, Targets, bool]:
        x = as_samples(X, self.input_neurons, self.dtype, name=f"{part}X")
        t, are_classes = as_targets(T, len(x), self.output_neurons, self.dtype, name=f"{part}T")
        if isinstance(t, ClassTargets):
            return x, t, are_classes
        if self.output_neurons == 1:
            require_two_classes(t, f"{part}T")
        if not part:
            warn_of_unreachable(t)
        return x, t, are_classes

    def _validation(
        self, validation: tuple[npt.ArrayLike, npt.ArrayLike], samples: int
    ) -> Validation:
        if not isinstance(validation, tuple | list) or len(validation) != 2:
            raise TypeError(
                f"validation: expected a pair (X, T), found {type(validation).__name__}"
            )
        x, t, are_classes = self._as_data(*validation, part="validation ")
        if self.rule == "article" and len(x) != samples:
            raise ValueError(f"validation: {_other_samples(samples, len(x))}")
        return Validation(x, t, are_classes=are_classes)


def _seed(seed: int | None) -> int | None:
    return None if seed is None else whole("seed", seed, 0, 2**32 - 1)


def _other_samples(fitted: int, found: int) -> str:
    return (
        f"expected {fitted} samples, as many as were fitted, found {found}: the article's rule "
        "gives each training sample a bias of its own, and there are none for other samples; use "
        "rule='exact', which has one bias per unit"
    )
