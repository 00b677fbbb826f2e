"""The dense layer on encoded columns, without computing the encoded features.

In a piecewise linear column, the features before the bin of a value are 0.5, those behind it -0.5.
So the column's part of an output is an interpolation between two adjacent rows of a table of weight
sums. The factor is the position of the value in its bin. The weights, twice the memory, are not
read. In the backward pass a row of weights gets the deltas of all samples of later bins, less half
of all deltas. It also gets the deltas of its own bin times the positions. This takes one pass over
the samples, sorted by bin, and one from the last row of weights to the first. A code picks a row of
weights. Adjacent numeric columns use the matrix product. encoded_rows.pxd has the loops.

A piece of parameters is one piecewise linear column with its sums, at most PIECE_ROWS rows of other
columns, or the bias. Its thread goes over all samples: no lock, and no sum depends on the thread.
"""

cimport cython
from libc.string cimport memcpy, memset

import numpy as np

from .dense cimport ROW_VECTORS, Product, product
from .dense_layer cimport DenseLayer
from .encoded_rows cimport (
    GRADIENT_VECTORS, MOST_ROWS, Rows, WeightedRows, add_picked, bin_of, gradient_of_row,
    less_half_of_sum, level_of, sum_up_rows,
)
from .layer cimport (
    PIECE_COLUMNS, PIECE_ROWS, SLICE_ROWS, Block, Layer, LayerBuffers, ThreadBuffers, Workspace,
)
from .matrix cimport Matrix, Range
from .scalar cimport real
from .update cimport take_gradient
from .vector cimport each_vector

cdef extern from "<math.h>" nogil:
    double floor(double x)


cdef enum Encoding:
    NUMBERS
    PIECES
    CODES


cdef struct Columns:
    # One column of pieces or codes, or adjacent numeric columns: (first) column in a sample;
    # features; start of the weights in the flat parameters; start of the sums, for pieces; first
    # piece of parameters; number of such pieces.
    Encoding encoding
    Py_ssize_t column
    Py_ssize_t features
    Py_ssize_t weights
    Py_ssize_t sums
    Py_ssize_t first_piece
    Py_ssize_t pieces


cdef struct PieceOfRows:
    # Rows `first` to below `end` of the weights of `columns`, and `units` units from `unit` on.
    const Columns *columns
    Py_ssize_t first
    Py_ssize_t end
    Py_ssize_t unit
    Py_ssize_t units


@cython.final
cdef class EncodedLayer(DenseLayer):
    """Compute outputs = encode(inputs) @ weights + bias; the first layer of a network."""

    cdef unsigned char[::1] memory
    cdef Columns *columns_at
    cdef Py_ssize_t n_columns
    # Values of the sums of all columns.
    cdef Py_ssize_t sums_size

    def __cinit__(self, description, Py_ssize_t start):
        """Make the layer of a description; its weights start at value `start` of the parameters.

        Adjacent numeric columns become one `Columns`.
        """
        cdef Py_ssize_t number
        cdef Columns *last = NULL
        self.fan_in, self.fan_out = description.fan_in, description.fan_out
        self.has_bias = description.normalization is None
        # A sample reads at most two rows of each column.
        self.weights_size = 2 * self.fan_in * self.fan_out
        self.memory = np.zeros(self.fan_in * sizeof(Columns), np.uint8)
        self.columns_at = <Columns *>&self.memory[0]
        for number, (name, features) in enumerate(
            zip(description.encodings, description.sizes, strict=True)
        ):
            encoding = {"number": NUMBERS, "pieces": PIECES, "codes": CODES}[name]
            if last != NULL and encoding == NUMBERS and last.encoding == NUMBERS:
                last.features += 1
            else:
                last = &self.columns_at[self.n_columns]
                last[0] = Columns(encoding, number, features, start, self.sums_size, 0, 0)
                self.n_columns += 1
            start += features * self.fan_out
            if encoding == PIECES:
                # A row for each bin, one for the end, and minus half of that one.
                self.sums_size += (features + 2) * self.fan_out
        for number in range(self.n_columns):
            last = &self.columns_at[number]
            last.first_piece = self.pieces
            last.pieces = 1
            if last.encoding != PIECES:
                last.pieces = (last.features + PIECE_ROWS - 1) // PIECE_ROWS
            self.pieces += last.pieces
        self.bias = start
        self.pieces += self.has_bias

    cdef int lay_out(self, Workspace workspace, LayerBuffers buffers, bint training) except -1:
        buffers.sums = workspace.carve_reals(self.sums_size + self.fan_out)
        return workspace.carve_outputs(buffers, self.fan_out, training)

    cdef bint can_read(self, const real[:, ::1] x) noexcept nogil:
        cdef Py_ssize_t i, n
        cdef const Columns *columns
        cdef real value
        cdef bint bad = False
        for i in range(x.shape[0]):
            for n in range(self.n_columns):
                columns = &self.columns_at[n]
                value = x[i, columns.column]
                if columns.encoding == CODES:
                    bad |= not (-1 <= value < columns.features and floor(value) == value)
                elif columns.encoding == PIECES:
                    bad |= value != value
        return not bad

    cdef void prepare(self, LayerBuffers buffers) noexcept nogil:
        cdef Py_ssize_t n
        for n in range(self.n_columns):
            if self.columns_at[n].encoding == PIECES:
                self.sum_up(buffers.sums, &self.columns_at[n], 0, self.fan_out)

    cdef void predict(self, LayerBuffers buffers, const Block *block) noexcept nogil:
        cdef Py_ssize_t n, i, first = 0
        self.add_bias(buffers, block)
        # A `WeightedRows` has room for the rows of this many columns.
        while first < self.n_columns:
            n = min(first + MOST_ROWS // 2, self.n_columns)
            for i in range(block.top, block.top + block.rows):
                self.look_up(buffers, i, first, n)
            first = n
        for n in range(self.n_columns):
            if self.columns_at[n].encoding == NUMBERS:
                self.add_numbers(buffers, block, &self.columns_at[n])

    cdef void add_bias(self, LayerBuffers buffers, const Block *block) noexcept nogil:
        """Initialize the outputs: the bias, less half of the sum of all weights of pieces."""
        cdef Py_ssize_t i, j, n, at
        cdef size_t size = <size_t>self.fan_out * sizeof(real)
        cdef real *first
        if block.rows == 0:
            return
        first = &buffers.outputs[block.top * buffers.row]
        if self.has_bias:
            memcpy(first, &self.arrays.parameters[self.bias], size)
        else:
            memset(first, 0, size)
        for n in range(self.n_columns):
            if self.columns_at[n].encoding == PIECES:
                at = self.columns_at[n].sums + (self.columns_at[n].features + 1) * self.fan_out
                for j in range(self.fan_out):
                    first[j] = first[j] + buffers.sums[at + j]
        for i in range(1, block.rows):
            memcpy(first + i * buffers.row, first, size)

    cdef void look_up(
        self, LayerBuffers buffers, Py_ssize_t sample, Py_ssize_t first, Py_ssize_t end
    ) noexcept nogil:
        """Add the rows that a sample picks in columns `first` to below `end` to its outputs."""
        cdef const real *values = &buffers.inputs[sample * buffers.input_row]
        cdef const real *weights = &self.arrays.parameters[0]
        cdef const Columns *columns
        cdef WeightedRows picked
        cdef Py_ssize_t n, number
        cdef real through
        picked.count, picked.out = 0, &buffers.outputs[sample * buffers.row]
        for n in range(first, end):
            columns = &self.columns_at[n]
            if columns.encoding == PIECES:
                number = bin_of(values[columns.column], columns.features, &through) * self.fan_out
                picked.rows[picked.count] = &buffers.sums[columns.sums + number]
                picked.rows[picked.count + 1] = picked.rows[picked.count] + self.fan_out
                picked.factors[picked.count], picked.factors[picked.count + 1] = 1 - through, through
                picked.count += 2
            elif columns.encoding == CODES:
                number = level_of(values[columns.column], columns.features) * self.fan_out
                if number >= 0:
                    picked.rows[picked.count] = weights + columns.weights + number
                    picked.factors[picked.count] = 1
                    picked.count += 1
        each_vector(add_picked, ROW_VECTORS, self.fan_out, &picked)

    cdef void add_numbers(
        self, LayerBuffers buffers, const Block *block, const Columns *columns
    ) noexcept nogil:
        cdef Py_ssize_t start = block.top * buffers.row
        cdef Product extent = Product(
            block.rows, self.fan_out, columns.features,
            Matrix(block.top * buffers.input_row + columns.column, buffers.input_row, 1),
            Matrix(columns.weights, self.fan_out, 1), start, buffers.row, 1, True, start, buffers.row,
        )
        product(
            buffers.inputs, self.arrays.parameters, buffers.outputs, buffers.outputs, &extent, False,
            NULL, (<ThreadBuffers>block.thread).product,
        )

    cdef const Columns *columns_of(self, Py_ssize_t *piece) noexcept nogil:
        """Return the columns of a piece (NULL: bias), and count `piece` from their first one."""
        cdef Py_ssize_t low = 0, high = self.n_columns, middle
        if self.has_bias and piece[0] == self.pieces - 1:
            return NULL
        while high - low > 1:
            middle = (low + high) // 2
            if self.columns_at[middle].first_piece <= piece[0]:
                low = middle
            else:
                high = middle
        piece[0] -= self.columns_at[low].first_piece
        return &self.columns_at[low]

    cdef Range range_of(self, Py_ssize_t piece) noexcept nogil:
        cdef const Columns *columns = self.columns_of(&piece)
        cdef Py_ssize_t first, end, start, size
        if columns == NULL:
            return Range(self.bias, 1, self.fan_out, self.fan_out, self.bias, self.fan_out, False)
        first, end = 0, columns.features
        if columns.encoding != PIECES:
            first = piece * PIECE_ROWS
            end = min(first + PIECE_ROWS, columns.features)
        start, size = columns.weights + first * self.fan_out, (end - first) * self.fan_out
        return Range(start, 1, size, size, start, size, True)

    cdef void update(self, LayerBuffers buffers, const Block *block, Py_ssize_t piece) noexcept nogil:
        cdef const Columns *columns = self.columns_of(&piece)
        cdef PieceOfRows part
        if columns == NULL:
            self.update_bias(buffers, block)
            return
        part = PieceOfRows(columns, 0, 0, 0, 0)
        while part.unit < self.fan_out:
            part.units = min(<Py_ssize_t>PIECE_COLUMNS, self.fan_out - part.unit)
            if columns.encoding == PIECES:
                self.update_pieces(buffers, block, part)
            else:
                part.first = piece * PIECE_ROWS
                part.end = min(part.first + PIECE_ROWS, columns.features)
                self.update_part(buffers, block, &part, NULL)
            part.unit += part.units

    cdef void begin_update(self, LayerBuffers buffers, const Block *block) noexcept nogil:
        # Behind the sums: minus half of the sum of all deltas, the start for each column of pieces.
        cdef Rows rows = Rows(
            &buffers.delta[block.top * buffers.row], buffers.row, block.rows,
            &buffers.sums[self.sums_size], 0, NULL, NULL, NULL,
        )
        each_vector(less_half_of_sum, ROW_VECTORS, self.fan_out, &rows)

    cdef void update_pieces(
        self, LayerBuffers buffers, const Block *block, PieceOfRows part
    ) noexcept nogil:
        """Update all rows of a column of pieces, from the last to the first, then its sums."""
        cdef real later[PIECE_COLUMNS]
        memcpy(
            later, &buffers.sums[self.sums_size + part.unit], <size_t>part.units * sizeof(real)
        )
        part.end = part.columns.features
        while part.end > 0:
            part.first = max(part.end - PIECE_ROWS, 0)
            self.update_part(buffers, block, &part, later)
            part.end = part.first
        if block.steps:
            self.sum_up(buffers.sums, part.columns, part.unit, part.units)

    cdef void update_part(
        self, LayerBuffers buffers, const Block *block, const PieceOfRows *part, real *later
    ) noexcept nogil:
        """Compute the gradient of a part and take its step; `later`: see `gradient_of_part`."""
        cdef Range where = Range(
            part.columns.weights + part.first * self.fan_out + part.unit, part.end - part.first,
            part.units, self.fan_out, 0, part.units, True,
        )
        self.gradient_of_part(buffers, block, part, later, (<ThreadBuffers>block.thread).gradient)
        take_gradient(block, (<ThreadBuffers>block.thread).gradient, &where)

    cdef void gradient_of_part(
        self, LayerBuffers buffers, const Block *block, const PieceOfRows *part, real *later,
        real[::1] out,
    ) noexcept nogil:
        """Compute the gradient of rows of `part.units` values over the samples of a slice.

        `later` is NULL but for pieces: on entry the sum of the deltas of later bins, less half of
        all deltas; on return the same for the rows before these.
        """
        cdef int heads[PIECE_ROWS]
        cdef int following[SLICE_ROWS]
        cdef real factors[SLICE_ROWS]
        cdef const real *delta = &buffers.delta[block.top * buffers.row + part.unit]
        cdef const real *values = &buffers.inputs[
            block.top * buffers.input_row + part.columns.column
        ]
        cdef Product extent
        cdef Rows row
        cdef Py_ssize_t i, number
        if part.columns.encoding == NUMBERS:
            extent = Product(
                part.end - part.first, part.units, block.rows,
                Matrix(
                    block.top * buffers.input_row + part.columns.column + part.first, 1,
                    buffers.input_row,
                ),
                Matrix(block.top * buffers.row + part.unit, buffers.row, 1), 0, part.units, 1, False,
                0, 0,
            )
            product(
                buffers.inputs, buffers.delta, out, out, &extent, False, NULL,
                (<ThreadBuffers>block.thread).product,
            )
            return
        for i in range(part.end - part.first):
            heads[i] = -1
        # From the last sample to the first, so that the samples of each list are in rising order.
        for i in range(block.rows - 1, -1, -1):
            factors[i] = 1
            if part.columns.encoding == PIECES:
                number = bin_of(values[i * buffers.input_row], part.columns.features, &factors[i])
            else:
                number = level_of(values[i * buffers.input_row], part.columns.features)
            if part.first <= number < part.end:
                following[i] = heads[number - part.first]
                heads[number - part.first] = <int>i
        for i in range(part.end - part.first - 1, -1, -1):
            row = Rows(
                delta, buffers.row, 0, &out[i * part.units], heads[i], &following[0], &factors[0],
                later,
            )
            each_vector(gradient_of_row, GRADIENT_VECTORS, part.units, &row)

    cdef void after_step(self, LayerBuffers buffers, Py_ssize_t piece) noexcept nogil:
        cdef const Columns *columns = self.columns_of(&piece)
        if columns != NULL and columns.encoding == PIECES:
            self.sum_up(buffers.sums, columns, 0, self.fan_out)

    cdef void sum_up(
        self, real[::1] sums, const Columns *columns, Py_ssize_t unit, Py_ssize_t units
    ) noexcept nogil:
        """Recompute the sums of `units` units from `unit` on, after their weights changed."""
        cdef Rows rows = Rows(
            &self.arrays.parameters[columns.weights + unit], self.fan_out, columns.features,
            &sums[columns.sums + unit], 0, NULL, NULL, NULL,
        )
        each_vector(sum_up_rows, ROW_VECTORS, units, &rows)
