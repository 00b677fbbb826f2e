"""The attributes of an `NN`: its settings, and its arrays under the article's names."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core.arrays import as_samples, copy_into
from cnn_core.export.exportable import program_of
from cnn_core.export.program import Answer, Program, Rows
from cnn_core.input_gradients import Differentiable
from cnn_core.model import Model
from cnn_core.network import FloatArray, Rule
from cnn_core.settings import TrainingSettings


class NNAttributes(TrainingSettings, Differentiable):
    """The attributes of an `NN`; its methods are in `cnn_core.nn`."""

    __slots__ = ("_model", "seed")

    _model: Model
    seed: int | None

    @property
    def model(self) -> Model:
        """The `Model` that holds the network and its trained state."""
        return self._model

    @property
    def input_neurons(self) -> int:
        """Features of a sample."""
        return self._model.network.n_inputs

    @property
    def hidden_neurons(self) -> int:
        """Hidden units."""
        return self._model.network.layers[0].fan_out

    @property
    def output_neurons(self) -> int:
        """Outputs."""
        return self._model.network.n_outputs

    @property
    def rule(self) -> Rule:
        """The rule of learning, ``"exact"`` or ``"article"``."""
        return self._model.network.rule

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of weights and outputs."""
        return self._model.dtype

    @property
    def backend(self) -> str:
        """The name of the backend in use."""
        return self._model.backend

    @property
    def input_scale(self) -> float:
        """Factor of every input."""
        return self._model.network.input_scale

    @property
    def n_threads(self) -> int | None:
        """Most threads in use; None where NumPy's BLAS decides."""
        return self._model.n_threads

    @property
    def history(self) -> dict[str, list[float]]:
        """Measurements of each epoch, by name."""
        return self._model.history

    @history.setter
    def history(self, history: dict[str, list[float]]) -> None:
        self._model.history = history

    @property
    def wih(self) -> FloatArray:
        """Weights from the inputs to the hidden units, (hidden, input): a view."""
        weights: FloatArray = self._model.layers[0].weights.T
        return weights

    @wih.setter
    def wih(self, value: npt.ArrayLike) -> None:
        copy_into(self.wih, value, "wih")

    @property
    def who(self) -> FloatArray:
        """Weights from the hidden units to the outputs, (output, hidden): a view."""
        weights: FloatArray = self._model.layers[1].weights.T
        return weights

    @who.setter
    def who(self, value: npt.ArrayLike) -> None:
        copy_into(self.who, value, "who")

    @property
    def bih(self) -> FloatArray | int:
        """Biases of the hidden units: a view."""
        return self._bias(0)

    @bih.setter
    def bih(self, value: npt.ArrayLike) -> None:
        self._set_bias(0, value, "bih")

    @property
    def bho(self) -> FloatArray | int:
        """Biases of the outputs: a view."""
        return self._bias(1)

    @bho.setter
    def bho(self, value: npt.ArrayLike) -> None:
        self._set_bias(1, value, "bho")

    def _bias(self, layer: int) -> FloatArray | int:
        """Return a layer's biases; before the article's rule has samples they are the number 0."""
        return self._model.layers[layer].bias.T if self._model.bias_rows else 0

    def _set_bias(self, layer: int, value: npt.ArrayLike, name: str) -> None:
        own = self._bias(layer)
        if isinstance(own, np.ndarray):
            copy_into(own, value, name)
        else:
            zero = np.zeros(())
            copy_into(zero, value, name)
            if zero != 0:
                raise ValueError(f"{name}: the article's rule starts from 0, found {zero}")

    def as_program(self) -> Program:
        """Return the network as a `cnn_core.export.program.Program` for the exports.

        Raises
        ------
        ValueError
            For the article's rule, whose biases belong to the training samples.
        """
        sizes = f"{self.input_neurons}-{self.hidden_neurons}-{self.output_neurons}"
        return program_of(self._model, f"NN {sizes}", Answer("outputs"))

    def _rows_to_export(self, X: npt.ArrayLike) -> Rows:
        return np.asarray(as_samples(X, self.input_neurons, self.dtype))

    def _values_of_rows(self, rows: Rows) -> FloatArray:
        assert isinstance(rows, np.ndarray)
        return self._model.predict(rows)

    def __repr__(self) -> str:
        return (
            f"NN({self.input_neurons}, {self.hidden_neurons}, {self.output_neurons}, "
            f"learning_rate={self.lr:g}, epochs={self.epochs}, batch_size={self.batch_size}, "
            f"rule={self.rule!r}, dtype={self.dtype.name}, seed={self.seed}, "
            f"shuffle={self.shuffle}, backend={self.backend!r}, "
            f"input_scale={self.input_scale:g}, n_threads={self.n_threads})"
        )

    def __getstate__(self) -> dict[str, Any]:
        names = (*TrainingSettings.__slots__, "_model", "seed")
        return {name: getattr(self, name) for name in names}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)
        # A copy, since `copy.copy` passes on that of the original.
        self._model = copy.copy(self._model)
