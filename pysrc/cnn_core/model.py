"""`Model`: a network and all that it has learned; every face of the library holds one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cnn_core import backends
from cnn_core.arrays import require_finite
from cnn_core.backends.alignment import aligned
from cnn_core.backends.interface import Engine, Predictor
from cnn_core.exclusive import Exclusive
from cnn_core.initializers import Initializer, Random, initialize
from cnn_core.interrupts import all_or_nothing
from cnn_core.layers import LayerArrays
from cnn_core.losses import NEEDED_ACTIVATION
from cnn_core.model_data import (
    as_model_arrays,
    as_model_samples,
    as_training_data,
    require_output,
)
from cnn_core.network import Network
from cnn_core.optimizers import SGD
from cnn_core.training import loop
from cnn_core.training.callbacks import Callback
from cnn_core.training.snapshot import ModelState, Snapshot, first_snapshot, weights_of
from cnn_core.training.state import Recipe, TrainingData, TrainingState, Validation
from cnn_core.types import ByteArray, FloatArray
from cnn_core.validation import parameters_dtype, whole

if TYPE_CHECKING:
    from cnn_core.checkpoints import Checkpoint
    from cnn_core.saved_model import ModelFile


class Model:
    """A network with its parameters, its optimizer's state, its history and its engine.

    Here and below, samples and targets are arrays that were checked at the edge (`cnn_core.arrays`,
    or an estimator's own checks): C-contiguous, the samples in the model's dtype or uint8, the
    targets in the model's dtype.

    Parameters
    ----------
    network : Network
    dtype : numpy.float32 or numpy.float64
        Of the parameters and outputs.
    seed : int
        From 0 to below ``2**64``: the key of the dropout and of the order of the samples.
    backend : {"auto", "cython", "numpy"}
        See `cnn_core.backends.get`.
    n_threads : int, optional
        At most so many threads take part in a step; by default `CNN_CORE_NUM_THREADS`, else as
        many as the process may use cores. They change no bit of any result.
    bias_rows : int, optional
        Rows of each bias; by default 1 for the exact rule and 0 for the article's.

    Attributes
    ----------
    network, dtype, seed
        What the model was made with.
    backend : str
        The name of the one that computes.
    n_threads : int or None
        Most threads in use; None where NumPy's BLAS decides.
    parameters : (n_parameters,) array
        All weights, biases and gains, zeros at first; see `initialize`. Whoever writes into it
        changes the network.
    layers : list of LayerArrays
        Views of `parameters`.
    statistics : (n_statistics,) array
        The running averages of batch normalization.
    moments : (n_moments, n_parameters) array
        What the optimizer keeps from step to step.
    average : (n_parameters,) array or None
        The average of the parameters, which predictions go by; None if `Network.averaging` is 0.
    steps : int
        Steps taken by the optimizer: its formulas, the dropout and the average count them.
    epochs_done, samples_done : int
        Epochs, and samples trained on in them, over all trainings.
    history : dict of str to list of float
        What each epoch had of ``loss``, ``accuracy``, ``validation_loss``,
        ``validation_accuracy``, ``validation_score``, ``learning_rate`` and ``seconds``.

    Raises
    ------
    TypeError, ValueError, BackendUnavailableError
        For an argument of another kind or outside its range.

    Examples
    --------
    >>> import numpy as np
    >>> from cnn_core.network import Dense, Network
    >>> from cnn_core.optimizers import Adam
    >>> network = Network(
    ...     (Dense(2, 16, "tanh"), Dense(16, 1, "sigmoid")), "binary_cross_entropy", Adam()
    ... )
    >>> x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
    >>> t = np.array([[0], [1], [1], [0]], np.float32)
    >>> model = Model(network).initialize("auto", np.random.RandomState(0))
    >>> state = model.train(x, t, Recipe(epochs=300, batch_size=4, learning_rate=0.05))
    >>> model.predict(x).round().ravel()
    array([0., 1., 1., 0.], dtype=float32)
    """

    def __init__(
        self,
        network: Network,
        *,
        dtype: npt.DTypeLike = np.float32,
        seed: int = 0,
        backend: str = "auto",
        n_threads: int | None = None,
        bias_rows: int | None = None,
    ) -> None:
        self.network = network
        self.dtype = parameters_dtype(dtype, network.rule)
        network.require_dtype(self.dtype)
        self.seed = whole("seed", seed, 0, 2**64 - 1)
        self.epochs_done = 0
        self.samples_done = 0
        self.history: dict[str, list[float]] = {}
        self._backend_wanted = backend
        self._threads_wanted = n_threads
        if bias_rows is None:
            bias_rows = 1 if network.rule == "exact" else 0
        self._bind(first_snapshot(network, self.dtype, bias_rows))

    @property
    def backend(self) -> str:
        """The name of the backend that computes."""
        return self._backend.name

    @property
    def steps(self) -> int:
        """Steps taken by the optimizer."""
        return self._engine.steps

    @steps.setter
    def steps(self, steps: int) -> None:
        self._engine.steps = steps

    @property
    def layers(self) -> list[LayerArrays]:
        """Views of `parameters`, layer by layer."""
        return self.network.unflatten(self.parameters)

    @property
    def predicting_layers(self) -> list[LayerArrays]:
        """Views of what predictions go by: `average` if there is one, else `parameters`."""
        return self.network.unflatten(self.parameters if self.average is None else self.average)

    def initialize(self, names: Initializer | Sequence[Initializer], random: Random) -> Model:
        """Fill the parameters with first values, and the average with the same; return the model.

        Parameters
        ----------
        names : str or sequence of str
            See `cnn_core.initializers.initialize`.
        random : numpy.random.RandomState or numpy.random

        Raises
        ------
        ValueError
            For a name that is not known.
        """
        initialize(self.network, self.parameters, names, random)
        if self.average is not None:
            self.average[...] = self.parameters
        return self

    # Training

    def train(
        self,
        x: FloatArray | ByteArray,
        t: FloatArray,
        recipe: Recipe,
        *,
        weights: FloatArray | None = None,
        are_classes: bool = False,
        validation: Validation | None = None,
        callbacks: Iterable[Callback] = (),
        owner: Any = None,
        checkpoint: Checkpoint | str | os.PathLike[str] | None = None,
        seeded: bool = True,
    ) -> TrainingState:
        """Train by a recipe, going on from where the model stands.

        Parameters
        ----------
        x : (n, n_inputs) array
        t : (n, n_outputs) array
        recipe : Recipe
        weights : (n,) array, optional
            Of the model's dtype, at least 0: what each sample counts.
        are_classes : bool
            Whether the targets are rows of classes, whose largest output is the answer: there is
            an accuracy then.
        validation : Validation, optional
            What is measured after every epoch.
        callbacks : iterable of Callback
        owner : object, optional
            What callbacks are to see as the one that is trained, with a `save` method; by default
            the model.
        checkpoint : Checkpoint or path-like, optional
            A file from which the same call, on a model as this one is now, goes on after being
            killed: what it learns in the end is what it would have learned without a pause, bit
            for bit. See `cnn_core.Checkpoint`.
        seeded : bool
            Whether the seed was chosen; otherwise that of the checkpoint is taken where there is
            one, whatever the first weights are.

        Returns
        -------
        TrainingState
            As the training left it.

        Raises
        ------
        TypeError
            For what is not an array, and for masked ones.
        ValueError
            For arrays that are not as they have to be, weights below 0 or not finite, no samples;
            if the recipe monitors something that is not measured.
        CheckpointError, ModelFileError
            If the checkpoint is that of another training, or no whole file. Both are ``ValueError``
            and raised before anything is changed.
        OSError
            If a checkpoint cannot be written; the one before it is still there then.
        DivergenceError
            If the loss explodes or is not finite; the last good weights are put back.
        RuntimeError
            If the model is being trained already, by another thread or by its caller's callback.
        """
        data = self._training_data(TrainingData(x, t, weights, are_classes, validation))
        open_checkpoint = None
        if checkpoint is not None:
            # Here and below: what most processes never need is imported when they do.
            from cnn_core.checkpoints import CheckpointSession

            open_checkpoint = partial(CheckpointSession, checkpoint, seeded=seeded)
        return loop.train(
            self,
            data,
            recipe,
            callbacks=callbacks,
            owner=owner,
            open_checkpoint=open_checkpoint,
        )

    def minimize(
        self,
        x: FloatArray | ByteArray,
        t: FloatArray,
        recipe: Recipe,
        *,
        max_evaluations: int = 15_000,
        weights: FloatArray | None = None,
        validation: Validation | None = None,
        callbacks: Iterable[Callback] = (),
        owner: Any = None,
    ) -> TrainingState:
        """Train by L-BFGS on all the samples at once; see `cnn_core.training.lbfgs.minimize`."""
        from cnn_core.training import lbfgs

        data = self._training_data(TrainingData(x, t, weights, validation=validation))
        return lbfgs.minimize(
            self, data, recipe, max_evaluations=max_evaluations, callbacks=callbacks, owner=owner
        )

    def step(
        self,
        x: FloatArray | ByteArray,
        t: FloatArray,
        learning_rate: float,
        weights: FloatArray | None = None,
    ) -> float:
        """Take one step on all the samples given; return the loss before it.

        Raises
        ------
        TypeError, ValueError
            For arrays that are not as they have to be.
        RuntimeError
            If the model is being trained already.
        """
        data = self._training_data(TrainingData(x, t, weights))
        with self.exclusively() as engine:
            loss, _ = engine.train_epoch(
                data.x, data.t, None, len(data.x), learning_rate, data.weights
            )
        return loss

    @contextmanager
    def exclusively(self) -> Iterator[Engine]:
        """Keep other trainings out, and give the engine.

        Raises
        ------
        RuntimeError
            If it is being trained already.
        """
        with self._training.held(
            "this network is being trained already, by another thread or by whoever called "
            "on_epoch or a callback; wait for it, or train a copy: copy.deepcopy(net)"
        ):
            yield self._engine

    # Using it

    def predict(self, x: FloatArray | ByteArray, out: FloatArray | None = None) -> FloatArray:
        """Return the outputs, (n, n_outputs), by the average of the parameters if there is one.

        Parameters
        ----------
        x : (n, n_inputs) array
        out : (n, n_outputs) array, optional
            Written to and returned. It shares no memory with `x` or with the model.

        Raises
        ------
        TypeError, ValueError
            For arrays that are not as they have to be, and for a value of `x` that is not finite,
            the only thing that need not be checked before.
        """
        x = as_model_samples(x, self.network, self.dtype, "x")
        if out is None:
            out = np.empty((len(x), self.network.n_outputs), self.dtype)
        else:
            require_output(out, self.network, self.dtype, x=x, **self.arrays())
        if not self._predicting.predict(x, out):
            require_finite(x, x, "X")
        return out

    def predictor(self, rows: int) -> Predictor:
        """Return a predictor of `rows` samples at a time; see `cnn_core.contracts.Predictor`."""
        return self._predicting.predictor(rows)

    def evaluate(
        self,
        x: FloatArray | ByteArray,
        t: FloatArray,
        weights: FloatArray | None = None,
        out: FloatArray | None = None,
    ) -> tuple[float, FloatArray]:
        """Return the loss, without the term of `Network.l2`, and the outputs.

        A loss that looks at the pre-activations of the last layer is given the true ones: it is as
        exact as that of a training.

        Parameters
        ----------
        x : (n, n_inputs) array
        t : (n, n_outputs) array
        weights : (n,) array, optional
        out : (n, n_outputs) array, optional
            The outputs are written to it. It shares no memory with the others or with the model.

        Raises
        ------
        TypeError, ValueError
            For arrays that are not as they have to be.
        """
        x, t, weights = as_model_arrays(x, t, weights, self.network, self.dtype)
        if out is None:
            out = np.empty_like(t)
        else:
            read = {"t": t, "weights": weights, **self.arrays()}
            require_output(out, self.network, self.dtype, x=x, **read)
        kernels, network = self._backend.kernels(self.dtype), self.network
        z = out
        if network.loss in NEEDED_ACTIVATION:
            z = np.empty_like(out)
            self._pre_activations(x, z)
            kernels.activate(network.layers[-1].activation, z, out)
        else:
            self._predicting.predict(x, out)
        return kernels.loss(network.loss, z, out, t, weights), out

    # Its edge

    def as_model_data(
        self, x: FloatArray | ByteArray, t: FloatArray
    ) -> tuple[Model, FloatArray | ByteArray, FloatArray]:
        """Return the model, and samples and targets as `train` would take them.

        Raises
        ------
        TypeError, ValueError
            As `train` does.
        """
        data = self._training_data(TrainingData(x, t))
        return self, data.x, data.t

    def _training_data(self, data: TrainingData) -> TrainingData:
        return as_training_data(data, self.network, self.dtype, tuple(self.arrays().values()))

    # What it consists of

    def arrays(self) -> dict[str, FloatArray]:
        """Return the arrays that steps change, themselves, by the names of the attributes."""
        return {
            "parameters": self.parameters,
            "statistics": self.statistics,
            "moments": self.moments,
            **({} if self.average is None else {"average": self.average}),
        }

    def weights(self) -> dict[str, FloatArray]:
        """Return the arrays that outputs depend on: `arrays` without `moments` and empty ones."""
        return weights_of(self.arrays())

    def is_finite(self) -> bool:
        """Tell whether all weights are finite."""
        return all(np.isfinite(array).all() for array in self.weights().values())

    def rollback(self, weights: dict[str, FloatArray]) -> None:
        """Write a copy of `weights` back; the optimizer starts anew."""
        for name, array in self.weights().items():
            array[...] = weights[name]
        self.moments[...] = 0
        self._engine.steps = 0

    def snapshot(self) -> Snapshot:
        """Return a copy of all that steps change."""
        return Snapshot({name: a.copy() for name, a in self.arrays().items()}, self.steps)

    def state(self) -> ModelState:
        """Return all that the model consists of, its arrays and its history themselves."""
        return ModelState(
            self.network,
            self.dtype,
            self.seed,
            Snapshot(self.arrays(), self.steps),
            self.epochs_done,
            self.samples_done,
            self.history,
        )

    @classmethod
    def from_state(
        cls, state: ModelState, *, backend: str = "auto", n_threads: int | None = None
    ) -> Model:
        """Return the model that consists of `state`, whose arrays become its own.

        Raises
        ------
        TypeError, ValueError, BackendUnavailableError
            As `Model` does.
        """
        model = cls.__new__(cls)
        model.__setstate__(
            {
                "network": state.network,
                "dtype": state.dtype,
                "seed": state.seed,
                "epochs_done": state.epochs_done,
                "samples_done": state.samples_done,
                "history": state.history,
                "_backend_wanted": backend,
                "_threads_wanted": n_threads,
                "snapshot": state.snapshot,
            }
        )
        return model

    def restore(self, snapshot: Snapshot) -> None:
        """Write a snapshot back, as a whole: the model is as it was, its history excepted."""
        with all_or_nothing(lambda: self._write_back(snapshot)):
            self._write_back(snapshot)

    def _write_back(self, snapshot: Snapshot) -> None:
        for name, array in self.arrays().items():
            array[...] = snapshot.arrays[name]
        self._engine.steps = snapshot.steps

    def take_seed(self, seed: int) -> None:
        """Take another seed for the dropout and the order of the samples; the rest stays.

        Raises
        ------
        RuntimeError
            If the model is being trained.
        """
        with self.exclusively():
            self.seed = whole("seed", seed, 0, 2**64 - 1)
        self._bind(Snapshot(self.arrays(), self.steps))

    @property
    def bias_rows(self) -> int:
        """Rows of each bias: 1 but for the article's rule."""
        return self.network.bias_rows(self.parameters.size)

    def take_bias_rows(self, rows: int) -> None:
        """Give each bias `rows` rows, zeros, for the article's rule; the weights stay."""
        layers = self.layers
        self._bind(first_snapshot(self.network, self.dtype, rows))
        for old, new in zip(layers, self.layers, strict=True):
            new.weights[...] = old.weights

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to a file that `cnn_core.load` reads.

        The layout is that of safetensors, which holds numbers and text and nothing that could run.
        The file is complete or not there: a file that it replaces stays until the new one is whole.

        Raises
        ------
        OSError
            If the file cannot be written.
        """
        from cnn_core.saved_model import write_model

        write_model(path, self.state())

    def __repr__(self) -> str:
        network = self.network
        sizes = "-".join(str(size) for size in (network.n_inputs, *_units(network)))
        return (
            f"<Model {sizes}, {network.loss}, {network.optimizer}, {self.dtype}, "
            f"{self.steps} steps, backend {self.backend!r}>"
        )

    def __getstate__(self) -> dict[str, Any]:
        return {**{name: getattr(self, name) for name in _KEPT}, "snapshot": self.snapshot()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name in _KEPT:
            setattr(self, name, state[name])
        # Copies, since `copy.copy` hands over what the original's attributes hold.
        self.history = {key: list(values) for key, values in self.history.items()}
        snapshot: Snapshot = state["snapshot"]
        # joblib may hand over maps of files, which cannot be written to.
        arrays = {
            name: a if a.flags.writeable and type(a) is np.ndarray else np.array(a)
            for name, a in snapshot.arrays.items()
        }
        self._bind(snapshot._replace(arrays=arrays))

    def _bind(self, state: Snapshot) -> None:
        """Make these arrays the model's own and give them engines."""
        self._backend = backends.get(self._backend_wanted)
        self.n_threads = backends.threads_in_use(self._backend, self._threads_wanted)
        self.parameters = aligned(state.arrays["parameters"])
        self.statistics = state.arrays["statistics"]
        self.moments = aligned(state.arrays["moments"])
        average = state.arrays.get("average")
        self.average = None if average is None else aligned(average)
        self._engine = self._backend.engine(
            self.network,
            self.parameters,
            moments=self.moments,
            statistics=self.statistics,
            average=self.average,
            seed=self.seed,
            threads=self.n_threads,
        )
        self._engine.steps = state.steps
        self._predicting = self._engine
        if self.average is not None:
            self._predicting = self._engine_to_predict(self.network)
        self._pre_activating: Engine | None = None
        self._training = Exclusive()

    def _engine_to_predict(self, network: Network) -> Engine:
        """Return an engine over what predictions go by; no step will be taken with it."""
        return self._backend.engine(
            replace(network, optimizer=SGD(), averaging=0.0),
            self.parameters if self.average is None else self.average,
            statistics=self.statistics,
            threads=self.n_threads,
        )

    def _pre_activations(self, x: FloatArray | ByteArray, out: FloatArray) -> None:
        """Write those of the last layer into `out`."""
        if self._pre_activating is None:
            *others, last = self.network.layers
            layers = (*others, replace(last, activation="identity"))
            network = replace(self.network, layers=layers, loss="squared_error")
            self._pre_activating = self._engine_to_predict(network)
        self._pre_activating.predict(x, out)


def read_model(file: ModelFile) -> tuple[Model, Any]:
    """Return the model in a file, and what its owner has added, None if nothing.

    Raises
    ------
    cnn_core.model_file.ModelFileError
        If the file's description, arrays and sizes do not go together.
    """
    from cnn_core.saved_model import blamed_on, read_state

    state, extra = read_state(file)
    with blamed_on(file.path, "a Model"):
        return Model.from_state(state, backend=file.backend, n_threads=file.n_threads), extra


_KEPT = (
    "network",
    "dtype",
    "seed",
    "epochs_done",
    "samples_done",
    "history",
    "_backend_wanted",
    "_threads_wanted",
)


def _units(network: Network) -> list[int]:
    return [layer.fan_out for layer in network.layers]
