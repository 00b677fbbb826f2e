"""The embedding layer: a vector for each code of some columns; the other columns pass through.

The outputs are the vectors, column by column, and behind them the numbers that pass through. Going
forward a code picks a row of its table; on the way back the rows' gradients are added up in the order
of the samples. A piece is up to PIECE_VALUES values of a table, whose thread looks through all samples:
so nothing is locked, and no sum depends on who computed it.
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
    # A column of codes: where it stands in a sample; how many codes there are, and values of a vector;
    # where its vectors begin in the flat arrays, and in the outputs.
    Py_ssize_t column
    Py_ssize_t codes
    Py_ssize_t dimension
    Py_ssize_t start
    Py_ssize_t output


cdef inline Py_ssize_t code_of(real value, Py_ssize_t codes) noexcept nogil:
    """The code, kept within the table whatever is in the caller's array by now."""
    return <Py_ssize_t>value if 0 < value < codes else 0


cdef inline Py_ssize_t codes_of_piece(const Table *table) noexcept nogil:
    return max(PIECE_VALUES // table.dimension, 1)


@cython.final
cdef class EmbeddingLayer(Layer):
    """Vectors for codes; the first layer of a network."""

    cdef unsigned char[::1] memory
    cdef Table *table_at
    cdef Py_ssize_t n_tables
    # Columns that are no codes, in their order.
    cdef Py_ssize_t[::1] numbers

    def __cinit__(self, description, Py_ssize_t start):
        """The layer of a description, its tables from number `start` of the parameters on."""
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
        """The table that a piece belongs to; the piece becomes its first code."""
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
        """Add the delta of each sample to the row of its code, for the codes of a piece."""
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
