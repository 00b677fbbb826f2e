"""`NN`: a network of one hidden layer, small enough to remember."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core import backends
from cnn_core.arrays import as_numbers, as_samples, as_targets, require_finite
from cnn_core.contracts import Engine, Predictor
from cnn_core.network import RULES, ByteArray, Dense, FloatArray, Network, Rule
from cnn_core.nn_file import SavedNetwork, blamed_on, read_network, write_network
from cnn_core.parameters import Parameters
from cnn_core.settings import TrainingSettings, parameters_dtype, scale, whole
from cnn_core.training import EpochRecord, train

# As many as fit into a C int; the compiled backend starts no more than 255.
MOST_THREADS = 2**31 - 1


class NN(TrainingSettings):
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
    input_scale : float
        Every input is multiplied by it, in training and afterwards. Other than 0.
        For bytes (uint8) from 0 to 255 the usual choice is ``1 / 255``: samples that are bytes stay
        bytes, without a copy, however many they are.
    n_threads : int, optional
        At most so many threads take part in a step or a prediction; small ones use fewer. By
        default `CNN_CORE_NUM_THREADS`, where that is unset as many as the process may use cores.
        They change no bit of any result. The NumPy backend leaves threads to its BLAS.

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
        What the network was made with; `backend` is the name of the one that computes.
    n_threads : int or None
        Most threads in use; None where NumPy's BLAS decides.
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
        "_dtype",
        "_engine",
        "_epochs_done",
        "_network",
        "_parameters",
        "_shuffle_key",
        "_threads",
        "_threads_wanted",
        "_training",
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
        if rule not in RULES:
            raise ValueError(f"rule: expected 'exact' or 'article', found {rule!r}")
        self._dtype = parameters_dtype(dtype, rule)
        self.seed = _seed(seed)
        self.shuffle = shuffle
        self.verbose = verbose
        self.history: dict[str, list[float]] = {}
        self._network = Network(
            (Dense(*sizes[:2]), Dense(*sizes[1:])),
            rule=rule,
            input_scale=scale("input_scale", input_scale, self._dtype),
        )
        self._training = threading.Lock()
        self._backend_wanted = backend
        self._backend = backends.get(backend)
        self._threads_wanted = n_threads
        self._epochs_done = 0
        self._shuffle_key = 0
        self._bind(Parameters.zeros(self._network, self._dtype))
        self._draw_weights()

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
        return self._network.rule

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of weights and outputs."""
        return self._dtype

    @property
    def backend(self) -> str:
        """The name of the backend in use."""
        return self._backend.name

    @property
    def input_scale(self) -> float:
        """What every input is multiplied by."""
        return self._network.input_scale

    @property
    def n_threads(self) -> int | None:
        """Most threads in use; None where NumPy's BLAS decides."""
        return self._threads

    @property
    def wih(self) -> FloatArray:
        """Weights from the inputs to the hidden units, (hidden, input): a view."""
        return self._parameters.weights("wih")

    @wih.setter
    def wih(self, value: npt.ArrayLike) -> None:
        self._parameters.assign("wih", value)

    @property
    def who(self) -> FloatArray:
        """Weights from the hidden units to the outputs, (output, hidden): a view."""
        return self._parameters.weights("who")

    @who.setter
    def who(self, value: npt.ArrayLike) -> None:
        self._parameters.assign("who", value)

    @property
    def bih(self) -> FloatArray | int:
        """Biases of the hidden units: a view."""
        return self._parameters.bias("bih")

    @bih.setter
    def bih(self, value: npt.ArrayLike) -> None:
        self._parameters.assign("bih", value)

    @property
    def bho(self) -> FloatArray | int:
        """Biases of the outputs: a view."""
        return self._parameters.bias("bho")

    @bho.setter
    def bho(self, value: npt.ArrayLike) -> None:
        self._parameters.assign("bho", value)

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
            Samples: real numbers of any dtype, which `input_scale` should bring to about [0, 1].
            Bytes (uint8) are trained on as they are; so are, without a copy, C-contiguous arrays of
            the network's dtype.
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

        See Also
        --------
        predictor : for small numbers of samples at a time, with less ado.
        """
        network = self._network
        x = as_samples(
            X, network.n_inputs, self._dtype, empty_allowed=True, finite_unless_as_is=True
        )
        y: FloatArray = np.empty((len(x), network.n_outputs), self._dtype)
        if not self._engine_to_predict(len(x)).predict(x, y):
            require_finite(x, x, "X")
        return y

    def predictor(self, rows: int = 1) -> Predictor:
        """Return a callable that predicts `rows` samples at a time, with everything laid out.

        Called with `x`, (rows, input) or for one row (input,), it returns the outputs,
        (rows, output). What makes it fast is what it leaves out:

        - `x` is a C-contiguous array of the network's dtype or of bytes (uint8); nothing else is
          converted;
        - that its values are finite is not checked;
        - the array that it returns is its own, which the next call overwrites: copy what is to
          stay.

        It sees the network as it is when it is called, so that it need not be made anew after
        more training. It is for one thread at a time; make one for each thread.

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
            If `rows` is no whole number of at least 1, and for the article's rule. When it is
            called: for samples of another shape, dtype or layout.

        Examples
        --------
        >>> import numpy as np
        >>> net = NN(4, 3, 2, learning_rate=0.5, epochs=1, seed=0)
        >>> predict = net.predictor()
        >>> x = np.ones(4, np.float32)
        >>> predict(x).shape
        (1, 2)
        """
        return self._engine.predictor(whole("rows", rows, 1))

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
        self._backend.kernels(rows.dtype).activate("sigmoid", rows, out)
        return out.reshape(values.shape)

    def sigmoid_derivative(self, z: npt.ArrayLike) -> FloatArray:
        """Return ``activation(z) * (1 - activation(z))`` of each value, in the shape of `z`."""
        a = self.activation(z)
        rows = a.reshape(1, -1)
        out = np.empty_like(rows)
        kernels = self._backend.kernels(rows.dtype)
        kernels.activation_backward("sigmoid", rows, np.ones_like(rows), out)
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
        write_network(
            path,
            SavedNetwork(
                sizes=(self.input_neurons, self.hidden_neurons, self.output_neurons),
                settings={
                    "learning_rate": self.lr,
                    "epochs": self.epochs,
                    "batch_size": self.batch_size,
                    "rule": self.rule,
                    "dtype": self.dtype.name,
                    "seed": self.seed,
                    "shuffle": self.shuffle,
                    "shuffle_key": self._shuffle_key,
                    "epochs_done": self._epochs_done,
                    "input_scale": self.input_scale,
                },
                tensors=self._parameters.tensors(),
                history=self.history,
            ),
        )

    def __repr__(self) -> str:
        return (
            f"NN({self.input_neurons}, {self.hidden_neurons}, {self.output_neurons}, "
            f"learning_rate={self.lr:g}, epochs={self.epochs}, batch_size={self.batch_size}, "
            f"rule={self.rule!r}, dtype={self.dtype.name}, seed={self.seed}, "
            f"shuffle={self.shuffle}, backend={self.backend!r}, "
            f"input_scale={self.input_scale:g}, n_threads={self.n_threads})"
        )

    def __getstate__(self) -> dict[str, Any]:
        made_anew = ("__weakref__", "_backend", "_engine", "_parameters", "_threads", "_training")
        names = (*TrainingSettings.__slots__, *NN.__slots__)
        state = {name: getattr(self, name) for name in names if name not in made_anew}
        return {**state, "parameters": self._parameters.flat}

    def __setstate__(self, state: dict[str, Any]) -> None:
        # Copies, since `copy.copy` hands over the arrays and lists of the original.
        parameters = state["parameters"].copy()
        for name, value in state.items():
            if name != "parameters":
                setattr(self, name, value)
        self.history = {key: list(values) for key, values in self.history.items()}
        self._backend = backends.get(self._backend_wanted)
        self._training = threading.Lock()
        self._bind(Parameters(self._network, parameters))

    def _bind(self, parameters: Parameters) -> None:
        """Make `parameters` the network's own and give them an engine."""
        self._threads = _threads(self._backend, self._threads_wanted)
        self._parameters = parameters
        self._engine = self._new_engine(parameters)

    def _new_engine(self, parameters: Parameters) -> Engine:
        return self._backend.engine(self._network, parameters.flat, threads=self._threads)

    def _draw_weights(self) -> None:
        source = np.random if self.seed is None else np.random.RandomState(self.seed)
        self.wih = source.normal(0.0, self.input_neurons**-0.5, self.wih.shape)
        self.who = source.normal(0.0, self.hidden_neurons**-0.5, self.who.shape)
        if self.rule == "exact" and self.shuffle:
            self._shuffle_key = int(source.randint(2**31 - 1))

    def _restore(self, saved: SavedNetwork) -> None:
        """Take over what a file holds beyond the arguments of the constructor."""
        self.seed = _seed(saved.settings["seed"])
        self._shuffle_key = whole("shuffle_key", saved.settings["shuffle_key"], 0)
        self._epochs_done = whole("epochs_done", saved.settings["epochs_done"], 0)
        self.history = saved.history
        if self.rule == "article":
            self._bind(self._parameters.with_bias_rows(saved.tensors["bih"].shape[-1]))
        self._parameters.restore(saved.tensors)

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

    def _engine_for(self, samples: int) -> Engine:
        """Return the engine, after the article's rule has its biases for `samples` samples."""
        fitted = self._parameters.bias_rows
        if self._network.rule == "article" and samples != fitted:
            if fitted:
                raise ValueError(_other_samples(fitted, samples))
            self._bind(self._parameters.with_bias_rows(samples))
        return self._engine

    def _engine_to_predict(self, samples: int) -> Engine:
        if self._network.rule == "article" and not self._parameters.bias_rows:
            # Not fitted yet: its biases are the number 0, which goes with any number of samples.
            return self._new_engine(self._parameters.with_bias_rows(samples))
        return self._engine_for(samples)

    def _as_data(
        self, X: npt.ArrayLike, T: npt.ArrayLike, part: str = ""
    ) -> tuple[FloatArray | ByteArray, FloatArray, bool]:
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
            # The squared error looks at the outputs alone, so that they can stand for z as well.
            loss = kernels.loss("squared_error", y, y, t)
            return loss, hits / len(x) if are_classes else None

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


def load(
    path: str | os.PathLike[str], *, backend: str = "auto", n_threads: int | None = None
) -> NN:
    """Return the network that `NN.save` wrote. Nothing in the file can run.

    Parameters
    ----------
    path : path-like
    backend : {"auto", "cython", "numpy"}
        See `cnn_core.backends.get`.
    n_threads : int, optional
        As for `NN`: it belongs to the machine and is not kept in the file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    cnn_core.model_file.ModelFileError
        If the file is damaged, truncated, of a later version or not a model of ours.
    """
    # What is wrong with these must not be blamed on the file.
    _threads(backends.get(backend), n_threads)
    saved = read_network(path)
    with blamed_on(path):
        return _restored(saved, backend, n_threads)


def _restored(saved: SavedNetwork, backend: str, n_threads: int | None) -> NN:
    settings = saved.settings
    net = NN(
        *saved.sizes,
        learning_rate=settings["learning_rate"],
        epochs=settings["epochs"],
        batch_size=settings["batch_size"],
        rule=settings["rule"],
        dtype=settings["dtype"],
        # Any seed: the weights are replaced, and NumPy's global generator is left alone.
        seed=0,
        shuffle=settings["shuffle"],
        backend=backend,
        # Files of the first version have none.
        input_scale=settings.get("input_scale", 1.0),
        n_threads=n_threads,
    )
    net._restore(saved)
    return net


def _threads(backend: backends.Backend, wanted: int | None) -> int | None:
    """Return the threads that were asked for, else those that the backend uses by default."""
    if wanted is None:
        return backend.threads
    threads = whole("n_threads", wanted, 1, MOST_THREADS)
    return None if backend.name == "numpy" else threads


def _seed(seed: int | None) -> int | None:
    return None if seed is None else whole("seed", seed, 0, 2**32 - 1)


def _other_samples(fitted: int, found: int) -> str:
    return (
        f"expected {fitted} samples, as many as were fitted, found {found}: the article's rule "
        "gives each training sample a bias of its own, and there are none for other samples; use "
        "rule='exact', which has one bias per unit"
    )
