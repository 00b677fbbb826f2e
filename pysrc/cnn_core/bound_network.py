"""`BoundNetwork`: the arrays of a network and the engines that are bound to them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt

from cnn_core import backends
from cnn_core.backends.alignment import aligned
from cnn_core.backends.interface import Engine
from cnn_core.exclusive import Exclusive
from cnn_core.initializers import Initializer, Random, initialize
from cnn_core.interrupts import all_or_nothing
from cnn_core.layers import LayerArrays
from cnn_core.network import Network
from cnn_core.optimizers import SGD
from cnn_core.sparse import Samples
from cnn_core.training.snapshot import ModelState, Snapshot, first_snapshot, weights_of
from cnn_core.types import FloatArray
from cnn_core.validation import parameters_dtype, whole

_Bound = TypeVar("_Bound", bound="BoundNetwork")
# What is pickled beside a snapshot.
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


class BoundNetwork:
    """A network with its parameters, its optimizer's state, its history and its engines.

    The part of `cnn_core.Model` that does not deal with data. See there for parameters and
    attributes.
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
        rows = whole("bias_rows", bias_rows, 0, 2**32)
        with _memory_named(network, self.dtype, rows):
            self._bind(first_snapshot(network, self.dtype, rows))

    @property
    def backend(self) -> str:
        """Name of the backend in use."""
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
        """Views of the parameters of predictions: `average` if there is one, else `parameters`."""
        return self.network.unflatten(self.parameters if self.average is None else self.average)

    def initialize(
        self: _Bound, names: Initializer | Sequence[Initializer], random: Random
    ) -> _Bound:
        """Initialize the parameters, and the average with the same values; return the model.

        Parameters
        ----------
        names : str or sequence of str
            See `cnn_core.initializers.initialize`.
        random : numpy.random.RandomState or numpy.random

        Raises
        ------
        TypeError, ValueError
            As `cnn_core.initializers.initialize` does.
        """
        initialize(self.network, self.parameters, names, random)
        if self.average is not None:
            self.average[...] = self.parameters
        return self

    @contextmanager
    def exclusively(self) -> Iterator[Engine]:
        """Give the engine for exclusive use.

        Raises
        ------
        RuntimeError
            If the model is being trained already.
        """
        with self._training.held(
            "this network is being trained already, by another thread or by whoever called "
            "on_epoch or a callback; wait for it, or train a copy: copy.deepcopy(net)"
        ):
            yield self._engine

    def arrays(self) -> dict[str, FloatArray]:
        """Return the arrays that steps change, by attribute name; not copies."""
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
        """Write a copy of `weights` back; the optimizer starts from zeros."""
        for name, array in self.weights().items():
            array[...] = weights[name]
        self.moments[...] = 0
        self._engine.steps = 0

    def snapshot(self) -> Snapshot:
        """Return a copy of all that steps change."""
        return Snapshot({name: a.copy() for name, a in self.arrays().items()}, self.steps)

    def state(self) -> ModelState:
        """Return the complete state of the model: its arrays and its history, not copies."""
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
        cls: type[_Bound], state: ModelState, *, backend: str = "auto", n_threads: int | None = None
    ) -> _Bound:
        """Return a model made of `state`; it takes over the arrays without a copy.

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
        """Restore a snapshot completely or not at all; the history is not part of it."""
        with all_or_nothing(lambda: self._write_back(snapshot)):
            self._write_back(snapshot)

    def _write_back(self, snapshot: Snapshot) -> None:
        for name, array in self.arrays().items():
            array[...] = snapshot.arrays[name]
        self._engine.steps = snapshot.steps

    def take_seed(self, seed: int) -> None:
        """Change the seed of the dropout and of the order of the samples.

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
        """Rows of each bias: 1, except for the article's rule."""
        return self.network.bias_rows(self.parameters.size)

    def take_bias_rows(self, rows: int) -> None:
        """Give each bias `rows` rows of zeros, for the article's rule."""
        layers = self.layers
        self._bind(first_snapshot(self.network, self.dtype, rows))
        for old, new in zip(layers, self.layers, strict=True):
            new.weights[...] = old.weights

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
        # Copies, since `copy.copy` passes on the attributes of the original.
        self.history = {key: list(values) for key, values in self.history.items()}
        snapshot: Snapshot = state["snapshot"]
        # joblib may pass memory-mapped files, which are read-only.
        arrays = {
            name: a if a.flags.writeable and type(a) is np.ndarray else np.array(a)
            for name, a in snapshot.arrays.items()
        }
        self._bind(snapshot._replace(arrays=arrays))

    def _bind(self, state: Snapshot) -> None:
        """Take over these arrays and create engines for them."""
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
        """Return an engine for predictions; it never takes a step."""
        return self._backend.engine(
            replace(network, optimizer=SGD(), averaging=0.0),
            self.parameters if self.average is None else self.average,
            statistics=self.statistics,
            threads=self.n_threads,
        )

    def _pre_activations(self, x: Samples, out: FloatArray) -> None:
        """Write the pre-activations of the last layer into `out`."""
        if self._pre_activating is None:
            # A layer that may be last has an activation.
            *others, last = cast("tuple[Any, ...]", self.network.layers)
            layers = (*others, replace(last, activation="identity"))
            network = replace(self.network, layers=layers, loss="squared_error")
            self._pre_activating = self._engine_to_predict(network)
        self._pre_activating.predict(x, out)


def _units(network: Network) -> list[int]:
    return [layer.fan_out for layer in network.layers]


@contextmanager
def _memory_named(network: Network, dtype: np.dtype[Any], bias_rows: int) -> Iterator[None]:
    """Explain a `MemoryError`: which layer needs the memory."""
    try:
        yield
    except MemoryError:
        n_parameters = network.n_parameters(bias_rows)
        # The parameters, their gradient, the optimizer's moments and the average.
        copies = 2 + network.optimizer.n_moments + (network.averaging > 0)
        size = copies * n_parameters * dtype.itemsize / 1e9
        largest = max(network.layers, key=lambda layer: layer.n_parameters())
        raise MemoryError(
            f"the network has {n_parameters:,} parameters, of which the layer of "
            f"{largest.fan_in:,} inputs x {largest.fan_out:,} units has the most; training needs "
            f"about {size:,.1f} GB for them, in {dtype}; use fewer units or fewer features"
        ) from None
