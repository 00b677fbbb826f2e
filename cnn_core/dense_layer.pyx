"""The dense layer: the product in its three roles, for blocks of samples and pieces of weights.

A piece is PIECE_ROWS rows of weights; the last piece is the bias. The matrix product loads vectors at
addresses, so what it is given here are pointers into the flat arrays.
"""

cimport cython
from libc.string cimport memcpy

from .dense cimport ProductBuffers, Target, Terms, list_terms, product
from .layer cimport (
    PIECE_COLUMNS,
    PIECE_ROWS,
    Block,
    LayerBuffers,
    ThreadBuffers,
    Workspace,
)
from .matrix cimport Matrix, Range, Shape
from .normalization cimport add_rows
from .scalar cimport real, real_multiply_add, sigmoid_of, sigmoid_slope
from .sparse_rows cimport SparseWeights, sparse_affine, sparse_products
from .update cimport apply_step

cdef enum:
    # Bytes of weights that may take their part of the L2 cache.
    L2_SHARE = 524288
    # Columns of a layer from which on its inputs are brought together before they are used so often.
    WIDE_COLUMNS = 256


cdef class DenseLayer(Layer):
    """outputs = inputs @ weights + bias."""

    cdef int lay_out(self, Workspace workspace, LayerBuffers buffers, bint training) except -1:
        return workspace.carve_outputs(buffers, self.fan_out, training)

    cdef void predict(self, LayerBuffers buffers, const Block *block) noexcept nogil:
        cdef const real *bias = NULL
        if self.has_bias:
            bias = &self.arrays.parameters[self.bias]
        self.affine(buffers, block, bias, 0)

    cdef void affine(
        self, LayerBuffers buffers, const Block *block, const real *bias, Py_ssize_t bias_row
    ) noexcept nogil:
        """The product, and a bias for all samples or one for each."""
        cdef ProductBuffers *memory = (<ThreadBuffers>block.thread).product
        cdef Terms *terms = NULL
        cdef SparseWeights weights
        if self.is_first and block.samples.are_read_sparse:
            weights = SparseWeights(
                &self.arrays.parameters[self.weights], self.fan_in, self.fan_out
            )
            sparse_affine(&weights, buffers, block, bias)
            return
        if self.is_first and block.samples.are_sparse:
            terms = &memory.terms
            terms.listed = False
        product(
            self.left(buffers, block),
            Matrix(&self.arrays.parameters[self.weights], self.fan_out, 1),
            block.rows, self.fan_out, self.fan_in,
            Target(
                bias, bias_row, 1, &buffers.outputs[block.top * buffers.row], buffers.row, False
            ),
            terms, memory,
        )

    cdef Matrix left(self, LayerBuffers buffers, const Block *block) noexcept nogil:
        """The inputs of a block."""
        if buffers.own_inputs != NULL:
            return Matrix(buffers.own_inputs + block.top * self.fan_in, self.fan_in, 1)
        return Matrix(&buffers.inputs[block.top * buffers.input_row], buffers.input_row, 1)

    cdef void backward(self, LayerBuffers buffers, const Block *block) noexcept nogil:
        if not self.is_first:
            self.input_gradient(buffers, block)

    cdef void input_gradient(self, LayerBuffers buffers, const Block *block) noexcept nogil:
        product(
            Matrix(&buffers.delta[block.top * buffers.row], buffers.row, 1),
            Matrix(&self.arrays.parameters[self.weights], 1, self.fan_out),
            block.rows, self.fan_in, self.fan_out,
            Target(
                NULL, 0, 1, &buffers.input_delta[block.top * buffers.input_row],
                buffers.input_row, False,
            ),
            NULL, (<ThreadBuffers>block.thread).product,
        )

    cdef Range range_of(self, Py_ssize_t piece) noexcept nogil:
        cdef Py_ssize_t top = piece * PIECE_ROWS, start = self.weights + top * self.fan_out
        cdef Py_ssize_t size = min(<Py_ssize_t>PIECE_ROWS, self.fan_in - top) * self.fan_out
        if top < self.fan_in:
            return Range(start, 1, size, size, start, size, True)
        return Range(self.bias, 1, self.fan_out, self.fan_out, self.bias, self.fan_out, False)

    cdef void update(self, LayerBuffers buffers, const Block *block, Py_ssize_t piece) noexcept nogil:
        cdef Py_ssize_t top = piece * PIECE_ROWS
        if top < self.fan_in and self.is_first and block.samples.are_read_sparse:
            self.update_by_sparse_rows(buffers, block, piece)
        elif top < self.fan_in:
            self.update_weights(
                buffers, block, top, min(<Py_ssize_t>PIECE_ROWS, self.fan_in - top),
                Matrix(&buffers.delta[block.top * buffers.row], buffers.row, 1),
            )
        else:
            self.update_bias(buffers, block)

    cdef void update_weights(
        self, LayerBuffers buffers, const Block *block, Py_ssize_t top, Py_ssize_t rows, Matrix right
    ) noexcept nogil:
        """The gradient of some rows of weights, and the step, a few columns at a time.

        The gradient is stored only if there is more to come, or if nothing but it was asked for.
        """
        cdef ProductBuffers *memory = (<ThreadBuffers>block.thread).product
        cdef Terms *terms = NULL
        cdef Matrix left = Matrix(
            &buffers.inputs[block.top * buffers.input_row + top], 1, buffers.input_row
        )
        cdef bint is_stored = block.adds or not block.steps
        cdef Range where
        cdef const real *base
        cdef real *weights
        cdef real *gradient
        cdef Py_ssize_t j = 0
        if self.fan_out >= WIDE_COLUMNS:
            left = packed(left, block, rows)
        if self.is_first and block.samples.are_sparse:
            terms = &memory.terms
            list_terms(memory, left, rows, block.rows)
            terms.listed = True
        while j < self.fan_out:
            where = Range(
                self.weights + top * self.fan_out + j, rows,
                min(<Py_ssize_t>PIECE_COLUMNS, self.fan_out - j), self.fan_out, 0, 0, True,
            )
            if block.steps and not block.adds and block.plain:
                weights = &self.arrays.parameters[where.start]
                product(
                    left, right, rows, where.columns, block.rows,
                    Target(
                        weights, self.fan_out, -block.step.rate, weights, self.fan_out,
                        self.weights_size * <Py_ssize_t>sizeof(real) > L2_SHARE,
                    ),
                    terms, memory,
                )
            else:
                if is_stored:
                    where.gradient, where.gradient_row = where.start, where.row
                    gradient = &self.arrays.gradient[where.start]
                else:
                    where.gradient_row = where.columns
                    gradient = &(<ThreadBuffers>block.thread).gradient[0]
                base = gradient if block.adds else NULL
                product(
                    left, right, rows, where.columns, block.rows,
                    Target(base, where.gradient_row, 1, gradient, where.gradient_row, False), terms,
                    memory,
                )
                if block.steps and is_stored:
                    apply_step(block, self.arrays.gradient, &where)
                elif block.steps:
                    apply_step(block, (<ThreadBuffers>block.thread).gradient, &where)
            right.start += where.columns
            j += where.columns

    cdef void update_by_sparse_rows(
        self, LayerBuffers buffers, const Block *block, Py_ssize_t piece
    ) noexcept nogil:
        """Update the weights of a piece by sparse rows, as `update_weights` does by all inputs."""
        cdef Py_ssize_t top = piece * PIECE_ROWS, i, k, at, j = 0
        cdef real *sums = &(<ThreadBuffers>block.thread).gradient[0]
        cdef real *out
        cdef Range where
        while j < self.fan_out:
            where = Range(
                self.weights + top * self.fan_out + j,
                min(<Py_ssize_t>PIECE_ROWS, self.fan_in - top),
                min(<Py_ssize_t>PIECE_COLUMNS, self.fan_out - j), self.fan_out, 0, PIECE_COLUMNS,
                True,
            )
            sparse_products(block, buffers, piece, j, where.columns, sums)
            for i in range(where.rows):
                at = where.start + i * where.row
                if block.steps and not block.adds and block.plain:
                    out = &self.arrays.parameters[at]
                    for k in range(where.columns):
                        out[k] = real_multiply_add(
                            -block.step.rate, sums[i * PIECE_COLUMNS + k], out[k]
                        )
                elif block.adds:
                    out = &self.arrays.gradient[at]
                    for k in range(where.columns):
                        out[k] = sums[i * PIECE_COLUMNS + k] + out[k]
                else:
                    out = sums + i * PIECE_COLUMNS if block.steps else &self.arrays.gradient[at]
                    for k in range(where.columns):
                        out[k] = sums[i * PIECE_COLUMNS + k] + 0
            if block.steps and block.adds:
                where.gradient, where.gradient_row = where.start, where.row
                apply_step(block, self.arrays.gradient, &where)
            elif block.steps and not block.plain:
                apply_step(block, (<ThreadBuffers>block.thread).gradient, &where)
            j += where.columns

    cdef void update_bias(self, LayerBuffers buffers, const Block *block) noexcept nogil:
        cdef Range where = self.range_of(self.pieces - 1)
        if not block.adds:
            self.arrays.gradient[self.bias : self.bias + self.fan_out] = 0
        add_rows(
            buffers.delta,
            Shape(block.top * buffers.row, block.rows, self.fan_out, buffers.row),
            self.arrays.gradient, self.bias,
        )
        if block.steps:
            apply_step(block, self.arrays.gradient, &where)


cdef Matrix packed(Matrix left, const Block *block, Py_ssize_t rows) noexcept nogil:
    """Bring together `rows` inputs of each sample, which otherwise lie far apart."""
    cdef real *inputs = &(<ThreadBuffers>block.thread).inputs[0]
    cdef Py_ssize_t i
    for i in range(block.rows):
        memcpy(inputs + i * PIECE_ROWS, left.start + i * left.column, <size_t>rows * sizeof(real))
    return Matrix(inputs, 1, PIECE_ROWS)


@cython.final
cdef class ArticleLayer(DenseLayer):
    """The article's layer: a bias for each sample of the training, and its own way back.

    The article takes the sigmoid a second time, of what is an activation already, and it is the error
    that goes down to the layer below, not the delta. The sigmoid above works in place, so the outputs
    are activations by then.
    """

    cdef void predict(self, LayerBuffers buffers, const Block *block) noexcept nogil:
        self.affine(
            buffers, block,
            &self.arrays.parameters[self.bias + (block.first + block.top) * self.fan_out],
            self.fan_out,
        )

    cdef void backward(self, LayerBuffers buffers, const Block *block) noexcept nogil:
        self.bias_gradient(buffers, block)
        if not self.is_first:
            self.input_gradient(buffers, block)

    cdef void bias_gradient(self, LayerBuffers buffers, const Block *block) noexcept nogil:
        cdef Py_ssize_t i, j, at, to
        for i in range(block.top, block.top + block.rows):
            at, to = i * buffers.row, self.bias + (block.first + i) * self.fan_out
            for j in range(self.fan_out):
                self.arrays.gradient[to + j] = buffers.delta[at + j] * sigmoid_slope(
                    sigmoid_of(buffers.outputs[at + j])
                )

    cdef Range range_of(self, Py_ssize_t piece) noexcept nogil:
        cdef Py_ssize_t size = self.samples * self.fan_out
        if piece < self.pieces - 1:
            return DenseLayer.range_of(self, piece)
        return Range(self.bias, 1, size, size, self.bias, size, False)

    cdef void update(self, LayerBuffers buffers, const Block *block, Py_ssize_t piece) noexcept nogil:
        """The weights by the gradient of the biases, which is there since the way back."""
        cdef Py_ssize_t top = piece * PIECE_ROWS
        cdef Range where = self.range_of(piece)
        if top < self.fan_in:
            self.update_weights(
                buffers, block, top, min(<Py_ssize_t>PIECE_ROWS, self.fan_in - top),
                Matrix(
                    &self.arrays.gradient[
                        self.bias + (block.first + block.top) * self.fan_out
                    ],
                    self.fan_out, 1,
                ),
            )
        elif block.steps:
            apply_step(block, self.arrays.gradient, &where)


cdef DenseLayer dense_layer(
    Py_ssize_t fan_in, Py_ssize_t fan_out, Py_ssize_t start, bint has_bias
):
    """A layer whose weights stand from number `start` of the parameters on, its bias behind them."""
    cdef DenseLayer layer = DenseLayer.__new__(DenseLayer)
    lay_out_parameters(layer, fan_in, fan_out, start, has_bias)
    return layer


cdef DenseLayer article_layer(
    Py_ssize_t fan_in, Py_ssize_t fan_out, Py_ssize_t start, Py_ssize_t samples
):
    """The article's layer, with a bias for each of `samples` samples."""
    cdef ArticleLayer layer = ArticleLayer.__new__(ArticleLayer)
    lay_out_parameters(layer, fan_in, fan_out, start, True)
    layer.samples = samples
    return layer


cdef int lay_out_parameters(
    DenseLayer layer, Py_ssize_t fan_in, Py_ssize_t fan_out, Py_ssize_t start, bint has_bias
) except -1:
    """Where a layer's weights and biases stand in the flat array, and in how many pieces."""
    layer.fan_in, layer.fan_out = fan_in, fan_out
    layer.weights, layer.bias = start, start + fan_in * fan_out
    layer.has_bias = has_bias
    layer.weights_size = fan_in * fan_out
    layer.pieces = (fan_in + PIECE_ROWS - 1) // PIECE_ROWS + has_bias
    return 0
