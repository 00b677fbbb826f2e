"""`Model`: a network and its trained state; `NN` and the estimators each hold one."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cnn_core.arrays import require_finite
from cnn_core.backends.interface import Predictor
from cnn_core.bound_network import BoundNetwork
from cnn_core.class_targets import ClassTargets, Targets, rows_of
from cnn_core.displays import Plots
from cnn_core.export.exportable import program_of
from cnn_core.export.program import Answer, Program, Rows
from cnn_core.input_gradients import Differentiable
from cnn_core.losses import NEEDED_ACTIVATION
from cnn_core.model_data import (
    as_model_arrays,
    as_model_samples,
    as_training_data,
    require_output,
)
from cnn_core.outputs import Keep, KeptOutputs, block_rows, blocks, nothing
from cnn_core.sparse import Samples, SparseRows, require_finite_rows
from cnn_core.training import loop
from cnn_core.training.callbacks import Callback
from cnn_core.training.state import Recipe, TrainingData, TrainingState, Validation
from cnn_core.types import FloatArray, IndexArray

if TYPE_CHECKING:
    from cnn_core.io.checkpoint import Checkpoint
    from cnn_core.io.model_state import ModelFile


class Model(BoundNetwork, Differentiable, Plots):
    """A network with its parameters, its optimizer's state, its history and its engine.

    Samples and targets are arrays that were checked before, by `cnn_core.arrays` or by an
    estimator. They are C-contiguous, the samples in the model's dtype or uint8, the targets in the
    model's dtype. Classes may be given as labels instead: an array (n,) of integers from 0 to
    ``n_outputs - 1``, or `cnn_core.class_targets.ClassTargets`. Labels and their one-hot rows give
    the same bits, but labels take no memory per class.

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
        At most this many threads take part in a step; by default `CNN_CORE_NUM_THREADS`, else as
        many as the process may use cores. They change no bit of any result.
    bias_rows : int, optional
        Rows of each bias; by default 1 for the exact rule and 0 for the article's.

    Attributes
    ----------
    network, dtype, seed
        What the model was made with.
    backend : str
        Name of the backend in use.
    n_threads : int or None
        Most threads in use; None where NumPy's BLAS decides.
    parameters : (n_parameters,) array
        All weights, biases and gains, zeros at first; see `initialize`. Writing into it
        changes the network.
    layers : list of LayerArrays
        Views of `parameters`.
    statistics : (n_statistics,) array
        The running averages of batch normalization.
    moments : (n_moments, n_parameters) array
        State of the optimizer.
    average : (n_parameters,) array or None
        The average of the parameters, used for predictions; None if `Network.averaging` is 0.
    steps : int
        Steps taken by the optimizer. Its formulas, the dropout and the average depend on it.
    epochs_done, samples_done : int
        Epochs, and samples trained on in them, over all trainings.
    history : dict of str to list of float
        Values of each epoch: ``loss``, ``accuracy``, ``validation_loss``, ``validation_accuracy``,
        ``validation_score``, ``learning_rate`` and ``seconds``.

    Raises
    ------
    TypeError, ValueError, BackendUnavailableError
        For an argument of the wrong type or outside its range.

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

    # Training

    def train(
        self,
        x: Samples,
        t: Targets,
        recipe: Recipe,
        *,
        weights: FloatArray | None = None,
        are_classes: bool = False,
        rows: IndexArray | None = None,
        validation: Validation | None = None,
        callbacks: Iterable[Callback] = (),
        owner: Any = None,
        checkpoint: Checkpoint | str | os.PathLike[str] | None = None,
        seeded: bool = True,
    ) -> TrainingState:
        """Train with a recipe, from the current state of the model.

        Parameters
        ----------
        x : (n, n_inputs) array
        t : (n, n_outputs) array, or (n,) labels
        recipe : Recipe
        weights : (n,) array, optional
            Weight of each sample, at least 0, in the model's dtype.
        are_classes : bool
            Whether the targets are classes, so that there is an accuracy.
        rows : (m,) array of integers, optional
            The samples to train on, by default all; the others are not read. `x` is not copied.
        validation : Validation, optional
            What is measured after every epoch.
        callbacks : iterable of Callback
        owner : object, optional
            The object that callbacks see as the trained model, with a `save` method; by default the
            model.
        checkpoint : Checkpoint or path-like, optional
            A file from which the same call, on the same untrained model, resumes after being
            killed. The result has the same bits as without the interruption. See
            `cnn_core.Checkpoint`.
        seeded : bool
            Whether the user chose the seed. If not, the seed of an existing checkpoint is used.

        Returns
        -------
        TrainingState
            The state at the end of the training.

        Raises
        ------
        TypeError
            If an argument is not an array, or is masked.
        ValueError
            For arrays of the wrong shape, dtype or layout, for no samples, and for weights below 0
            or not finite. If the recipe monitors something that is not measured.
        CheckpointError, ModelFileError
            If the checkpoint belongs to another training, or is damaged. Both are ``ValueError``
            and raised before anything is changed.
        OSError
            If a checkpoint cannot be written; the one before it is still there then.
        DivergenceError
            If the loss explodes or is not finite; the last good weights are restored.
        RuntimeError
            If the model is being trained already, by another thread or by its caller's callback.
        """
        data = self._training_data(TrainingData(x, t, weights, are_classes, validation, rows))
        open_checkpoint = None
        if checkpoint is not None:
            # Imported here, as below, because most processes never need it.
            from cnn_core.io.checkpoint import CheckpointSession

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
        x: Samples,
        t: Targets,
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
        x: Samples,
        t: Targets,
        learning_rate: float,
        weights: FloatArray | None = None,
    ) -> float:
        """Take one step on all the samples given; return the loss before it.

        Raises
        ------
        TypeError, ValueError
            For arrays of the wrong shape, dtype or layout.
        RuntimeError
            If the model is being trained already.
        """
        data = self._training_data(TrainingData(x, t, weights))
        with self.exclusively() as engine:
            loss, _ = engine.train_epoch(
                data.x, data.t, None, len(data.x), learning_rate, data.weights
            )
        return loss

    # Prediction and evaluation

    def predict(
        self,
        x: Samples,
        out: FloatArray | None = None,
        *,
        keep: Keep | None = None,
    ) -> npt.NDArray[Any]:
        """Return the outputs, (n, n_outputs), with the averaged parameters if there are any.

        Parameters
        ----------
        x : (n, n_inputs) array
        out : (n, n_outputs) array, optional
            Written to and returned. Must not share memory with `x` or with the model.
        keep : callable, optional
            Reduces the outputs block by block, so that they need not fit in memory. It is called
            with the outputs of some samples, (m, n_outputs), in an array that is reused, and
            returns m values or rows. These are returned instead of the outputs. Not allowed with
            `out`.

        Raises
        ------
        TypeError, ValueError
            For arrays of the wrong shape, dtype or layout, and for a value of `x` that is not
            finite. Only finiteness need not be checked before.
        """
        x = as_model_samples(x, self.network, self.dtype, "x")
        if keep is not None:
            kept = KeptOutputs(len(x), keep)
            at_once = self._block_rows(len(x))
            room = np.empty((at_once, self.network.n_outputs), self.dtype)
            for rows in blocks(len(x), at_once):
                kept.add(rows, self._predict(x, rows, room[: rows.stop - rows.start]))
            return kept.values
        if out is None:
            out = np.empty((len(x), self.network.n_outputs), self.dtype)
        else:
            require_output(out, self.network, self.dtype, len(x), x=x, **self.arrays())
        return self._predict(x, slice(0, len(x)), out)

    def _predict(self, x: Samples, rows: slice, out: FloatArray) -> FloatArray:
        if not self._predicting.predict(x[rows], out):
            if isinstance(x, SparseRows):
                require_finite_rows(x, x, "X")
            else:
                require_finite(x, x, "X")
        return out

    def _block_rows(self, n_samples: int) -> int:
        """Return how many samples are predicted at once if their outputs are not kept."""
        if self.network.rule == "article":
            # The biases of the article's rule belong to all samples together.
            return n_samples
        return min(n_samples, block_rows(self.network.n_outputs))

    def predictor(self, rows: int) -> Predictor:
        """Return a predictor of `rows` samples at a time; see `cnn_core.contracts.Predictor`."""
        return self._predicting.predictor(rows)

    def evaluate(
        self,
        x: Samples,
        t: Targets,
        weights: FloatArray | None = None,
        out: FloatArray | None = None,
        *,
        keep: Keep | None = None,
        rows: IndexArray | None = None,
    ) -> tuple[float, npt.NDArray[Any]]:
        """Return the loss, without the term of `Network.l2`, and the outputs.

        A loss that uses the pre-activations of the last layer gets the true ones, so it is as exact
        as in training.

        Parameters
        ----------
        x : (n, n_inputs) array
        t : (n, n_outputs) array, or (n,) labels
        weights : (n,) array, optional
        out : (n, n_outputs) array, optional
            The outputs are written to it. Must not share memory with the others or with the model.
        keep : callable, optional
            Reduces the outputs; see `predict`.
        rows : (m,) array of numpy.intp, optional
            The samples to evaluate, by default all.

        Raises
        ------
        TypeError, ValueError
            For arrays of the wrong shape, dtype or layout.
        """
        x, t, weights = as_model_arrays(x, t, weights, self.network, self.dtype)
        n_samples = len(x) if rows is None else len(rows)
        at_once = self._block_rows(n_samples)
        whole = out is not None or keep is None
        if out is None:
            out = np.empty((n_samples if whole else at_once, self.network.n_outputs), self.dtype)
        else:
            rows_of_targets = None if isinstance(t, ClassTargets) else t
            read = {"t": rows_of_targets, "weights": weights, **self.arrays()}
            require_output(out, self.network, self.dtype, n_samples, x=x, **read)
        kept = KeptOutputs(n_samples, nothing if keep is None else keep)
        losses, totals = [], []
        for block in blocks(n_samples, at_once):
            y = out[block] if whole else out[: block.stop - block.start]
            own = block if rows is None else rows[block]
            of_block = None if weights is None else weights[own]
            losses.append(self._evaluate(x[own], t[own], of_block, y))
            totals.append(float(len(y) if of_block is None else of_block.sum(dtype=np.float64)))
            kept.add(block, y)
        return _mean(losses, totals), out if keep is None else kept.values

    def _evaluate(
        self, x: Samples, t: Targets, weights: FloatArray | None, out: FloatArray
    ) -> float:
        """Write the outputs for a block of samples into `out`; return their loss."""
        kernels, network = self._backend.unchecked_kernels(self.dtype), self.network
        z = out
        if network.loss in NEEDED_ACTIVATION:
            z = np.empty_like(out)
            self._pre_activations(x, z)
            kernels.activate(network.layers[-1].activation, z, out)
        else:
            self._predicting.predict(x, out)
        return kernels.loss(network.loss, z, out, rows_of(t, self.dtype), weights)

    # Input validation

    def as_model_data(self, x: Samples, t: Targets) -> tuple[Model, Samples, Targets]:
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

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to a file that `cnn_core.load` reads.

        The layout is that of safetensors: numbers and text, and nothing that could run. An existing
        file is replaced only when the new one is complete.

        Raises
        ------
        OSError
            If the file cannot be written.
        """
        from cnn_core.io.model_state import write_model

        write_model(path, self.state())

    def as_program(self) -> Program:
        """Return the model as a `cnn_core.export.program.Program` for the exports."""
        return program_of(self, repr(self), Answer("outputs"))

    def _rows_to_export(self, X: Any) -> Rows:
        return np.asarray(as_model_samples(X, self.network, self.dtype, "X"))

    def _values_of_rows(self, rows: Rows) -> npt.NDArray[Any]:
        assert isinstance(rows, np.ndarray)
        return self.predict(rows)


def read_model(file: ModelFile) -> tuple[Model, Any]:
    """Return the model in a file, and the data that its owner added, if any.

    Raises
    ------
    cnn_core.ModelFileError
        If the file's description, arrays and sizes are inconsistent.
    """
    from cnn_core.io.model_state import as_file_error, read_state

    state, extra = read_state(file)
    with as_file_error(file.path, "a Model"):
        return Model.from_state(state, backend=file.backend, n_threads=file.n_threads), extra


def _mean(losses: list[float], totals: list[float]) -> float:
    """Return the mean of the losses of blocks, weighted by their samples."""
    if len(losses) == 1:
        return losses[0]
    parts = zip(losses, totals, strict=True)
    total = math.fsum(totals)
    return sum(loss * share for loss, share in parts) / total if total else 0.0
