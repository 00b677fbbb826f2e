"""`NN`: a network of one hidden layer, small enough to remember."""

from __future__ import annotations

import json
import math
import numbers
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core import backends
from cnn_core.arrays import as_samples, as_targets
from cnn_core.contracts import Engine
from cnn_core.model_file import ModelFileError, read_tensors, write_tensors
from cnn_core.network import RULES, Dense, FloatArray, Network, Rule
from cnn_core.training import EpochRecord, train

_DTYPES: tuple[np.dtype[Any], ...] = (np.dtype(np.float32), np.dtype(np.float64))
_TENSORS = ("wih", "bih", "who", "bho")


class NN:
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
        Samples of one step. Without meaning for the article's rule, whose step takes them all.
    rule : {"exact", "article"}
        ``"exact"``: the gradient of the mean over the batch of half the squared error summed over
        the outputs. ``"article"``: the step of the article that this class has its names from,
        which sums over the samples, takes the sigmoid twice on the way back and gives each
        *training sample* a bias of its own, so that `predict` then works on exactly as many samples
        as were fitted.
    dtype : numpy.float32 or numpy.float64, optional
        By default float32 for the exact rule and float64 for the article's.
    seed : int, optional
        Fixes the first weights and the order of the samples. None draws both from NumPy's global
        generator, so that ``np.random.seed(s)`` followed by ``NN(...)`` equals ``NN(..., seed=s)``.
    shuffle : bool
        Whether every epoch sees the samples in another order.
    backend : {"auto", "cython", "numpy"}
        See `cnn_core.backends.get`.
    verbose : int
        1 prints a line per epoch, 0 nothing.

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
    lr : float
    epochs : int
    history : dict of str to list of float
        ``loss``, ``accuracy`` (if the targets are classes), ``validation_loss``,
        ``validation_accuracy`` (if there was validation data) and ``seconds``, one value per epoch.

    Raises
    ------
    TypeError, ValueError
        For an argument of another kind or outside its range.

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
    ) -> None:
        self.input_neurons = _whole("input_neurons", input_neurons, 1)
        self.hidden_neurons = _whole("hidden_neurons", hidden_neurons, 1)
        self.output_neurons = _whole("output_neurons", output_neurons, 1)
        self.lr = learning_rate
        self.epochs = epochs
        self.batch_size = batch_size
        if rule not in RULES:
            raise ValueError(f"rule: expected 'exact' or 'article', found {rule!r}")
        self.rule = rule
        self.dtype = _dtype(dtype, rule)
        self.seed = None if seed is None else _whole("seed", seed, 0, 2**32 - 1)
        self.shuffle = _flag("shuffle", shuffle)
        self.verbose = _whole("verbose", int(verbose) if isinstance(verbose, bool) else verbose, 0)
        self.history: dict[str, list[float]] = {}
        self._network = Network(
            (
                Dense(self.input_neurons, self.hidden_neurons),
                Dense(self.hidden_neurons, self.output_neurons),
            ),
            rule=rule,
        )
        self._backend_wanted = backend
        self._backend = backends.get(backend)
        self._epochs_done = 0
        self._shuffle_key = 0
        self._bind(np.zeros(self._network.n_parameters(1 if rule == "exact" else 0), self.dtype))
        self._draw_weights()

    @property
    def lr(self) -> float:
        """The learning rate, above 0."""
        return self._lr

    @lr.setter
    def lr(self, value: float) -> None:
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise TypeError(f"learning_rate: expected a number, found {type(value).__name__}")
        rate = float(value)
        if not (math.isfinite(rate) and rate > 0):
            raise ValueError(f"learning_rate: expected a finite number above 0, found {value}")
        self._lr: float = rate

    @property
    def epochs(self) -> int:
        """Passes over the data of one `fit`."""
        return self._epochs

    @epochs.setter
    def epochs(self, value: int) -> None:
        self._epochs = _whole("epochs", value, 0)

    @property
    def batch_size(self) -> int:
        """Samples of one step."""
        return self._batch_size

    @batch_size.setter
    def batch_size(self, value: int) -> None:
        self._batch_size = _whole("batch_size", value, 1)

    @property
    def backend(self) -> str:
        """The name of the backend in use."""
        return self._backend.name

    @property
    def wih(self) -> FloatArray:
        """Weights from the inputs to the hidden units, (hidden, input): a view."""
        return self._weights(0)

    @wih.setter
    def wih(self, value: npt.ArrayLike) -> None:
        _assign("wih", self.wih, value)

    @property
    def who(self) -> FloatArray:
        """Weights from the hidden units to the outputs, (output, hidden): a view."""
        return self._weights(1)

    @who.setter
    def who(self, value: npt.ArrayLike) -> None:
        _assign("who", self.who, value)

    @property
    def bih(self) -> FloatArray | int:
        """Biases of the hidden units: a view."""
        return self._bias(0)

    @bih.setter
    def bih(self, value: npt.ArrayLike) -> None:
        _assign("bih", self._bias(0), value)

    @property
    def bho(self) -> FloatArray | int:
        """Biases of the outputs: a view."""
        return self._bias(1)

    @bho.setter
    def bho(self, value: npt.ArrayLike) -> None:
        _assign("bho", self._bias(1), value)

    def fit(
        self,
        X: npt.ArrayLike,
        T: npt.ArrayLike,
        *,
        validation: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
        on_epoch: Callable[[EpochRecord], None] | None = None,
    ) -> NN:
        """Train for `epochs` epochs, going on from where the network stands.

        Parameters
        ----------
        X : array-like, (n, input)
            Samples: real numbers of any dtype, best scaled to about [0, 1].
        T : array-like
            Integer labels (n,), which become one-hot rows, or target values (n, output).
        validation : (X, T), optional
            Data to measure loss and accuracy on after every epoch.
        on_epoch : callable, optional
            Called after every epoch with its `cnn_core.training.EpochRecord`.

        Returns
        -------
        NN
            The network itself.

        Raises
        ------
        TypeError, ValueError
            For data of another kind, shape or range, or with values that are not finite.
        FloatingPointError
            If the loss of an epoch is not finite.
        """
        x, t, are_classes = self._as_data(X, T)
        validate = None
        if validation is not None:
            validate = self._validation(*validation)
        article = self.rule == "article"
        train(
            self._engine_for(len(x)),
            x,
            t,
            first_epoch=self._epochs_done + 1,
            last_epoch=self._epochs_done + self.epochs,
            batch_size=len(x) if article else self.batch_size,
            learning_rate=self.lr,
            shuffle_key=self._shuffle_key if self.shuffle and not article else None,
            are_classes=are_classes,
            validate=validate,
            on_epoch=self._recorder(on_epoch),
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
        TypeError, ValueError
            As `fit` does.
        """
        x, t, _ = self._as_data(X, T)
        loss, _ = self._engine_for(len(x)).train_epoch(x, t, None, len(x), self.lr)
        return loss

    def predict(self, X: npt.ArrayLike) -> FloatArray:
        """Return the outputs, (n, output), each between 0 and 1.

        Parameters
        ----------
        X : array-like, (n, input)

        Raises
        ------
        TypeError, ValueError
            As `fit` does; and, for the article's rule, for another number of samples than was
            fitted.
        """
        x = as_samples(X, self.input_neurons, self.dtype, empty_allowed=True)
        y = np.empty((len(x), self.output_neurons), self.dtype)
        if self.rule == "article" and not self._bias_rows:
            # Not fitted yet: its biases are the number 0, which goes with any number of samples.
            self._backend.engine(self._network, self._with_bias_rows(len(x))).predict(x, y)
        else:
            self._engine_for(len(x)).predict(x, y)
        return y

    def forward(self, X: npt.ArrayLike) -> FloatArray:
        """Return the outputs with samples as columns, (output, n): ``predict(X).T``."""
        columns: FloatArray = self.predict(X).T
        return columns

    def activation(self, z: npt.ArrayLike) -> FloatArray:
        """Return the sigmoid ``1 / (1 + exp(-z))`` of each value, in the shape of `z`.

        float32 stays float32; anything else is computed in float64. There is no overflow.
        """
        values = np.asarray(z)
        if values.dtype != np.float32:
            values = values.astype(np.float64)
        rows = np.ascontiguousarray(values, values.dtype.newbyteorder("=")).reshape(1, -1)
        out = np.empty_like(rows)
        self._backend.kernels(rows.dtype).sigmoid(rows, out)
        return out.reshape(values.shape)

    def sigmoid_derivative(self, z: npt.ArrayLike) -> FloatArray:
        """Return ``activation(z) * (1 - activation(z))`` of each value, in the shape of `z`."""
        a = self.activation(z)
        rows = a.reshape(1, -1)
        out = np.empty_like(rows)
        self._backend.kernels(rows.dtype).sigmoid_derivative(rows, out)
        return out.reshape(a.shape)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network to a file that `cnn_core.load` reads.

        The layout is that of safetensors, which holds numbers and text and nothing that could run.
        The file is complete or not there: a file that it replaces stays until the new one is whole.

        Raises
        ------
        OSError
            If the file cannot be written.
        """
        settings = {
            "class": "NN",
            "network": [self.input_neurons, self.hidden_neurons, self.output_neurons],
            "learning_rate": self.lr,
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "rule": self.rule,
            "dtype": self.dtype.name,
            "seed": self.seed,
            "shuffle": self.shuffle,
            "shuffle_key": self._shuffle_key,
            "epochs_done": self._epochs_done,
            "history": self.history,
        }
        arrays = [array for layer in self._layers for array in layer]
        # Transposed, so that the tensors have the shapes of the attributes they are named after.
        tensors = {name: array.T for name, array in zip(_TENSORS, arrays, strict=True)}
        write_tensors(path, tensors, {"network": json.dumps(settings, allow_nan=False)})

    def __repr__(self) -> str:
        return (
            f"NN({self.input_neurons}, {self.hidden_neurons}, {self.output_neurons}, "
            f"learning_rate={self.lr:g}, epochs={self.epochs}, batch_size={self.batch_size}, "
            f"rule={self.rule!r}, dtype={self.dtype.name}, seed={self.seed}, "
            f"shuffle={self.shuffle}, backend={self.backend!r})"
        )

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        for made_anew in ("_backend", "_engine", "_layers"):
            del state[made_anew]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        # Copies, since `copy.copy` hands over the arrays and lists of the original.
        self.history = {key: list(values) for key, values in self.history.items()}
        self._backend = backends.get(self._backend_wanted)
        self._bind(self._parameters.copy())

    def _bind(self, parameters: FloatArray) -> None:
        """Make `parameters` the network's own and give them an engine."""
        self._parameters = parameters
        self._layers = self._network.unflatten(parameters)
        self._bias_rows = self._network.bias_rows(parameters.size)
        self._engine = self._backend.engine(self._network, parameters)

    def _draw_weights(self) -> None:
        source = np.random if self.seed is None else np.random.RandomState(self.seed)
        self.wih = source.normal(0.0, self.input_neurons**-0.5, self.wih.shape)
        self.who = source.normal(0.0, self.hidden_neurons**-0.5, self.who.shape)
        if self.rule == "exact" and self.shuffle:
            self._shuffle_key = int(source.randint(2**31 - 1))

    def _restore(self, tensors: dict[str, FloatArray], settings: dict[str, Any]) -> None:
        """Take over the state that `save` wrote, beyond the arguments of the constructor."""
        seed = settings["seed"]
        self.seed = None if seed is None else _whole("seed", seed, 0, 2**32 - 1)
        self._shuffle_key = _whole("shuffle_key", settings["shuffle_key"], 0)
        self._epochs_done = _whole("epochs_done", settings["epochs_done"], 0)
        self.history = {str(k): [float(v) for v in vs] for k, vs in settings["history"].items()}
        if self.rule == "article":
            self._bind(self._with_bias_rows(tensors["bih"].shape[-1]))
        for name, own in zip(_TENSORS, (a for layer in self._layers for a in layer), strict=True):
            if tensors[name].dtype != self.dtype:
                raise ValueError(f"{name}: expected {self.dtype}, found {tensors[name].dtype}")
            _assign(name, own.T, tensors[name])

    def _weights(self, layer: int) -> FloatArray:
        view: FloatArray = self._layers[layer][0].T
        return view

    def _bias(self, layer: int) -> FloatArray | int:
        if self.rule == "article" and not self._bias_rows:
            return 0
        view: FloatArray = self._layers[layer][1].T
        return view

    def _with_bias_rows(self, rows: int) -> FloatArray:
        """Return a copy of the article's parameters with `rows` rows of zero biases."""
        parameters = np.zeros(self._network.n_parameters(rows), self.dtype)
        for (weights, _), (own, _) in zip(
            self._network.unflatten(parameters), self._layers, strict=True
        ):
            weights[:] = own
        return parameters

    def _engine_for(self, samples: int) -> Engine:
        """Return the engine, after the article's rule has its biases for `samples` samples."""
        if self.rule == "article" and samples != self._bias_rows:
            if self._bias_rows:
                raise ValueError(
                    f"expected {self._bias_rows} samples, as many as were fitted, found {samples}: "
                    "the article's rule gives each training sample a bias of its own, and there "
                    "are none for other samples; use rule='exact', which has one bias per unit"
                )
            self._bind(self._with_bias_rows(samples))
        return self._engine

    def _as_data(self, X: npt.ArrayLike, T: npt.ArrayLike) -> tuple[FloatArray, FloatArray, bool]:
        x = as_samples(X, self.input_neurons, self.dtype)
        return x, *as_targets(T, len(x), self.output_neurons, self.dtype)

    def _validation(
        self, X: npt.ArrayLike, T: npt.ArrayLike
    ) -> Callable[[], tuple[float, float | None]]:
        """Return what measures loss and accuracy on `X` and `T`."""
        x, t, are_classes = self._as_data(X, T)
        y = np.empty_like(t)
        kernels = self._backend.kernels(self.dtype)

        def measure() -> tuple[float, float | None]:
            self._engine_for(len(x)).predict(x, y)
            hits = np.count_nonzero(y.argmax(axis=1) == t.argmax(axis=1))
            return kernels.squared_error(y, t), hits / len(x) if are_classes else None

        return measure

    def _recorder(
        self, on_epoch: Callable[[EpochRecord], None] | None
    ) -> Callable[[EpochRecord], None]:
        def record_epoch(record: EpochRecord) -> None:
            self._epochs_done = record.epoch
            for key in ("loss", "accuracy", "validation_loss", "validation_accuracy", "seconds"):
                value = getattr(record, key)
                if value is not None:
                    self.history.setdefault(key, []).append(value)
            if self.verbose:
                print(record)
            if on_epoch is not None:
                on_epoch(record)

        return record_epoch


def load(path: str | os.PathLike[str], *, backend: str = "auto") -> NN:
    """Return the network that `NN.save` wrote. Nothing in the file can run.

    Parameters
    ----------
    path : path-like
    backend : {"auto", "cython", "numpy"}
        See `cnn_core.backends.get`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    cnn_core.model_file.ModelFileError
        If the file is damaged, truncated, of a later version or not a model of ours.
    """
    tensors, metadata = read_tensors(path)
    try:
        return _restore(tensors, json.loads(metadata["network"]), backend)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelFileError(
            f"{os.fspath(path)}: expected the settings and weights of an NN, "
            f"found something else ({error})"
        ) from error


def _restore(tensors: dict[str, FloatArray], settings: dict[str, Any], backend: str) -> NN:
    if settings["class"] != "NN" or set(tensors) != set(_TENSORS):
        raise ValueError(f"a {settings['class']!r} with {', '.join(sorted(tensors))}")
    inputs, hidden, outputs = settings["network"]
    net = NN(
        inputs,
        hidden,
        outputs,
        learning_rate=settings["learning_rate"],
        epochs=settings["epochs"],
        batch_size=settings["batch_size"],
        rule=settings["rule"],
        dtype=settings["dtype"],
        # Any seed: the weights are replaced, and NumPy's global generator is left alone.
        seed=0,
        shuffle=settings["shuffle"],
        backend=backend,
    )
    net._restore(tensors, settings)
    return net


def _assign(name: str, target: FloatArray | int, value: npt.ArrayLike) -> None:
    """Copy `value` into the view `target`."""
    found = np.asarray(value)
    if found.shape != np.shape(target):
        raise ValueError(f"{name}: expected the shape {np.shape(target)}, found {found.shape}")
    if isinstance(target, np.ndarray):
        target[...] = found
    elif found != target:
        raise ValueError(f"{name}: the article's rule starts from 0, found {found}")


def _dtype(dtype: npt.DTypeLike | None, rule: Rule) -> np.dtype[Any]:
    if dtype is None:
        return _DTYPES[0] if rule == "exact" else _DTYPES[1]
    try:
        return _DTYPES[_DTYPES.index(np.dtype(dtype))]
    except (TypeError, ValueError):
        raise ValueError(f"dtype: expected float32 or float64, found {dtype!r}") from None


def _whole(name: str, value: Any, least: int, most: int | None = None) -> int:
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name}: expected a whole number, found {value!r}")
    number = int(value)
    if number < least or (most is not None and number > most):
        limits = f"at least {least}" if most is None else f"from {least} to {most}"
        raise ValueError(f"{name}: expected {limits}, found {number}")
    return number


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name}: expected True or False, found {value!r}")
    return bool(value)
