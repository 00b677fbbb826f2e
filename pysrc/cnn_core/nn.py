"""`NN`: a network of one hidden layer, small enough to remember."""

from __future__ import annotations

import json
import math
import numbers
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core import backends
from cnn_core.arrays import as_finite, as_numbers, as_samples, as_targets
from cnn_core.contracts import Engine
from cnn_core.model_file import ModelFileError, read_tensors, write_tensors
from cnn_core.network import RULES, Dense, FloatArray, Network, Rule
from cnn_core.training import EpochRecord, train

_DTYPES: tuple[np.dtype[Any], ...] = (np.dtype(np.float32), np.dtype(np.float64))
_TENSORS = ("wih", "bih", "who", "bho")
# Before the name of a tensor of the history.
_HISTORY = "history."


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
        ``validation_accuracy`` and ``seconds``, one value for each epoch that had one: those on
        validation data only for epochs that were given some.

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

    # So that a misspelt attribute is an error and not a setting that has no effect.
    __slots__ = (
        "__weakref__",
        "_backend",
        "_backend_wanted",
        "_batch_size",
        "_bias_rows",
        "_dtype",
        "_engine",
        "_epochs",
        "_epochs_done",
        "_layers",
        "_lr",
        "_network",
        "_parameters",
        "_rule",
        "_shuffle",
        "_shuffle_key",
        "_training",
        "_verbose",
        "history",
        "seed",
    )

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
        sizes = (
            _whole("input_neurons", input_neurons, 1),
            _whole("hidden_neurons", hidden_neurons, 1),
            _whole("output_neurons", output_neurons, 1),
        )
        self.lr = learning_rate
        self.epochs = epochs
        self.batch_size = batch_size
        if rule not in RULES:
            raise ValueError(f"rule: expected 'exact' or 'article', found {rule!r}")
        self._rule: Rule = rule
        self._dtype = _dtype(dtype, rule)
        self.seed = None if seed is None else _whole("seed", seed, 0, 2**32 - 1)
        self.shuffle = shuffle
        self.verbose = verbose
        self.history: dict[str, list[float]] = {}
        self._network = Network((Dense(*sizes[:2]), Dense(*sizes[1:])), rule=rule)
        self._training = threading.Lock()
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
    def shuffle(self) -> bool:
        """Whether every epoch sees the samples in another order."""
        return self._shuffle

    @shuffle.setter
    def shuffle(self, value: bool) -> None:
        if not isinstance(value, bool | np.bool_):
            raise TypeError(f"shuffle: expected True or False, found {value!r}")
        self._shuffle = bool(value)

    @property
    def verbose(self) -> int:
        """1 to print a line per epoch, 0 for silence."""
        return self._verbose

    @verbose.setter
    def verbose(self, value: int) -> None:
        self._verbose = _whole("verbose", int(value) if isinstance(value, bool) else value, 0)

    @property
    def input_neurons(self) -> int:
        """Features of a sample."""
        return self._network.n_inputs

    @property
    def hidden_neurons(self) -> int:
        """Hidden units."""
        return self._network.layers[0].fan_out

    @property
    def output_neurons(self) -> int:
        """Outputs."""
        return self._network.n_outputs

    @property
    def rule(self) -> Rule:
        """The rule of learning, ``"exact"`` or ``"article"``."""
        return self._rule

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of weights and outputs."""
        return self._dtype

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
        RuntimeError
            If this network is being trained already, by another thread or by the caller of
            `on_epoch`.
        """
        x, t, are_classes = self._as_data(X, T)
        validate = None if validation is None else self._validation(validation, len(x))
        article = self.rule == "article"
        with self._exclusively():
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
        TypeError, ValueError, RuntimeError
            As `fit` does.
        """
        x, t, _ = self._as_data(X, T)
        with self._exclusively():
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
        }
        arrays = [array for layer in self._layers for array in layer]
        # Transposed, so that the tensors have the shapes of the attributes they are named after.
        tensors = {name: array.T for name, array in zip(_TENSORS, arrays, strict=True)}
        for key, values in self.history.items():
            tensors[_HISTORY + key] = np.array(values, np.float64)
        write_tensors(path, tensors, {"network": json.dumps(settings, allow_nan=False)})

    def __repr__(self) -> str:
        return (
            f"NN({self.input_neurons}, {self.hidden_neurons}, {self.output_neurons}, "
            f"learning_rate={self.lr:g}, epochs={self.epochs}, batch_size={self.batch_size}, "
            f"rule={self.rule!r}, dtype={self.dtype.name}, seed={self.seed}, "
            f"shuffle={self.shuffle}, backend={self.backend!r})"
        )

    def __getstate__(self) -> dict[str, Any]:
        made_anew = ("__weakref__", "_backend", "_engine", "_layers", "_training")
        return {name: getattr(self, name) for name in self.__slots__ if name not in made_anew}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)
        # Copies, since `copy.copy` hands over the arrays and lists of the original.
        self.history = {key: list(values) for key, values in self.history.items()}
        self._backend = backends.get(self._backend_wanted)
        self._training = threading.Lock()
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
        self.history = {
            key.removeprefix(_HISTORY): values.tolist()
            for key, values in tensors.items()
            if key.startswith(_HISTORY)
        }
        if self.rule == "article":
            self._bind(self._with_bias_rows(tensors["bih"].shape[-1]))
        for name, own in zip(_TENSORS, (a for layer in self._layers for a in layer), strict=True):
            if tensors[name].dtype != self.dtype:
                raise ValueError(f"{name}: expected {self.dtype}, found {tensors[name].dtype}")
            # Not checked for finite values: what was saved comes back, whatever it is.
            own.T[...] = tensors[name]

    @contextmanager
    def _exclusively(self) -> Iterator[None]:
        """Claim the network for a training."""
        if not self._training.acquire(blocking=False):
            raise RuntimeError(
                "this network is being trained already, by another thread or by whoever called "
                "on_epoch; wait for it, or train a copy: copy.deepcopy(net)"
            )
        try:
            yield
        finally:
            self._training.release()

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
                raise ValueError(_other_samples(self._bias_rows, samples))
            self._bind(self._with_bias_rows(samples))
        return self._engine

    def _as_data(
        self, X: npt.ArrayLike, T: npt.ArrayLike, part: str = ""
    ) -> tuple[FloatArray, FloatArray, bool]:
        x = as_samples(X, self.input_neurons, self.dtype, name=f"{part}X")
        return x, *as_targets(T, len(x), self.output_neurons, self.dtype, name=f"{part}T")

    def _validation(
        self, validation: tuple[npt.ArrayLike, npt.ArrayLike], samples: int
    ) -> Callable[[], tuple[float, float | None]]:
        """Return what measures loss and accuracy on the validation data."""
        if not isinstance(validation, tuple | list) or len(validation) != 2:
            raise TypeError(
                f"validation: expected a pair (X, T), found {type(validation).__name__}"
            )
        x, t, are_classes = self._as_data(*validation, part="validation ")
        if self.rule == "article" and len(x) != samples:
            raise ValueError(f"validation: {_other_samples(samples, len(x))}")
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
    backends.get(backend)
    tensors, metadata = read_tensors(path)
    try:
        return _restore(tensors, json.loads(metadata["network"]), backend)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ModelFileError(
            f"{os.fspath(path)}: expected the settings and weights of an NN, "
            f"found something else ({error})"
        ) from error


def _restore(tensors: dict[str, FloatArray], settings: dict[str, Any], backend: str) -> NN:
    names = {name for name in tensors if not name.startswith(_HISTORY)}
    if settings["class"] != "NN" or names != set(_TENSORS):
        raise ValueError(f"a {settings['class']!r} with {', '.join(sorted(tensors))}")
    inputs, hidden, outputs = settings["network"]
    # Before memory is taken for a network of the sizes that the settings claim.
    for name, shape in (("wih", (hidden, inputs)), ("who", (outputs, hidden))):
        if tensors[name].shape != shape:
            raise ValueError(f"{name}: expected the shape {shape}, found {tensors[name].shape}")
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
    """Copy `value`, finite numbers, into the view `target`."""
    found = as_numbers(value, name)
    if found.shape != np.shape(target):
        raise ValueError(f"{name}: expected the shape {np.shape(target)}, found {found.shape}")
    if isinstance(target, np.ndarray):
        target[...] = as_finite(found, target.dtype, name)
    elif found != target:
        raise ValueError(f"{name}: the article's rule starts from 0, found {found}")


def _other_samples(fitted: int, found: int) -> str:
    return (
        f"expected {fitted} samples, as many as were fitted, found {found}: the article's rule "
        "gives each training sample a bias of its own, and there are none for other samples; use "
        "rule='exact', which has one bias per unit"
    )


def _dtype(dtype: npt.DTypeLike | None, rule: Rule) -> np.dtype[Any]:
    if dtype is None:
        return _DTYPES[0] if rule == "exact" else _DTYPES[1]
    try:
        return _DTYPES[_DTYPES.index(np.dtype(dtype))]
    except (TypeError, ValueError):
        raise ValueError(f"dtype: expected float32 or float64, found {dtype!r}") from None


def _whole(name: str, value: Any, least: int, most: int = sys.maxsize) -> int:
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name}: expected a whole number, found {value!r}")
    number = int(value)
    if not least <= number <= most:
        limits = f"at least {least}" if number < least else f"at most {most}"
        raise ValueError(f"{name}: expected {limits}, found {number}")
    return number
