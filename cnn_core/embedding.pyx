"""The embedding layer: code columns become vectors, and numeric columns pass through.

The outputs are the vectors, column by column, followed by the numeric columns. The forward pass
gathers a row of a table for each code. The backward pass scatter-adds the gradients to the rows in
the order of the samples. A piece is at most PIECE_VALUES values of a table, and its thread goes
over all samples. So nothing is locked, and no sum depends on the thread.
"""

cimport cython

import numpy as np

from .layer cimport Block, Layer, LayerBuffers, Workspace
from .matrix cimport Range
from .scalar cimport real
from .update cimport apply_step

cdef enum:
    PIECE_VALUES = 16384


cdef struct Table:
    # A code column: its column in a sample; number of codes; values of a vector; start of its table
    # in the flat parameters; start of its vector in the outputs.
    Py_ssize_t column
    Py_ssize_t codes
    Py_ssize_t dimension
    Py_ssize_t start
    Py_ssize_t output


cdef inline Py_ssize_t code_of(real value, Py_ssize_t codes) noexcept nogil:
    """Return the code, 0 if it is outside the table: the caller can change its array meanwhile."""
    return <Py_ssize_t>value if 0 < value < codes else 0


cdef inline Py_ssize_t codes_of_piece(const Table *table) noexcept nogil:
    return max(PIECE_VALUES // table.dimension, 1)


@cython.final
cdef class EmbeddingLayer(Layer):
    """An embedding for each code column; the first layer of a network."""

    cdef unsigned char[::1] memory
    cdef Table *table_at
    cdef Py_ssize_t n_tables
    # Numeric columns of a sample, in rising order.
    cdef Py_ssize_t[::1] numbers

    def __cinit__(self, description, Py_ssize_t start):
        """Make the layer of a description; its tables start at value `start` of the parameters."""
        cdef Py_ssize_t n, output = 0
        self.fan_in, self.fan_out = description.fan_in, description.fan_out
        self.n_tables = len(description.columns)
        self.memory = np.zeros(self.n_tables * sizeof(Table), np.uint8)
        self.table_at = <Table *>&self.memory[0]
        for n in range(self.n_tables):
            codes, dimension = description.codes[n], description.dimensions[n]
            self.table_at[n] = Table(description.columns[n], codes, dimension, start, output)
            start += codes * dimension
            output += dimension
            self.pieces += pieces_of(&self.table_at[n])
        self.numbers = np.array(description.numbers, np.intp)

    cdef int lay_out(self, Workspace workspace, LayerBuffers buffers, bint training) except -1:
        return workspace.carve_outputs(buffers, self.fan_out, training)

    cdef void predict(self, LayerBuffers buffers, const Block *block) noexcept nogil:
        cdef Py_ssize_t i, j, n, at, source, out
        cdef const Table *table
        for i in range(block.top, block.top + block.rows):
            at, out = i * buffers.input_row, i * buffers.row
            for n in range(self.n_tables):
                table = &self.table_at[n]
                source = table.start + table.dimension * code_of(
                    buffers.inputs[at + table.column], table.codes
                )
                for j in range(table.dimension):
                    buffers.outputs[out + table.output + j] = self.arrays.parameters[source + j]
            out += self.fan_out - self.numbers.shape[0]
            for j in range(self.numbers.shape[0]):
                buffers.outputs[out + j] = buffers.inputs[at + self.numbers[j]]

    cdef Py_ssize_t table_of(self, Py_ssize_t *piece) noexcept nogil:
        """Return the table of a piece, and turn `piece` into its first code."""
        cdef Py_ssize_t n = 0, pieces
        while True:
            pieces = pieces_of(&self.table_at[n])
            if piece[0] < pieces:
                piece[0] *= codes_of_piece(&self.table_at[n])
                return n
            piece[0] -= pieces
            n += 1

    cdef Range range_of(self, Py_ssize_t piece) noexcept nogil:
        cdef const Table *table = &self.table_at[self.table_of(&piece)]
        cdef Py_ssize_t size = table.dimension * min(codes_of_piece(table), table.codes - piece)
        cdef Py_ssize_t start = table.start + piece * table.dimension
        return Range(start, 1, size, size, start, size, True)

    cdef void update(self, LayerBuffers buffers, const Block *block, Py_ssize_t piece) noexcept nogil:
        """Scatter-add the deltas of the samples to the rows of their codes, for one piece."""
        cdef Range where = self.range_of(piece)
        cdef const Table *table = &self.table_at[self.table_of(&piece)]
        cdef Py_ssize_t i, j, code, to, source, end
        end = piece + where.columns // table.dimension
        if not block.adds:
            self.arrays.gradient[where.start : where.start + where.columns] = 0
        for i in range(block.top, block.top + block.rows):
            code = code_of(buffers.inputs[i * buffers.input_row + table.column], table.codes)
            if piece <= code < end:
                to = table.start + code * table.dimension
                source = i * buffers.row + table.output
                for j in range(table.dimension):
                    self.arrays.gradient[to + j] = (
                        self.arrays.gradient[to + j] + buffers.delta[source + j]
                    )
        if block.steps:
            apply_step(block, self.arrays.gradient, &where)


cdef inline Py_ssize_t pieces_of(const Table *table) noexcept nogil:
    return (table.codes + codes_of_piece(table) - 1) // codes_of_piece(table)
