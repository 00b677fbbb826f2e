"""The engine: whole epochs over a network of dense layers, without Python inside.

It binds the arrays, checks what it is given and goes through the batches; what happens to a batch
stands in forward.pyx, backward.pyx and update.pyx. What each method does, with shapes and errors: `cnn_core.backends.interface.Engine`.
"""

cimport cython
from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc
from libc.math cimport isfinite, sqrt
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memset

import os
from operator import index

import numpy as np

from cnn_core.backends.alignment import aligned
from cnn_core.class_targets import ClassTargets
from cnn_core.sparse import SparseRows

from . cimport gather, small_batches
from ..pool cimport prepare, run
from ..thread_tuning cimport ThreadCountTuner
from .activations cimport activation_named
from .backward cimport backward_block, forward_backward_block, normalize_batch_backward
from .forward cimport move_statistics, normalize_batch, predict_block
from .losses cimport LossFunction, loss_named
from .optimizers cimport Optimizer
from .scalar cimport multiply_add, real
from .update cimport apply_clipped_step, finish_gradient, update_piece
from .workspace cimport (
    BATCH,
    LAYER,
    NONE,
    SLICE_ROWS,
    BatchSlice,
    Buffers,
    Layer,
    Net,
    Normalization,
    Prediction,
    Samples,
    Workspace,
    block_rows_for,
    blocks_of,
    column_blocks,
    last_to_wait,
    next_to_wait,
    padded_stride,
    pieces_of,
)

cdef extern from "Python.h" nogil:
    ctypedef struct PyThreadState
    PyThreadState *PyGILState_GetThisThreadState()
    void PyEval_RestoreThread(PyThreadState *thread)
    PyThreadState *PyEval_SaveThread()
    int PyErr_CheckSignals()

cdef extern from "threads.h" nogil:
    int64_t nanoseconds()

# Multiply-adds between two looks at the signals: some milliseconds, so that Ctrl-C is prompt.
cdef double WORK_BETWEEN_SIGNALS = 2e8
# What a step costs beside its multiply-adds, in as many of them as would take as long.
cdef double WORK_OF_A_STEP = 1e5
# Multiply-adds between two meetings of threads below which the others would not pay.
cdef double LEAST_SHARED_WORK = 1e6


@cython.final
cdef class Data:
    """The caller's samples, which stay in place while it lives."""

    cdef const real[:, ::1] reals
    cdef const unsigned char[:, ::1] bytes
    cdef const real[::1] values
    cdef const int[::1] columns
    cdef const Py_ssize_t[::1] row_starts
    cdef const real[:, ::1] targets
    cdef const Py_ssize_t[::1] labels
    cdef const real[::1] weights
    cdef const Py_ssize_t[::1] order
    cdef Py_ssize_t rows
    cdef Samples samples

    cdef int bind(self, x, const Net *net) except -1:
        """Bind samples of either dtype, or sparse ones."""
        memset(&self.samples, 0, sizeof(Samples))
        if isinstance(x, SparseRows):
            self.bind_sparse(x, net)
        else:
            self.bind_dense(x, net)
        if net.article and self.rows != net.biases:
            raise ValueError(
                f"x: expected the {net.biases} samples of the biases, found {self.rows}"
            )
        self.samples.count = self.rows
        return 0

    cdef int bind_sparse(self, x, const Net *net) except -1:
        # The caller's values and columns, and a copy of where the rows begin.
        cdef const Py_ssize_t[::1] given = x.indptr
        cdef Py_ssize_t i, k
        self.values, self.columns = x.data, x.indices
        if given is None or self.values is None or self.columns is None:
            raise TypeError("x: expected arrays of values, columns and row positions, found None")
        self.row_starts = np.array(given)
        self.rows = self.row_starts.shape[0] - 1
        if x.n_features != net.inputs:
            raise ValueError(f"x: expected {net.inputs} features, found {x.n_features}")
        if (
            self.rows < 0 or self.row_starts[0] < 0
            or self.row_starts[self.rows] > self.values.shape[0]
            or self.columns.shape[0] != self.values.shape[0]
        ):
            raise ValueError(
                f"x: expected the positions of {self.values.shape[0]} values and as many columns"
            )
        for i in range(self.rows):
            if self.row_starts[i] > self.row_starts[i + 1]:
                raise ValueError(f"x: expected row positions that rise, found a fall at row {i}")
        for i in range(self.rows):
            for k in range(self.row_starts[i], self.row_starts[i + 1]):
                if not 0 <= self.columns[k] < net.inputs or (
                    k > self.row_starts[i] and self.columns[k] <= self.columns[k - 1]
                ):
                    raise ValueError(
                        f"x: expected columns from 0 to {net.inputs - 1} that rise within a row, "
                        f"found {self.columns[k]} in row {i}"
                    )
        self.samples.row_starts = &self.row_starts[0]
        if self.values.shape[0] > 0:
            self.samples.values = &self.values[0]
            self.samples.columns = &self.columns[0]
        self.samples.are_sparse = True
        return 0

    cdef int bind_dense(self, x, const Net *net) except -1:
        cdef Py_ssize_t columns
        cdef object dtype = getattr(x, "dtype", None)
        cdef bint are_bytes = dtype is BYTES or dtype == BYTES
        if dtype is None:
            raise TypeError(f"x: expected a NumPy array, found {type(x).__name__}")
        if not are_bytes and dtype is not REALS and dtype != REALS:
            raise ValueError(f"x: expected the dtype {REALS} or uint8, found {dtype}")
        if are_bytes:
            self.bytes = x
            self.rows, columns = self.bytes.shape[0], self.bytes.shape[1]
        else:
            self.reals = x
            self.rows, columns = self.reals.shape[0], self.reals.shape[1]
        if columns != net.inputs:
            raise ValueError(f"x: expected (n, {net.inputs}), found {(self.rows, columns)}")
        if self.rows == 0:
            return 0
        if are_bytes:
            self.samples.bytes = &self.bytes[0, 0]
        else:
            self.samples.reals = &self.reals[0, 0]
        self.samples.count = self.rows
        self.samples.are_sparse = gather.are_sparse(&self.samples, net.inputs)
        return 0

    cdef int bind_targets(self, targets, const Net *net) except -1:
        """Bind rows of targets, or labels."""
        if isinstance(targets, ClassTargets):
            return self.bind_labels(targets, net)
        self.targets = targets
        require_rows("targets", self.targets, self.rows, net.outputs)
        if self.rows > 0:
            self.samples.targets = &self.targets[0, 0]
        return 0

    cdef int bind_labels(self, targets, const Net *net) except -1:
        # A copy, which nobody can change between this check and its use.
        cdef const Py_ssize_t[::1] given = targets.labels
        cdef const Py_ssize_t[::1] own
        cdef Py_ssize_t i
        if given is None:
            raise TypeError("labels: expected an array, found None")
        own = np.array(given)
        if targets.shape != (self.rows, net.outputs):
            raise ValueError(
                f"targets: expected the shape {(self.rows, net.outputs)}, found {targets.shape}"
            )
        for i in range(own.shape[0]):
            if own[i] < 0 or own[i] >= net.outputs:
                raise ValueError(f"labels: expected labels from 0 to {net.outputs - 1}")
        self.labels = own
        if self.rows > 0:
            self.samples.labels = &own[0]
        self.samples.own_target, self.samples.other_target = targets.values(REALS)
        return 0

    cdef int bind_weights(self, const real[::1] weights, const Net *net) except -1:
        if weights is None:
            return 0
        if net.article:
            raise ValueError("weights: the article's rule knows none")
        if weights.shape[0] != self.rows:
            raise ValueError(f"weights: expected {self.rows} values, found {weights.shape[0]}")
        self.weights = weights
        if self.rows > 0:
            self.samples.weights = &weights[0]
        return 0

    cdef int bind_order(self, const Py_ssize_t[::1] order) except -1:
        # A copy, which nobody can change between this check and its use.
        cdef const Py_ssize_t[::1] own = np.array(order)
        cdef Py_ssize_t i
        for i in range(own.shape[0]):
            if own[i] < 0 or own[i] >= self.rows:
                raise ValueError(f"order: expected indices from 0 to {self.rows - 1}")
        self.order = own
        self.rows = self.samples.count = own.shape[0]
        if self.rows > 0:
            self.samples.order = &own[0]
        return 0


@cython.final
cdef class LearningRates:
    """One for all steps of an epoch, or one for each."""

    cdef double same
    cdef const double[::1] each
    cdef bint vary

    def __cinit__(self, rates, Py_ssize_t steps):
        if not isinstance(rates, np.ndarray):
            self.same = rates
            return
        self.vary = True
        self.each = rates
        if self.each.shape[0] != steps:
            raise ValueError(
                f"learning_rate: expected {steps}, one for each step, found {self.each.shape[0]}"
            )

    cdef inline double of(self, Py_ssize_t step) noexcept nogil:
        return self.each[step] if self.vary else self.same


cdef struct Tally:
    # Of an epoch: the sum of the losses and what the samples count, the hits, and the work since the
    # last look at the signals.
    double loss
    double total
    Py_ssize_t hits
    double work


cdef object BYTES = np.dtype(np.uint8)
cdef object REALS = np.dtype(np.float32 if sizeof(real) == 4 else np.float64)


cdef int require_rows(
    str argument, const real[:, ::1] array, Py_ssize_t rows, Py_ssize_t columns
) except -1:
    if array is None:
        raise TypeError(f"{argument}: expected an array, found None")
    if array.shape[0] != rows or array.shape[1] != columns:
        raise ValueError(
            f"{argument}: expected {(rows, columns)}, found {(array.shape[0], array.shape[1])}"
        )
    return 0


@cython.final
cdef class Engine:
    """See `cnn_core.backends.interface.Engine`."""

    cdef Net net
    cdef Optimizer optimizer
    cdef LossFunction loss
    cdef real[::1] parameters
    cdef real[::1] gradient_values
    cdef real[:, ::1] moment_values
    cdef real[::1] statistic_values
    cdef real[::1] average_values
    cdef readonly object moments
    cdef readonly object statistics
    cdef readonly object average
    cdef Workspace workspace
    # For the next prediction.
    cdef Workspace spare
    cdef int threads
    cdef ThreadCountTuner tuner
    cdef Py_ssize_t steps_taken
    # The process that trains with it; 0: none.
    cdef long training

    # Not __init__, which could be called again in the middle of a training.
    def __cinit__(self, spec):
        network, parameters, seed = spec.network, spec.parameters, spec.seed
        cdef int threads = 1 if spec.threads is None else spec.threads
        self.parameters = parameters
        self.optimizer = Optimizer(network.optimizer)
        self.loss = loss_named(network.loss, network.n_outputs)
        gradient = aligned(np.zeros_like(parameters))
        self.gradient_values = gradient
        self.bind_moments(network, spec.moments)
        self.bind_statistics(network, spec.statistics)
        self.bind_average(network, spec.average)
        if threads < 1:
            raise ValueError(f"threads: expected at least 1, found {threads}")
        self.threads = threads
        self.tuner = ThreadCountTuner(threads)
        if not 0 <= index(seed) < 2**64:
            raise ValueError(f"seed: expected 0 up to below 2**64, found {seed}")
        self.net.key = seed
        self.describe(network)
        self.describe_step(network)

    cdef int bind_moments(self, network, moments) except -1:
        wanted = (network.optimizer.n_moments, self.parameters.shape[0])
        self.moments = aligned(np.zeros(wanted, REALS)) if moments is None else moments
        self.moment_values = self.moments
        if self.moment_values.shape[0] != wanted[0] or self.moment_values.shape[1] != wanted[1]:
            raise ValueError(f"moments: expected the shape {wanted}, found {moments.shape}")
        if self.moment_values.shape[0] > 0:
            self.net.first_moment = &self.moment_values[0, 0]
        if self.moment_values.shape[0] > 1:
            self.net.second_moment = &self.moment_values[1, 0]
        return 0

    cdef int bind_statistics(self, network, statistics) except -1:
        wanted = network.n_statistics
        self.statistics = network.first_statistics(REALS) if statistics is None else statistics
        self.statistic_values = self.statistics
        if self.statistic_values.shape[0] != wanted:
            raise ValueError(
                f"statistics: expected the shape ({wanted},), found {statistics.shape}"
            )
        if wanted > 0:
            self.net.statistics = &self.statistic_values[0]
        return 0

    cdef int bind_average(self, network, average) except -1:
        if not network.averaging:
            if average is not None:
                raise ValueError("average: expected none, since the network's averaging is 0")
            return 0
        self.average = aligned(np.array(self.parameters)) if average is None else average
        self.average_values = self.average
        if self.average_values.shape[0] != self.parameters.shape[0]:
            raise ValueError(
                f"average: expected the shape ({self.parameters.shape[0]},), "
                f"found {average.shape}"
            )
        self.net.average = &self.average_values[0]
        return 0

    cdef int describe(self, network) except -1:
        """Lay the network out for the loops."""
        cdef Net *net = &self.net
        cdef Layer *layer
        cdef Py_ssize_t start = 0, piece = 0, most_weights = 0, statistics = 0
        net.biases = network.bias_rows(self.parameters.shape[0])
        net.article = network.rule == "article"
        net.size = len(network.layers)
        net.layers = <Layer *>PyMem_RawMalloc(net.size * sizeof(Layer))
        if net.layers == NULL:
            raise MemoryError(f"no room for {net.size} layers")
        for number, dense in enumerate(network.layers):
            layer = &net.layers[<Py_ssize_t>number]
            layer.fan_in, layer.fan_out = dense.fan_in, dense.fan_out
            layer.weights = start
            layer.bias = start + layer.fan_in * layer.fan_out
            layer.gain = start = layer.bias + net.biases * layer.fan_out
            layer.normalization = normalization_named(dense.normalization)
            if layer.normalization != NONE:
                net.normalizes = True
                start += layer.fan_out
            layer.statistics = statistics
            if layer.normalization == BATCH:
                net.normalizes_batches = True
                statistics += 2 * layer.fan_out
            layer.activation = activation_named(dense.activation)
            layer.dropout = dense.dropout
            layer.row = padded_stride(layer.fan_out)
            layer.first_piece = piece
            piece += pieces_of(layer.fan_in)
            most_weights = max(most_weights, layer.fan_in * layer.fan_out)
        net.pieces = piece
        net.block_size = block_rows_for(most_weights)
        net.inputs = net.layers[0].fan_in
        net.outputs = net.layers[net.size - 1].fan_out
        net.parameters_size = self.parameters.shape[0]
        net.parameters = &self.parameters[0]
        net.gradient = &self.gradient_values[0]
        net.input_scale = network.input_scale
        return 0

    cdef int describe_step(self, network) except -1:
        """Lay out what a step is made of."""
        cdef Net *net = &self.net
        net.loss = self.loss.value
        net.update = self.optimizer.update
        net.l2 = network.l2
        net.clip_value = network.clip_value or 0
        net.clip_norm = network.clip_norm or 0
        net.averaging = network.averaging
        net.plain = (
            self.optimizer.plain and net.l2 == 0 and net.clip_value == 0 and net.clip_norm == 0
            and net.averaging == 0
        )
        return 0

    def __dealloc__(self):
        PyMem_RawFree(self.net.layers)

    @property
    def steps(self):
        """Steps taken so far."""
        return self.steps_taken

    @steps.setter
    def steps(self, value):
        if not 0 <= index(value) < 2**63:
            raise ValueError(f"steps: expected 0 up to below 2**63, found {value}")
        self.steps_taken = value

    def train_epoch(
        self,
        x,
        t,
        const Py_ssize_t[::1] order,
        Py_ssize_t batch_size,
        learning_rate,
        const real[::1] weights=None,
    ):
        """Train on every sample named by `order` once; return the mean loss and the hits."""
        cdef Data data = Data.__new__(Data)
        cdef LearningRates rates
        cdef Py_ssize_t start = 0, step = 0, batch, group = 0
        cdef Tally tally = Tally(0, 0, 0, 0)
        if batch_size < 1:
            raise ValueError(f"batch_size: expected at least 1, found {batch_size}")
        data.bind(x, &self.net)
        data.bind_targets(t, &self.net)
        data.bind_weights(weights, &self.net)
        if self.net.article and (order is not None or batch_size < data.rows):
            raise ValueError("the article's rule takes all samples in one step, as they stand")
        if order is not None:
            data.bind_order(order)
        rates = LearningRates(learning_rate, data.rows // batch_size + (data.rows % batch_size > 0))
        if not rates.vary:
            group = small_batches.group_of(&self.net, batch_size)
        cdef Workspace workspace = self.begin(min(max(batch_size, group), data.rows))
        try:
            with nogil:
                while start < data.rows and isfinite(tally.loss):
                    batch = min(group, data.rows - start)
                    if batch > batch_size:
                        self.step_group(
                            &workspace.buffers, &data.samples, start, batch, batch_size, rates.same, &tally
                        )
                    else:
                        batch = min(batch_size, data.rows - start)
                        self.step(
                            &workspace.buffers, &data.samples, start, batch, rates.of(step), True, &tally
                        )
                    start += batch
                    step += 1
        finally:
            self.training = 0
        return (tally.loss / tally.total if tally.total > 0 else tally.loss), tally.hits

    def gradient(
        self, x, t, real[::1] out not None, const real[::1] weights=None
    ):
        """Write the next step's direction for all of `x` into `out`; return the loss."""
        cdef Data data = Data.__new__(Data)
        cdef Tally tally = Tally(0, 0, 0, 0)
        data.bind(x, &self.net)
        data.bind_targets(t, &self.net)
        data.bind_weights(weights, &self.net)
        if out.shape[0] != self.net.parameters_size:
            raise ValueError(
                f"out: expected {self.net.parameters_size} values, found {out.shape[0]}"
            )
        cdef Workspace workspace = self.begin(data.rows)
        try:
            with nogil:
                if data.rows > 0:
                    self.step(&workspace.buffers, &data.samples, 0, data.rows, 0, False, &tally)
                    out[:] = self.gradient_values
                else:
                    out[:] = 0
        finally:
            self.training = 0
        if not tally.total > 0:
            return tally.loss
        return (tally.loss + self.net.l2 / 2 * squared_weights(&self.net)) / tally.total

    def predict(self, x, real[:, ::1] out not None):
        """Write the outputs for `x` into `out`; return whether all of `x` is finite."""
        cdef Data data = Data.__new__(Data)
        data.bind(x, &self.net)
        require_rows("outputs", out, data.rows, self.net.outputs)
        if data.rows == 0:
            return True
        # One of its own, so that several threads can predict at once; kept, since making it takes time.
        cdef Workspace workspace = self.spare
        self.spare = None
        if workspace is None or workspace.rows < min(data.rows, <Py_ssize_t>SLICE_ROWS):
            workspace = Workspace.make(
                &self.net, min(data.rows, <Py_ssize_t>SLICE_ROWS), self.threads, False
            )
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
        predictor.workspace = Workspace.make(&self.net, min(rows, <Py_ssize_t>SLICE_ROWS), self.threads, False)
        predictor.out = np.zeros((rows, self.net.outputs), np.asarray(self.parameters).dtype)
        predictor.values = predictor.out
        return predictor

    cdef bint predict_slices(self, Data data, Workspace workspace, real *out) except -1:
        cdef Prediction asked
        cdef Tally tally = Tally(0, 0, 0, 0)
        cdef double work
        cdef int threads
        asked.net = &self.net
        asked.workspace = &workspace.buffers
        asked.samples = data.samples
        asked.first = 0
        asked.out = out
        asked.nonfinite = 0
        if self.threads_for(1.0 * self.net.parameters_size * data.rows) > 1:
            prepare(self.threads)
        with nogil:
            while asked.first < data.rows:
                asked.rows = min(workspace.rows, data.rows - asked.first)
                work = 1.0 * self.net.parameters_size * asked.rows
                threads = self.threads_for(work)
                asked.blocks = blocks_of(&self.net, asked.rows, threads)
                check_signals(&tally, work / threads)
                run(predict_block, &asked, asked.blocks, threads)
                asked.first += asked.rows
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
            if not self.net.normalizes_batches:
                batch = min(batch, <Py_ssize_t>SLICE_ROWS)
            if self.workspace is None or self.workspace.rows < batch:
                self.workspace = Workspace.make(&self.net, batch, self.threads, True)
        except BaseException:
            self.training = 0
            raise
        return self.workspace

    cdef double work_of(self, Py_ssize_t rows) noexcept nogil:
        """The multiply-adds of a step, forward and backward."""
        return 3.0 * self.net.parameters_size * rows

    cdef int threads_for(self, double work) noexcept nogil:
        return 1 if work < LEAST_SHARED_WORK else self.threads

    cdef BatchSlice slice_of(
        self, const Buffers *workspace, const Samples *samples, Py_ssize_t first, double learning_rate
    ) noexcept nogil:
        """The slice that begins with a sample; its sizes are still open."""
        cdef BatchSlice batch
        memset(&batch, 0, sizeof(BatchSlice))
        batch.net = &self.net
        batch.workspace = workspace
        batch.samples = samples[0]
        batch.first = first
        batch.number = self.steps_taken
        batch.step = self.optimizer.step(learning_rate, self.steps_taken + 1)
        cdef double number = <double>self.steps_taken + 1
        batch.pace = <real>(1 - min(self.net.averaging, (1 + number) / (10 + number)))
        return batch

    cdef int step(
        self, const Buffers *workspace, const Samples *samples, Py_ssize_t first, Py_ssize_t batch_rows,
        double learning_rate, bint steps, Tally *tally,
    ) except -1 nogil:
        """One step on a batch, unless its loss is not finite, or its gradient alone."""
        cdef BatchSlice batch = self.slice_of(workspace, samples, first, learning_rate)
        cdef Py_ssize_t parts = 1
        cdef Py_ssize_t each
        cdef bint whole = not steps or self.net.clip_norm > 0
        cdef int threads
        cdef bint are_shared
        if not self.net.normalizes_batches:
            parts = (batch_rows + SLICE_ROWS - 1) // SLICE_ROWS
        each = (batch_rows + parts - 1) // parts
        threads = self.threads_for(self.work_of(each))
        are_shared = threads > 1
        if are_shared:
            threads = self.tuner.begin(self.work_of(batch_rows), self.work_of(each), nanoseconds())
        batch.batch_rows = batch_rows
        batch.total = gather.total_of(&batch)
        tally.total += batch.total
        while batch.first_in_batch < batch_rows:
            batch.rows = min(each, batch_rows - batch.first_in_batch)
            batch.adds = batch.first_in_batch > 0
            batch.blocks = blocks_of(&self.net, batch.rows, threads)
            # Here, where no parameter has been touched by the step.
            check_signals(tally, self.work_of(batch.rows) / threads)
            self.forward_backward(&batch, threads)
            count(tally, workspace, batch.rows)
            if steps and not isfinite(tally.loss):
                return 0
            if steps:
                move_statistics(&batch)
            batch.steps = not whole and batch.first_in_batch + batch.rows == batch_rows
            self.update_parameters(&batch, threads)
            batch.first += batch.rows
            batch.first_in_batch += batch.rows
        if whole:
            self.finish_step(&batch, steps, threads)
        if are_shared:
            self.tuner.end(nanoseconds())
        self.steps_taken += steps
        return 0

    cdef void forward_backward(self, BatchSlice *batch, int threads) noexcept nogil:
        """All samples up to the last layer and down again, together where they have to wait."""
        cdef const Net *net = &self.net
        batch.layer = -1
        while True:
            run(forward_backward_block, batch, batch.blocks, threads)
            batch.layer = next_to_wait(net, batch.layer)
            if batch.layer == net.size:
                break
            run(normalize_batch, batch, column_blocks(&net.layers[batch.layer]), threads)
        while True:
            batch.layer = last_to_wait(net, batch.layer)
            if batch.layer < 0:
                break
            run(
                normalize_batch_backward, batch,
                column_blocks(&net.layers[batch.layer]), threads,
            )
            if batch.layer > 0:
                run(backward_block, batch, batch.blocks, threads)

    cdef void update_parameters(self, const BatchSlice *batch, int threads) noexcept nogil:
        """The gradient over the samples of a slice, and the step if this is the last one."""
        cdef BatchSlice piece = batch[0]
        cdef Py_ssize_t end = batch.rows
        while piece.top < end:
            piece.rows = min(end - piece.top, <Py_ssize_t>SLICE_ROWS)
            piece.adds = batch.adds or piece.top > 0
            piece.steps = batch.steps and piece.top + piece.rows == end
            run(update_piece, &piece, self.net.pieces, threads)
            piece.top += piece.rows

    cdef void finish_step(self, BatchSlice *batch, bint steps, int threads) noexcept nogil:
        """Make a gradient complete, and take the step by it if asked for."""
        cdef double square = 0
        cdef Py_ssize_t piece
        run(finish_gradient, batch, self.net.pieces, threads)
        if not steps:
            return
        for piece in range(self.net.pieces):
            square += batch.workspace.squares[piece]
        batch.scale = 1
        if sqrt(square) > self.net.clip_norm:
            batch.scale = <real>(self.net.clip_norm / sqrt(square))
        run(apply_clipped_step, batch, self.net.pieces, threads)

    cdef int step_group(
        self, const Buffers *workspace, const Samples *samples, Py_ssize_t first, Py_ssize_t rows,
        Py_ssize_t batch_size, double learning_rate, Tally *tally,
    ) except -1 nogil:
        """The steps of a group of samples."""
        cdef BatchSlice batch = self.slice_of(workspace, samples, first, learning_rate)
        cdef double total
        batch.steps = True
        check_signals(tally, self.work_of(rows))
        count(tally, workspace, small_batches.take_steps(&batch, rows, batch_size, &total))
        tally.total += total
        self.steps_taken = batch.number
        return 0


cdef Normalization normalization_named(str name) except *:
    if name is None:
        return NONE
    if name == "batch":
        return BATCH
    if name == "layer":
        return LAYER
    raise ValueError(f"normalization: expected batch or layer, found {name!r}")


cdef double squared_weights(const Net *net) noexcept nogil:
    """The sum over all layers."""
    cdef const real *weights
    cdef double total = 0
    cdef Py_ssize_t l, i
    for l in range(net.size):
        weights = net.parameters + net.layers[l].weights
        for i in range(net.layers[l].fan_in * net.layers[l].fan_out):
            total = multiply_add(weights[i], weights[i], total)
    return total


cdef void count(Tally *tally, const Buffers *workspace, Py_ssize_t rows) noexcept nogil:
    """Add the losses, in the order of the samples whoever computed them, and the hits."""
    cdef Py_ssize_t i
    for i in range(rows):
        tally.loss += workspace.losses[i]
        tally.hits += workspace.hits[i]


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
        cdef Data data = Data.__new__(Data)
        data.bind(x, &self.engine.net)
        if data.rows != self.values.shape[0]:
            raise ValueError(f"x: expected {self.values.shape[0]} rows, found {data.rows}")
        self.engine.predict_slices(data, self.workspace, &self.values[0, 0])
        return self.out


cdef int check_signals(Tally *tally, double work) except -1 nogil:
    """Now and then let Python handle what has come in, Ctrl-C above all."""
    cdef PyThreadState *thread
    cdef int found
    tally.work += work + WORK_OF_A_STEP
    if tally.work <= WORK_BETWEEN_SIGNALS:
        return 0
    tally.work = 0
    # Not `with gil`, which crashes in a daemon thread that outlives Python by the rest of a step.
    thread = PyGILState_GetThisThreadState()
    if thread == NULL:
        return 0
    PyEval_RestoreThread(thread)
    found = PyErr_CheckSignals()
    PyEval_SaveThread()
    return found
