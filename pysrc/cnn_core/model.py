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

    Here and below, samples and targets are arrays that were checked at the edge (`cnn_core.arrays`,
    or an estimator's own checks): C-contiguous, the samples in the model's dtype or uint8, the
    targets in the model's dtype. Targets that are classes may be given as labels instead: an array
    (n,) of integers from 0 to ``n_outputs - 1``, or `cnn_core.class_targets.ClassTargets`. Training
    with labels and with their one-hot rows gives the same bits; labels take no memory per class.

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
        All weights, biases and gains, zeros at first; see `initialize`. Writing into it
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
        """Train by a recipe, from the state that the model is in.

        Parameters
        ----------
        x : (n, n_inputs) array
        t : (n, n_outputs) array, or (n,) labels
        recipe : Recipe
        weights : (n,) array, optional
            Of the model's dtype, at least 0: what each sample counts.
        are_classes : bool
            Whether the targets are rows of classes, whose largest output is the answer: there is
            an accuracy then.
        rows : (m,) array of integers, optional
            The samples that an epoch trains on, by default all; the others are not read. Nothing
            of `x` is copied.
        validation : Validation, optional
            What is measured after every epoch.
        callbacks : iterable of Callback
        owner : object, optional
            What callbacks are to see as the one that is trained, with a `save` method; by default
            the model.
        checkpoint : Checkpoint or path-like, optional
            A file from which the same call, on a model as this one is now, resumes after being
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
            If the loss explodes or is not finite; the last good weights are restored.
        RuntimeError
            If the model is being trained already, by another thread or by its caller's callback.
        """
        data = self._training_data(TrainingData(x, t, weights, are_classes, validation, rows))
        open_checkpoint = None
        if checkpoint is not None:
            # Imported here, as below, since most processes never need it.
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

    # Prediction and evaluation

    def predict(
        self,
        x: Samples,
        out: FloatArray | None = None,
        *,
        keep: Keep | None = None,
    ) -> npt.NDArray[Any]:
        """Return the outputs, (n, n_outputs), by the average of the parameters if there is one.

        Parameters
        ----------
        x : (n, n_inputs) array
        out : (n, n_outputs) array, optional
            Written to and returned. It shares no memory with `x` or with the model.
        keep : callable, optional
            What is returned in place of the outputs, for which there is then only room for some
            samples at a time: it is given theirs, (m, n_outputs), in an array that is overwritten
            afterwards, and returns m values or rows. Goes with no `out`.

        Raises
        ------
        TypeError, ValueError
            For arrays that are not as they have to be, and for a value of `x` that is not finite,
            the only thing that need not be checked before.
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
        """Return how many of the samples are predicted at once if their outputs are not kept."""
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

        A loss that looks at the pre-activations of the last layer is given the true ones: it is as
        exact as that of a training.

        Parameters
        ----------
        x : (n, n_inputs) array
        t : (n, n_outputs) array, or (n,) labels
        weights : (n,) array, optional
        out : (n, n_outputs) array, optional
            The outputs are written to it. It shares no memory with the others or with the model.
        keep : callable, optional
            What is returned in place of the outputs; see `predict`.
        rows : (m,) array of numpy.intp, optional
            The samples that are evaluated, by default all; loss and outputs are theirs.

        Raises
        ------
        TypeError, ValueError
            For arrays that are not as they have to be.
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
        kernels, network = self._backend.kernels(self.dtype), self.network
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

        The layout is that of safetensors, which holds numbers and text and nothing that could run.
        The file is complete or not there: a file that it replaces stays until the new one is whole.

        Raises
        ------
        OSError
            If the file cannot be written.
        """
        from cnn_core.io.model_state import write_model

        write_model(path, self.state())

    def as_program(self) -> Program:
        """Return the model as the exports read it, `cnn_core.export.program.Program`."""
        return program_of(self, repr(self), Answer("outputs"))

    def _rows_to_export(self, X: Any) -> Rows:
        return np.asarray(as_model_samples(X, self.network, self.dtype, "X"))

    def _values_of_rows(self, rows: Rows) -> npt.NDArray[Any]:
        assert isinstance(rows, np.ndarray)
        return self.predict(rows)


def read_model(file: ModelFile) -> tuple[Model, Any]:
    """Return the model in a file, and what its owner added, if anything.

    Raises
    ------
    cnn_core.ModelFileError
        If the file's description, arrays and sizes do not go together.
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
