"""The engine: whole epochs over a network of dense layers, without Python inside.

It binds the arrays, checks what it is given and goes through the batches; what happens to a batch
stands in step.pyx. What each method does, with shapes and errors: `cnn_core.contracts.Engine`.
"""

cimport cython
from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc
from libc.math cimport isfinite, sqrt
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memset

import os
from operator import index

import numpy as np

from cnn_core.memory import aligned

from . cimport lookahead, step
from ..pool cimport Sharing, prepare, run
from .activations cimport activation_named
from .losses cimport LossFunction, loss_named
from .optimizers cimport Optimizer
from .scalar cimport multiply_add, real
from .step cimport (
    BATCH,
    LAYER,
    NONE,
    PART_ROWS,
    Layer,
    Net,
    Part,
    Prediction,
    Room,
    Samples,
    Sheet,
)

cdef extern from "Python.h" nogil:
    ctypedef struct PyThreadState
    PyThreadState *PyGILState_GetThisThreadState()
    void PyEval_RestoreThread(PyThreadState *thread)
    PyThreadState *PyEval_SaveThread()
    int PyErr_CheckSignals()

cdef extern from "threads.h" nogil:
    int64_t nanoseconds()

cdef enum:
    ALIGNMENT = 64
    # Arrays of a `Sheet`, two of which are smaller than its layer.
    MOST_SHEETS = 8

# Multiply-adds between two looks at the signals: some milliseconds, so that Ctrl-C is prompt.
cdef double WORK_BETWEEN_SIGNALS = 2e8
# What a step costs beside its multiply-adds, in as many of them as would take as long.
cdef double WORK_OF_A_STEP = 1e5
# Multiply-adds between two meetings of threads below which the others would not pay.
cdef double LEAST_SHARED_WORK = 1e6


@cython.final
cdef class Space:
    """Memory for what up to `rows` samples leave behind in a network."""

    cdef Room room
    cdef Py_ssize_t rows
    cdef void *memory
    cdef char *free

    @staticmethod
    cdef Space make(const Net *net, Py_ssize_t rows, bint training):
        cdef Space space = Space.__new__(Space)
        cdef Py_ssize_t l, input_row = step.spaced(net.inputs)
        cdef const Layer *layer
        cdef const Layer *last = &net.layers[net.size - 1]
        cdef size_t size = rows * (input_row + last.row) * sizeof(real)
        size += net.size * sizeof(Sheet) + rows * (sizeof(double) + 1) + net.units * sizeof(double)
        size += (6 + MOST_SHEETS * net.size) * ALIGNMENT
        for l in range(net.size):
            layer = &net.layers[l]
            size += ((MOST_SHEETS - 2) * rows * layer.row + rows + 3 * layer.fan_out) * sizeof(real)
        space.memory = PyMem_RawMalloc(size)
        if space.memory == NULL:
            raise MemoryError(f"no room for {rows} samples in this network: {size} bytes")
        space.free = <char *>space.memory
        space.rows = rows
        space.room.input_row = input_row
        space.room.sheets = <Sheet *>space.carve(net.size * sizeof(Sheet))
        space.room.x = <real *>space.carve(rows * input_row * sizeof(real))
        for l in range(net.size):
            space.lay_out(&space.room.sheets[l], &net.layers[l], training, l == net.size - 1)
        if training:
            space.room.targets = space.carve_sheet(last)
            space.room.losses = <double *>space.carve(rows * sizeof(double))
            space.room.hits = <unsigned char *>space.carve(rows)
            space.room.squares = <double *>space.carve(net.units * sizeof(double))
        return space

    cdef void lay_out(self, Sheet *sheet, const Layer *layer, bint training, bint last) noexcept:
        """Give a layer its arrays: as few as hold what has to stay until it is used again."""
        cdef bint normalizes = layer.normalization != NONE
        sheet.activation = sheet.output = sheet.z = self.carve_sheet(layer)
        if training and (last or layer.activation.needs_z):
            sheet.z = self.carve_sheet(layer)
        sheet.normal = self.carve_sheet(layer) if training and normalizes else sheet.z
        if training and layer.dropout > 0:
            sheet.output = self.carve_sheet(layer)
        if training:
            sheet.delta = sheet.error = self.carve_sheet(layer)
        if training and normalizes:
            sheet.error = self.carve_sheet(layer)
        if normalizes:
            sheet.spread = <real *>self.carve((self.rows + layer.fan_out) * sizeof(real))
            sheet.statistics = <real *>self.carve(2 * layer.fan_out * sizeof(real))

    cdef real *carve_sheet(self, const Layer *layer) noexcept:
        return <real *>self.carve(self.rows * layer.row * sizeof(real))

    cdef void *carve(self, size_t size) noexcept:
        cdef size_t start = (<size_t>self.free + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT
        self.free = <char *>(start + size)
        return <void *>start

    def __dealloc__(self):
        PyMem_RawFree(self.memory)


@cython.final
cdef class Data:
    """The caller's samples, which stay in place while it lives."""

    cdef const real[:, ::1] reals
    cdef const unsigned char[:, ::1] bytes
    cdef const real[:, ::1] targets
    cdef const real[::1] weights
    cdef const Py_ssize_t[::1] order
    cdef Py_ssize_t rows
    cdef Samples samples

    cdef int bind(self, x, const Net *net) except -1:
        """Bind samples of either dtype."""
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
        if net.article and self.rows != net.biases:
            raise ValueError(
                f"x: expected the {net.biases} samples of the biases, found {self.rows}"
            )
        memset(&self.samples, 0, sizeof(Samples))
        if self.rows == 0:
            return 0
        if are_bytes:
            self.samples.bytes = &self.bytes[0, 0]
        else:
            self.samples.reals = &self.reals[0, 0]
        self.samples.count = self.rows
        self.samples.are_sparse = step.are_sparse(&self.samples, net.inputs)
        return 0

    cdef int bind_targets(self, const real[:, ::1] targets, const Net *net) except -1:
        require_rows("targets", targets, self.rows, net.outputs)
        self.targets = targets
        if self.rows > 0:
            self.samples.targets = &targets[0, 0]
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
    """See `cnn_core.contracts.Engine`."""

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
    cdef Space space
    cdef int threads
    cdef Sharing sharing
    cdef Py_ssize_t steps_taken
    # The process that trains with it; 0: none.
    cdef long training

    # Not __init__, which could be called again in the middle of a training.
    def __cinit__(
        self, network, parameters, *, moments=None, statistics=None, average=None, seed=0,
        int threads=1,
    ):
        self.parameters = parameters
        self.optimizer = Optimizer(network.optimizer)
        self.loss = loss_named(network.loss, network.n_outputs)
        gradient = aligned(np.zeros_like(parameters))
        self.gradient_values = gradient
        self.bind_moments(network, moments)
        self.bind_statistics(network, statistics)
        self.bind_average(network, average)
        if threads < 1:
            raise ValueError(f"threads: expected at least 1, found {threads}")
        self.threads = threads
        self.sharing = Sharing(threads)
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
        cdef Py_ssize_t start = 0, unit = 0, most_weights = 0, statistics = 0
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
            layer.row = step.spaced(layer.fan_out)
            layer.first_unit = unit
            unit += step.units_of(layer.fan_in)
            most_weights = max(most_weights, layer.fan_in * layer.fan_out)
        net.units = unit
        net.block_rows = step.block_rows_for(most_weights)
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
        if not 0 <= index(value) < 2**32:
            raise ValueError(f"steps: expected 0 up to below 2**32, found {value}")
        self.steps_taken = value

    def train_epoch(
        self,
        x,
        const real[:, ::1] t not None,
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
            group = lookahead.group_of(&self.net, batch_size)
        cdef Space space = self.begin(min(max(batch_size, group), data.rows))
        try:
            with nogil:
                while start < data.rows and isfinite(tally.loss):
                    batch = min(group, data.rows - start)
                    if batch > batch_size:
                        self.go_ahead(
                            &space.room, &data.samples, start, batch, batch_size, rates.same, &tally
                        )
                    else:
                        batch = min(batch_size, data.rows - start)
                        self.go(
                            &space.room, &data.samples, start, batch, rates.of(step), True, &tally
                        )
                    start += batch
                    step += 1
        finally:
            self.training = 0
        return (tally.loss / tally.total if tally.total > 0 else tally.loss), tally.hits

    def gradient(
        self, x, const real[:, ::1] t not None, real[::1] out not None,
        const real[::1] weights=None,
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
        cdef Space space = self.begin(data.rows)
        try:
            with nogil:
                if data.rows > 0:
                    self.go(&space.room, &data.samples, 0, data.rows, 0, False, &tally)
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
        # Room of its own, so that several threads can predict at once.
        cdef Space space = Space.make(&self.net, min(data.rows, <Py_ssize_t>PART_ROWS), False)
        return self.answer(data, space, &out[0, 0])

    def predictor(self, Py_ssize_t rows):
        """Return a predictor of `rows` samples at a time."""
        if rows < 1:
            raise ValueError(f"rows: expected at least 1, found {rows}")
        if self.net.article:
            raise ValueError("the article's rule predicts the samples that it was fitted to alone")
        cdef Predictor predictor = Predictor.__new__(Predictor)
        predictor.engine = self
        predictor.space = Space.make(&self.net, min(rows, <Py_ssize_t>PART_ROWS), False)
        predictor.out = np.zeros((rows, self.net.outputs), np.asarray(self.parameters).dtype)
        predictor.values = predictor.out
        return predictor

    cdef bint answer(self, Data data, Space space, real *out) except -1:
        cdef Prediction asked
        cdef Tally tally = Tally(0, 0, 0, 0)
        cdef double work
        cdef int threads
        asked.net = &self.net
        asked.room = &space.room
        asked.samples = data.samples
        asked.first = 0
        asked.out = out
        asked.strange = 0
        if self.threads_for(1.0 * self.net.parameters_size * data.rows) > 1:
            prepare(self.threads)
        with nogil:
            while asked.first < data.rows:
                asked.rows = min(space.rows, data.rows - asked.first)
                work = 1.0 * self.net.parameters_size * asked.rows
                threads = self.threads_for(work)
                asked.blocks = step.blocks_of(&self.net, asked.rows, threads)
                look_at_signals(&tally, work / threads)
                run(step.answer, &asked, asked.blocks, threads)
                asked.first += asked.rows
        return asked.strange == 0

    cdef Space begin(self, Py_ssize_t batch):
        """Claim the engine, and make sure that there is room, which is returned."""
        cdef long process = os.getpid()
        # A training in another process is one that was under way when this one was forked off.
        if self.training == process:
            raise RuntimeError("this network is being trained already, perhaps by another thread")
        self.training = process
        try:
            prepare(self.threads)
            if not self.net.normalizes_batches:
                batch = min(batch, <Py_ssize_t>PART_ROWS)
            if self.space is None or self.space.rows < batch:
                self.space = Space.make(&self.net, batch, True)
        except BaseException:
            self.training = 0
            raise
        return self.space

    cdef double work_of(self, Py_ssize_t rows) noexcept nogil:
        """The multiply-adds of a step, forward and backward."""
        return 3.0 * self.net.parameters_size * rows

    cdef int threads_for(self, double work) noexcept nogil:
        return 1 if work < LEAST_SHARED_WORK else self.threads

    cdef Part part_of(
        self, const Room *room, const Samples *samples, Py_ssize_t first, double learning_rate
    ) noexcept nogil:
        """The part that begins with a sample; its sizes are still open."""
        cdef Part part
        memset(&part, 0, sizeof(Part))
        part.net = &self.net
        part.room = room
        part.samples = samples[0]
        part.first = first
        part.number = self.steps_taken
        part.step = self.optimizer.step(learning_rate, self.steps_taken + 1)
        cdef double number = <double>self.steps_taken + 1
        part.pace = <real>(1 - min(self.net.averaging, (1 + number) / (10 + number)))
        return part

    cdef int go(
        self, const Room *room, const Samples *samples, Py_ssize_t first, Py_ssize_t batch,
        double learning_rate, bint steps, Tally *tally,
    ) except -1 nogil:
        """One step on a batch, unless its loss is not finite, or its gradient alone."""
        cdef Part part = self.part_of(room, samples, first, learning_rate)
        cdef Py_ssize_t parts = 1
        cdef Py_ssize_t each
        cdef bint whole = not steps or self.net.clip_norm > 0
        cdef int threads
        cdef bint are_shared
        if not self.net.normalizes_batches:
            parts = (batch + PART_ROWS - 1) // PART_ROWS
        each = (batch + parts - 1) // parts
        threads = self.threads_for(self.work_of(each))
        are_shared = threads > 1
        if are_shared:
            threads = self.sharing.begin(self.work_of(batch), self.work_of(each), nanoseconds())
        part.batch = batch
        part.total = step.total_of(&part)
        tally.total += part.total
        while part.first_in_batch < batch:
            part.rows = min(each, batch - part.first_in_batch)
            part.adds = part.first_in_batch > 0
            part.blocks = step.blocks_of(&self.net, part.rows, threads)
            # Here, where no parameter has been touched by the step.
            look_at_signals(tally, self.work_of(part.rows) / threads)
            self.go_through(&part, threads)
            count(tally, room, part.rows)
            if steps and not isfinite(tally.loss):
                return 0
            if steps:
                step.move_statistics(&part)
            part.steps = not whole and part.first_in_batch + part.rows == batch
            self.improve(&part, threads)
            part.first += part.rows
            part.first_in_batch += part.rows
        if whole:
            self.finish(&part, steps, threads)
        if are_shared:
            self.sharing.end(nanoseconds())
        self.steps_taken += steps
        return 0

    cdef void go_through(self, Part *part, int threads) noexcept nogil:
        """All samples up to the last layer and down again, together where they have to wait."""
        cdef const Net *net = &self.net
        part.layer = -1
        while True:
            run(step.go_through, part, part.blocks, threads)
            part.layer = step.next_to_wait(net, part.layer)
            if part.layer == net.size:
                break
            run(step.normalize_batch, part, step.column_blocks(&net.layers[part.layer]), threads)
        while True:
            part.layer = step.last_to_wait(net, part.layer)
            if part.layer < 0:
                break
            run(
                step.normalize_batch_backward, part,
                step.column_blocks(&net.layers[part.layer]), threads,
            )
            if part.layer > 0:
                run(step.go_back, part, part.blocks, threads)

    cdef void improve(self, const Part *part, int threads) noexcept nogil:
        """The gradient over the samples of a part, and the step if this is the last one."""
        cdef Part piece = part[0]
        cdef Py_ssize_t end = part.rows
        while piece.top < end:
            piece.rows = min(end - piece.top, <Py_ssize_t>PART_ROWS)
            piece.adds = part.adds or piece.top > 0
            piece.steps = part.steps and piece.top + piece.rows == end
            run(step.improve, &piece, self.net.units, threads)
            piece.top += piece.rows

    cdef void finish(self, Part *part, bint steps, int threads) noexcept nogil:
        """Make a gradient complete, and take the step by it if asked for."""
        cdef double square = 0
        cdef Py_ssize_t unit
        run(step.complete, part, self.net.units, threads)
        if not steps:
            return
        for unit in range(self.net.units):
            square += part.room.squares[unit]
        part.scale = 1
        if sqrt(square) > self.net.clip_norm:
            part.scale = <real>(self.net.clip_norm / sqrt(square))
        run(step.take, part, self.net.units, threads)

    cdef int go_ahead(
        self, const Room *room, const Samples *samples, Py_ssize_t first, Py_ssize_t rows,
        Py_ssize_t batch, double learning_rate, Tally *tally,
    ) except -1 nogil:
        """The steps of a group of samples."""
        cdef Part part = self.part_of(room, samples, first, learning_rate)
        cdef double total
        part.steps = True
        look_at_signals(tally, self.work_of(rows))
        count(tally, room, lookahead.take_steps(&part, rows, batch, &total))
        tally.total += total
        self.steps_taken = part.number
        return 0


cdef step.Normalization normalization_named(str name) except *:
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


cdef void count(Tally *tally, const Room *room, Py_ssize_t rows) noexcept nogil:
    """Add the losses, in the order of the samples whoever computed them, and the hits."""
    cdef Py_ssize_t i
    for i in range(rows):
        tally.loss += room.losses[i]
        tally.hits += room.hits[i]


@cython.final
cdef class Predictor:
    """See `cnn_core.contracts.Predictor`."""

    cdef Engine engine
    cdef Space space
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
        self.engine.answer(data, self.space, &self.values[0, 0])
        return self.out


cdef int look_at_signals(Tally *tally, double work) except -1 nogil:
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
