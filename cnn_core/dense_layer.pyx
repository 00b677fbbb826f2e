"""The dense layer: the product in its three roles, for blocks of samples and pieces of weights.

A piece is PIECE_ROWS rows of weights; the last piece is the bias. The matrix product loads vectors at
addresses, so what it is given here are pointers into the flat arrays.
"""

cimport cython
from libc.string cimport memcpy

from .dense cimport Target, Terms, list_terms, product
from .matrix cimport Matrix, Range, Shape
from .net cimport Net
from .normalization cimport add_rows
from .scalar cimport real, real_multiply_add, sigmoid_of, sigmoid_slope
from .sparse_rows cimport SparseWeights, sparse_affine, sparse_products
from .update cimport add_decay, apply_step
from .workspace cimport (
    PIECE_COLUMNS,
    PIECE_ROWS,
    BatchSlice,
    LayerBuffers,
    ThreadBuffers,
    Workspace,
    padded_stride,
)

cdef enum:
    # Bytes of weights that may take their part of the L2 cache.
    L2_SHARE = 524288
    # Columns of a layer from which on its inputs are brought together before they are used so often.
    WIDE_COLUMNS = 256


cdef class DenseLayer(Layer):
    """outputs = inputs @ weights + bias."""

    cdef int lay_out(self, Workspace workspace, LayerBuffers buffers, bint training) except -1:
        buffers.row = padded_stride(self.fan_out)
        buffers.outputs = workspace.carve_rows(buffers.row)
        if training:
            buffers.delta = workspace.carve_rows(buffers.row)
        return 0

    cdef void predict(
        self, LayerBuffers buffers, const BatchSlice *batch, Py_ssize_t top, Py_ssize_t rows,
        ThreadBuffers thread,
    ) noexcept nogil:
        cdef const real *bias = NULL
        if self.has_bias:
            bias = &(<Net>batch.net).parameters[self.bias]
        self.affine(buffers, batch, top, rows, thread, bias, 0)

    cdef void affine(
        self, LayerBuffers buffers, const BatchSlice *batch, Py_ssize_t top, Py_ssize_t rows,
        ThreadBuffers thread, const real *bias, Py_ssize_t bias_row,
    ) noexcept nogil:
        """The product, and a bias for all samples or one for each."""
        cdef Terms *terms = NULL
        cdef SparseWeights weights
        if self.is_first and batch.samples.are_read_sparse:
            weights = SparseWeights(
                &(<Net>batch.net).parameters[self.weights], self.fan_in, self.fan_out
            )
            sparse_affine(&weights, buffers, batch, top, rows, thread, bias)
            return
        if self.is_first and batch.samples.are_sparse:
            terms = &thread.product.terms
            terms.listed = False
        product(
            self.left(buffers, batch, top),
            Matrix(&(<Net>batch.net).parameters[self.weights], self.fan_out, 1),
            rows, self.fan_out, self.fan_in,
            Target(bias, bias_row, 1, &buffers.outputs[top * buffers.row], buffers.row, False),
            terms, thread.product,
        )

    cdef Matrix left(
        self, LayerBuffers buffers, const BatchSlice *batch, Py_ssize_t top
    ) noexcept nogil:
        """The inputs from row `top` of the workspace on."""
        if buffers.own_inputs != NULL:
            return Matrix(buffers.own_inputs + top * self.fan_in, self.fan_in, 1)
        return Matrix(&buffers.inputs[top * buffers.input_row], buffers.input_row, 1)

    cdef void backward(
        self, LayerBuffers buffers, const BatchSlice *batch, Py_ssize_t top, Py_ssize_t rows,
        ThreadBuffers thread,
    ) noexcept nogil:
        if not self.is_first:
            self.input_gradient(buffers, batch, top, rows, thread)

    cdef void input_gradient(
        self, LayerBuffers buffers, const BatchSlice *batch, Py_ssize_t top, Py_ssize_t rows,
        ThreadBuffers thread,
    ) noexcept nogil:
        product(
            Matrix(&buffers.delta[top * buffers.row], buffers.row, 1),
            Matrix(&(<Net>batch.net).parameters[self.weights], 1, self.fan_out),
            rows, self.fan_in, self.fan_out,
            Target(
                NULL, 0, 1, &buffers.input_delta[top * buffers.input_row], buffers.input_row, False
            ),
            NULL, thread.product,
        )

    cdef Range range_of(self, Py_ssize_t piece) noexcept nogil:
        cdef Py_ssize_t top = piece * PIECE_ROWS, start = self.weights + top * self.fan_out
        cdef Py_ssize_t size = min(<Py_ssize_t>PIECE_ROWS, self.fan_in - top) * self.fan_out
        if top < self.fan_in:
            return Range(start, 1, size, size, start, size, True)
        return Range(self.bias, 1, self.fan_out, self.fan_out, self.bias, self.fan_out, False)

    cdef void update(
        self, LayerBuffers buffers, const BatchSlice *batch, Py_ssize_t piece, ThreadBuffers thread
    ) noexcept nogil:
        cdef Py_ssize_t top = piece * PIECE_ROWS
        if top < self.fan_in and self.is_first and batch.samples.are_read_sparse:
            self.update_by_sparse_rows(buffers, batch, piece, thread)
        elif top < self.fan_in:
            self.update_weights(
                buffers, batch, top, min(<Py_ssize_t>PIECE_ROWS, self.fan_in - top),
                Matrix(&buffers.delta[batch.top * buffers.row], buffers.row, 1), thread,
            )
        else:
            self.update_bias(buffers, batch)

    cdef void update_all(
        self, LayerBuffers buffers, const BatchSlice *batch, ThreadBuffers thread
    ) noexcept nogil:
        """The weights at once if they need no memory, neither for zeros nor for a gradient."""
        if self.is_first or not (<Net>batch.net).plain or self.fan_out >= WIDE_COLUMNS:
            Layer.update_all(self, buffers, batch, thread)
            return
        self.update_weights(
            buffers, batch, 0, self.fan_in,
            Matrix(&buffers.delta[batch.top * buffers.row], buffers.row, 1), thread,
        )
        if self.has_bias:
            self.update_bias(buffers, batch)

    cdef void update_weights(
        self, LayerBuffers buffers, const BatchSlice *batch, Py_ssize_t top, Py_ssize_t rows,
        Matrix right, ThreadBuffers thread,
    ) noexcept nogil:
        """The gradient of some rows of weights, and the step, a few columns at a time.

        `rows`: those of a piece, or of all of the layer. The gradient is stored only if there is more
        to come, or if nothing but it was asked for.
        """
        cdef Terms *terms = NULL
        cdef Matrix left = Matrix(
            &buffers.inputs[batch.top * buffers.input_row + top], 1, buffers.input_row
        )
        cdef bint is_stored = batch.adds or not batch.steps
        cdef Range where
        cdef const real *base
        cdef real *weights
        cdef real *gradient
        cdef Py_ssize_t j = 0
        if self.fan_out >= WIDE_COLUMNS:
            left = packed(left, batch.rows, rows, thread)
        if self.is_first and batch.samples.are_sparse:
            terms = &thread.product.terms
            list_terms(thread.product, left, rows, batch.rows)
            terms.listed = True
        while j < self.fan_out:
            where = Range(
                self.weights + top * self.fan_out + j, rows,
                min(<Py_ssize_t>PIECE_COLUMNS, self.fan_out - j), self.fan_out, 0, 0, True,
            )
            if batch.steps and not batch.adds and (<Net>batch.net).plain:
                weights = &(<Net>batch.net).parameters[where.start]
                product(
                    left, right, rows, where.columns, batch.rows,
                    Target(
                        weights, self.fan_out, -batch.step.rate, weights, self.fan_out,
                        self.weights_size * <Py_ssize_t>sizeof(real) > L2_SHARE,
                    ),
                    terms, thread.product,
                )
            else:
                if is_stored:
                    where.gradient, where.gradient_row = where.start, where.row
                    gradient = &(<Net>batch.net).gradient[where.start]
                else:
                    where.gradient_row = where.columns
                    gradient = &thread.gradient[0]
                base = gradient if batch.adds else NULL
                product(
                    left, right, rows, where.columns, batch.rows,
                    Target(base, where.gradient_row, 1, gradient, where.gradient_row, False), terms,
                    thread.product,
                )
                if batch.steps and is_stored:
                    add_decay(batch, (<Net>batch.net).gradient, &where)
                    apply_step(batch, (<Net>batch.net).gradient, &where)
                elif batch.steps:
                    add_decay(batch, thread.gradient, &where)
                    apply_step(batch, thread.gradient, &where)
            right.start += where.columns
            j += where.columns

    cdef void update_by_sparse_rows(
        self, LayerBuffers buffers, const BatchSlice *batch, Py_ssize_t piece, ThreadBuffers thread
    ) noexcept nogil:
        """Update the weights of a piece by sparse rows, as `update_weights` does by all inputs."""
        cdef Py_ssize_t top = piece * PIECE_ROWS, i, k, at, j = 0
        cdef real *sums = &thread.gradient[0]
        cdef real *out
        cdef Range where
        while j < self.fan_out:
            where = Range(
                self.weights + top * self.fan_out + j,
                min(<Py_ssize_t>PIECE_ROWS, self.fan_in - top),
                min(<Py_ssize_t>PIECE_COLUMNS, self.fan_out - j), self.fan_out, 0, PIECE_COLUMNS,
                True,
            )
            sparse_products(batch, buffers, piece, j, where.columns, sums)
            for i in range(where.rows):
                at = where.start + i * where.row
                if batch.steps and not batch.adds and (<Net>batch.net).plain:
                    out = &(<Net>batch.net).parameters[at]
                    for k in range(where.columns):
                        out[k] = real_multiply_add(
                            -batch.step.rate, sums[i * PIECE_COLUMNS + k], out[k]
                        )
                elif batch.adds:
                    out = &(<Net>batch.net).gradient[at]
                    for k in range(where.columns):
                        out[k] = sums[i * PIECE_COLUMNS + k] + out[k]
                else:
                    out = sums + i * PIECE_COLUMNS if batch.steps else &(<Net>batch.net).gradient[at]
                    for k in range(where.columns):
                        out[k] = sums[i * PIECE_COLUMNS + k] + 0
            if batch.steps and batch.adds:
                where.gradient, where.gradient_row = where.start, where.row
                add_decay(batch, (<Net>batch.net).gradient, &where)
                apply_step(batch, (<Net>batch.net).gradient, &where)
            elif batch.steps and not (<Net>batch.net).plain:
                add_decay(batch, thread.gradient, &where)
                apply_step(batch, thread.gradient, &where)
            j += where.columns

    cdef void update_bias(self, LayerBuffers buffers, const BatchSlice *batch) noexcept nogil:
        cdef Range where = self.range_of(self.pieces - 1)
        if not batch.adds:
            (<Net>batch.net).gradient[self.bias : self.bias + self.fan_out] = 0
        add_rows(
            buffers.delta,
            Shape(batch.top * buffers.row, batch.rows, self.fan_out, buffers.row),
            (<Net>batch.net).gradient, self.bias,
        )
        if batch.steps:
            apply_step(batch, (<Net>batch.net).gradient, &where)


cdef Matrix packed(
    Matrix left, Py_ssize_t samples, Py_ssize_t rows, ThreadBuffers thread
) noexcept nogil:
    """Bring together `rows` inputs of each sample, which otherwise lie far apart."""
    cdef Py_ssize_t i
    for i in range(samples):
        memcpy(
            &thread.inputs[i * PIECE_ROWS], left.start + i * left.column,
            <size_t>rows * sizeof(real),
        )
    return Matrix(&thread.inputs[0], 1, PIECE_ROWS)


@cython.final
cdef class ArticleLayer(DenseLayer):
    """The article's layer: a bias for each sample of the training, and its own way back.

    The article takes the sigmoid a second time, of what is an activation already, and it is the error
    that goes down to the layer below, not the delta. The sigmoid above works in place, so the outputs
    are activations by then.
    """

    cdef void predict(
        self, LayerBuffers buffers, const BatchSlice *batch, Py_ssize_t top, Py_ssize_t rows,
        ThreadBuffers thread,
    ) noexcept nogil:
        self.affine(
            buffers, batch, top, rows, thread,
            &(<Net>batch.net).parameters[self.bias + (batch.first + top) * self.fan_out],
            self.fan_out,
        )

    cdef void backward(
        self, LayerBuffers buffers, const BatchSlice *batch, Py_ssize_t top, Py_ssize_t rows,
        ThreadBuffers thread,
    ) noexcept nogil:
        self.bias_gradient(buffers, batch, (<Net>batch.net).gradient, top, rows)
        if not self.is_first:
            self.input_gradient(buffers, batch, top, rows, thread)

    cdef void bias_gradient(
        self, LayerBuffers buffers, const BatchSlice *batch, real[::1] gradient, Py_ssize_t top,
        Py_ssize_t rows,
    ) noexcept nogil:
        cdef Py_ssize_t i, j, at, to
        for i in range(top, top + rows):
            at, to = i * buffers.row, self.bias + (batch.first + i) * self.fan_out
            for j in range(self.fan_out):
                gradient[to + j] = buffers.delta[at + j] * sigmoid_slope(
                    sigmoid_of(buffers.outputs[at + j])
                )

    cdef Range range_of(self, Py_ssize_t piece) noexcept nogil:
        cdef Py_ssize_t size = self.samples * self.fan_out
        if piece < self.pieces - 1:
            return DenseLayer.range_of(self, piece)
        return Range(self.bias, 1, size, size, self.bias, size, False)

    cdef void update(
        self, LayerBuffers buffers, const BatchSlice *batch, Py_ssize_t piece, ThreadBuffers thread
    ) noexcept nogil:
        """The weights by the gradient of the biases, which is there since the way back."""
        cdef Py_ssize_t top = piece * PIECE_ROWS
        cdef Range where = self.range_of(piece)
        if top < self.fan_in:
            self.update_weights(
                buffers, batch, top, min(<Py_ssize_t>PIECE_ROWS, self.fan_in - top),
                Matrix(
                    &(<Net>batch.net).gradient[
                        self.bias + (batch.first + batch.top) * self.fan_out
                    ],
                    self.fan_out, 1,
                ),
                thread,
            )
        elif batch.steps:
            apply_step(batch, (<Net>batch.net).gradient, &where)


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
