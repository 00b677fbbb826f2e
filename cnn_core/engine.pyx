"""The engine: whole epochs over a network, without Python inside.

What happens to a batch stands in forward_backward.pyx and update.pyx; what each method does, with
shapes and errors, in `cnn_core.backends.interface.Engine`.
"""

cimport cython
from libc.math cimport isfinite
from libc.stdint cimport int64_t, uint64_t

import os

import numpy as np

from cnn_core.backends.alignment import aligned
from cnn_core.backends.arguments import require_steps, require_targets
from cnn_core.backends.checks import require, require_whole
from cnn_core.backends.state import bound_state

from ..threads cimport ThreadCountTuner, check_signals, prepare, run
from .augmentation cimport changes_of
from .forward_backward cimport end_forward, forward_backward, predict_block
from .layer cimport (
    SLICE_ROWS, Arrays, Block, Layer, LayerBuffers, Net, Prediction, Samples, Workspace, block_in,
)
from .losses cimport ARTICLE, LossFunction
from .optimizers cimport Optimizer, Step
from .samples cimport Data, data_of, total_of
from .scalar cimport real
from .small_batches cimport can_group, group_of, take_steps
from .update cimport finish_step, squared_weights, update_parameters

cdef extern from "threads.h" nogil:
    int64_t nanoseconds()

# Multiply-adds between two meetings of threads below which the others would not pay.
cdef double LEAST_SHARED_WORK = 1e6


cdef struct Tally:
    # Of an epoch: the sum of the losses and what the samples count, the hits, and the work since the
    # last look at the signals.
    double loss
    double total
    Py_ssize_t hits
    double work


cdef void add_to_tally(Tally *tally, Workspace workspace, Py_ssize_t rows) noexcept nogil:
    """Add the losses, in the order of the samples whoever computed them, and the hits."""
    cdef Py_ssize_t i
    for i in range(rows):
        tally.loss += workspace.losses[i]
        tally.hits += workspace.hits[i]


@cython.final
cdef class Engine:
    """See `cnn_core.backends.interface.Engine`."""

    # What it was made of, and the same for the loops.
    cdef object network
    cdef object parameters
    cdef Net net
    cdef Optimizer optimizer
    cdef LossFunction loss
    cdef readonly object moments
    cdef readonly object statistics
    cdef readonly object average
    cdef Workspace workspace
    cdef Workspace spare
    cdef int threads
    cdef ThreadCountTuner tuner
    cdef Py_ssize_t steps_taken
    # Of the random numbers of dropouts.
    cdef uint64_t key
    # The process that trains with it; 0: none.
    cdef long training

    # Not __init__, which could be called again in the middle of a training.
    def __cinit__(self, spec, list layers):
        cdef real[::1] parameters = spec.parameters
        cdef int threads = 1 if spec.threads is None else spec.threads
        network = spec.network
        self.network, self.parameters = network, spec.parameters
        self.optimizer = Optimizer(network.optimizer)
        self.loss = LossFunction(network.loss, network.n_outputs)
        self.net = Net.__new__(Net)
        self.bind_layers(network, layers, parameters.shape[0])
        self.moments, self.statistics, self.average = bound_state(spec)
        self.bind_arrays(parameters)
        if threads < 1:
            raise ValueError(f"threads: expected at least 1, found {threads}")
        self.threads = threads
        self.tuner = ThreadCountTuner(threads)
        self.key = require_whole("seed", spec.seed, 0, 2**64)
        self.bind_step(network)

    cdef int bind_layers(self, network, list layers, Py_ssize_t n_parameters) except -1:
        """Chain the layers, which come with the numbers of their descriptions."""
        cdef Net net = self.net
        cdef Layer layer
        for number, layer in layers:
            layer.number = number
        net.article = network.rule == "article"
        net.article_samples = network.bias_rows(n_parameters)
        net.normalizes = any(each.normalization is not None for each in network.layers)
        net.inputs, net.outputs = network.n_inputs, network.n_outputs
        net.chain([layer for number, layer in layers])
        net.takes_any_rows = type(network.layers[0]).__name__ == "Dense"
        net.sample_check = network.layers[0] if network.layers[0].reads_columns else None
        net.changes = changes_of(network.layers[0])
        if net.changes.any:
            # The image as it was.
            net.scratch = max(net.scratch, net.inputs)
        return 0

    cdef int bind_arrays(self, real[::1] parameters) except -1:
        """Let the layers find the arrays; those that there are none of are empty."""
        cdef Arrays arrays = self.net.arrays
        arrays.parameters = parameters
        arrays.gradient = aligned(np.zeros_like(parameters))
        arrays.statistics = self.statistics
        arrays.first_moment = arrays.second_moment = arrays.average = parameters[:0]
        if len(self.moments) > 0:
            arrays.first_moment = self.moments[0]
        if len(self.moments) > 1:
            arrays.second_moment = self.moments[1]
        self.net.averages = self.average is not None
        if self.net.averages:
            arrays.average = self.average
        return 0

    cdef int bind_step(self, network) except -1:
        """What a step is made of."""
        cdef Net net = self.net
        net.input_scale = network.input_scale
        net.loss = self.loss.value
        if net.article:
            net.loss.name = ARTICLE
        net.l2 = network.l2
        net.clip_value = network.clip_value or 0
        net.clip_norm = network.clip_norm or 0
        net.averaging = network.averaging
        net.plain = (
            self.optimizer.plain and net.l2 == 0 and net.clip_value == 0 and net.clip_norm == 0
            and net.averaging == 0
        )
        net.groups = can_group(net)
        return 0

    @property
    def steps(self):
        """Steps taken so far."""
        return self.steps_taken

    @steps.setter
    def steps(self, value):
        self.steps_taken = require_whole("steps", value, 0, 2**63)

    def train_epoch(
        self, x, t, const Py_ssize_t[::1] order, Py_ssize_t batch_size, learning_rate, weights=None
    ):
        """Train on every sample named by `order` once; return the mean loss and the hits."""
        cdef Data data = self.training_data(x, t, order, weights)
        cdef const double[::1] rates = None
        cdef Py_ssize_t start = 0, step = 0, batch, group = 0
        cdef double rate = 0
        cdef Tally tally = Tally(0, 0, 0, 0)
        require_steps(self.network, data.rows, order is not None, batch_size, learning_rate)
        if isinstance(learning_rate, np.ndarray):
            rates = learning_rate
        else:
            rate, group = learning_rate, group_of(self.net, batch_size)
        cdef Workspace workspace = self.begin(min(max(batch_size, group), data.rows))
        try:
            with nogil:
                while start < data.rows and isfinite(tally.loss):
                    batch = min(group, data.rows - start)
                    if batch > batch_size:
                        self.step_group(
                            workspace, &data.samples, start, batch, batch_size, rate, &tally
                        )
                    else:
                        batch = min(batch_size, data.rows - start)
                        if rates is not None:
                            rate = rates[step]
                        self.step(workspace, &data.samples, start, batch, rate, True, &tally)
                    start += batch
                    step += 1
        finally:
            self.training = 0
        return (tally.loss / tally.total if tally.total > 0 else tally.loss), tally.hits

    def gradient(self, x, t, out, weights=None):
        """Write the next step's direction for all of `x` into `out`; return the loss."""
        cdef Data data = self.training_data(x, t, None, weights)
        cdef real[::1] direction
        cdef Tally tally = Tally(0, 0, 0, 0)
        require("out", out, self.parameters.shape, self.parameters, written=True)
        direction = out
        cdef Workspace workspace = self.begin(data.rows)
        try:
            with nogil:
                if data.rows > 0:
                    self.step(workspace, &data.samples, 0, data.rows, 0, False, &tally)
                    direction[:] = self.net.arrays.gradient
                else:
                    direction[:] = 0
        finally:
            self.training = 0
        if not tally.total > 0:
            return tally.loss
        return (tally.loss + self.net.l2 / 2 * squared_weights(<void *>self.net)) / tally.total

    cdef Data training_data(self, x, t, const Py_ssize_t[::1] order, weights):
        """Return the checked data of a training."""
        cdef Data data = data_of(x, self.net)
        require_targets(self.network, self.parameters, data.rows, t, weights)
        data.bind_training(t, order, weights, self.net)
        return data

    def predict(self, x, real[:, ::1] out not None):
        """Write the outputs for `x` into `out`; return whether all of `x` is finite."""
        cdef Data data = data_of(x, self.net)
        if out.shape[0] != data.rows or out.shape[1] != self.net.outputs:
            raise ValueError(
                f"outputs: expected the shape {(data.rows, self.net.outputs)}, "
                f"found {(out.shape[0], out.shape[1])}"
            )
        if data.rows == 0:
            return True
        # One of its own, so that several threads can predict at once; kept for the next prediction.
        cdef Workspace workspace = self.spare
        self.spare = None
        if workspace is None or workspace.rows < min(data.rows, <Py_ssize_t>SLICE_ROWS):
            workspace = self.workspace_to_predict(data.rows)
        cdef bint is_finite = self.predict_slices(data, workspace, &out[0, 0])
        self.spare = workspace
        return is_finite

    def predictor(self, Py_ssize_t rows):
        """Return a predictor of `rows` samples at a time."""
        if rows < 1:
            raise ValueError(f"rows: expected at least 1, found {rows}")
        if self.net.article:
            raise ValueError("the article's rule predicts the samples that it was fitted to alone")
        cdef Predictor predictor = Predictor.__new__(Predictor)
        predictor.engine = self
        predictor.workspace = self.workspace_to_predict(rows)
        predictor.out = np.zeros((rows, self.net.outputs), self.parameters.dtype)
        predictor.values = predictor.out
        return predictor

    cdef Workspace workspace_to_predict(self, Py_ssize_t rows):
        return self.net.workspace(min(rows, <Py_ssize_t>SLICE_ROWS), self.threads, False)

    cdef bint predict_slices(self, Data data, Workspace workspace, real *out) except -1:
        cdef Prediction asked
        cdef Block *block = &asked.block
        cdef LayerBuffers first = workspace.layers[0]
        cdef Tally tally = Tally(0, 0, 0, 0)
        # The first layer takes the caller's rows as they stand if it can.
        cdef bint as_they_stand = (
            data.samples.reals != NULL and self.net.input_scale == 1 and self.net.takes_any_rows
        )
        cdef double work
        cdef int threads
        asked.block = block_in(self.net, workspace, &data.samples)
        asked.out = out
        asked.nonfinite = 0
        if self.threads_for(self.forward_work(data.rows)) > 1:
            prepare(self.threads)
        if as_they_stand:
            first.own_inputs = data.reals[0]
            first.own_inputs.shape[0] = data.rows * self.net.inputs
        else:
            first.own_inputs = None
        with nogil:
            self.net.prepare(workspace)
            while block.first < data.rows:
                block.rows = min(workspace.rows, data.rows - block.first)
                work = self.forward_work(block.rows)
                threads = self.threads_for(work)
                block.blocks = self.net.blocks_of(block.rows, threads)
                check_signals(&tally.work, work / threads)
                run(predict_block, &asked, block.blocks, threads)
                block.first += block.rows
        # Nothing of the caller's is kept.
        first.own_inputs = None
        return asked.nonfinite == 0

    cdef Workspace begin(self, Py_ssize_t batch):
        """Claim the engine, and make sure that there is a workspace, which is returned."""
        cdef long process = os.getpid()
        # A training in another process is one that was under way when this one was forked off.
        if self.training == process:
            raise RuntimeError("this network is being trained already, perhaps by another thread")
        self.training = process
        try:
            prepare(self.threads)
            if not self.net.waits:
                batch = min(batch, self.net.slice_rows)
            if self.workspace is None or self.workspace.rows < batch:
                self.workspace = self.net.workspace(batch, self.threads, True)
            self.net.prepare(self.workspace)
        except BaseException:
            self.training = 0
            raise
        return self.workspace

    cdef double work_of(self, Py_ssize_t rows) noexcept nogil:
        """The multiply-adds of a step, forward and backward."""
        return 3.0 * self.forward_work(rows)

    cdef double forward_work(self, Py_ssize_t rows) noexcept nogil:
        """The multiply-adds of a prediction."""
        return 1.0 * (self.net.arrays.parameters.shape[0] + self.net.work) * rows

    cdef int threads_for(self, double work) noexcept nogil:
        return 1 if work < LEAST_SHARED_WORK else self.threads

    cdef Block slice_of(
        self, Workspace workspace, const Samples *samples, Py_ssize_t first, const Step *step
    ) noexcept nogil:
        """The slice that begins with a sample; its sizes are still open."""
        cdef Block block = block_in(self.net, workspace, samples)
        block.first = first
        block.number = self.steps_taken
        block.key = self.key
        block.plain = self.net.plain
        block.step = step
        cdef double number = <double>self.steps_taken + 1
        block.averaging_rate = <real>(1 - min(self.net.averaging, (1 + number) / (10 + number)))
        return block

    cdef int step(
        self, Workspace workspace, const Samples *samples, Py_ssize_t first, Py_ssize_t batch_rows,
        double learning_rate, bint steps, Tally *tally,
    ) except -1 nogil:
        """One step on a batch, unless its loss is not finite, or its gradient alone."""
        cdef Step numbers = self.optimizer.step(learning_rate, self.steps_taken + 1)
        cdef Block block = self.slice_of(workspace, samples, first, &numbers)
        cdef Py_ssize_t parts = 1, each
        cdef bint whole = not steps or self.net.clip_norm > 0
        cdef bint are_shared
        cdef int threads
        if not self.net.waits:
            parts = (batch_rows + self.net.slice_rows - 1) // self.net.slice_rows
        each = (batch_rows + parts - 1) // parts
        threads = self.threads_for(self.work_of(each))
        are_shared = threads > 1
        if are_shared:
            threads = self.tuner.begin(self.work_of(batch_rows), self.work_of(each), nanoseconds())
        block.batch_rows = batch_rows
        block.total = total_of(&block)
        tally.total += block.total
        while block.first_in_batch < batch_rows:
            block.rows = min(each, batch_rows - block.first_in_batch)
            block.adds = block.first_in_batch > 0
            block.blocks = self.net.blocks_of(block.rows, threads)
            # Here, where no parameter has been touched by the step.
            check_signals(&tally.work, self.work_of(block.rows) / threads)
            forward_backward(&block, threads)
            add_to_tally(tally, workspace, block.rows)
            if steps and not isfinite(tally.loss):
                return 0
            if steps:
                end_forward(&block)
            block.steps = not whole and block.first_in_batch + block.rows == batch_rows
            update_parameters(&block, threads)
            block.first += block.rows
            block.first_in_batch += block.rows
        if whole:
            finish_step(&block, steps, threads)
        if are_shared:
            self.tuner.end(nanoseconds())
        self.steps_taken += steps
        return 0

    cdef int step_group(
        self, Workspace workspace, const Samples *samples, Py_ssize_t first, Py_ssize_t rows,
        Py_ssize_t batch_size, double learning_rate, Tally *tally,
    ) except -1 nogil:
        """The steps of a group of samples."""
        cdef Step numbers = self.optimizer.step(learning_rate, self.steps_taken + 1)
        cdef Samples dense = samples[0]
        cdef Block block = self.slice_of(workspace, &dense, first, &numbers)
        cdef double total
        block.rows = rows
        block.steps = True
        dense.are_read_sparse = False
        check_signals(&tally.work, self.work_of(rows))
        add_to_tally(tally, workspace, take_steps(&block, batch_size, &total))
        tally.total += total
        self.steps_taken = block.number
        return 0


@cython.final
cdef class Predictor:
    """See `cnn_core.backends.interface.Predictor`."""

    cdef Engine engine
    cdef Workspace workspace
    cdef object out
    cdef real[:, ::1] values

    def __call__(self, x):
        """Return the outputs for `x`, in an array that the next call overwrites."""
        if self.engine is None:
            raise TypeError("a predictor is made by Engine.predictor")
        if isinstance(x, np.ndarray) and x.ndim == 1:
            x = x.reshape(1, -1)
        cdef Data data = data_of(x, self.engine.net)
        if data.rows != self.values.shape[0]:
            raise ValueError(f"x: expected {self.values.shape[0]} rows, found {data.rows}")
        self.engine.predict_slices(data, self.workspace, &self.values[0, 0])
        return self.out
