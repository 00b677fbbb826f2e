"""The dense layer: the product in its three roles, for blocks of samples and pieces of weights.

A piece is PIECE_ROWS rows of weights; the last piece is the bias. Products are of whole flat arrays: a
`Product` says which part of each it takes.
"""

cimport cython
from libc.string cimport memcpy

from .dense cimport FAR, Prefetch, Product, plan_prefetch, product
from .layer cimport (
    PIECE_COLUMNS, PIECE_ROWS, Arrays, Block, LayerBuffers, ThreadBuffers, Workspace,
)
from .matrix cimport Matrix, Range, Shape, add_rows, in_one_run
from .scalar cimport real, sigmoid_of, sigmoid_slope
from .sparse_rows cimport sparse_affine, sparse_products
from .update cimport apply_step, take_gradient
from .zero_skipping cimport list_terms

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
        self.affine(buffers, block, self.bias, 0)

    cdef void affine(
        self, LayerBuffers buffers, const Block *block, Py_ssize_t bias, Py_ssize_t bias_row
    ) noexcept nogil:
        """The product, and a bias for all samples or one for each, from number `bias` on."""
        cdef const real[::1] inputs = buffers.inputs
        cdef Py_ssize_t start = block.top * buffers.input_row, row = buffers.input_row
        cdef Product extent
        if self.is_first and block.samples.are_read_sparse:
            sparse_affine(
                &self.arrays.parameters[self.weights], self.fan_in, self.fan_out, buffers, block,
                &self.arrays.parameters[bias] if self.has_bias else NULL,
            )
            return
        if buffers.own_inputs.shape[0] > 0:
            inputs, row = buffers.own_inputs, self.fan_in
            start = (block.first + block.top) * row
        (<ThreadBuffers>block.thread).product.terms.listed = False
        extent = Product(
            block.rows, self.fan_out, self.fan_in, Matrix(start, row, 1),
            Matrix(self.weights, self.fan_out, 1), block.top * buffers.row, buffers.row, 1,
            self.has_bias, bias, bias_row,
        )
        product(
            inputs, self.arrays.parameters, self.arrays.parameters, buffers.outputs, &extent,
            self.is_first and block.samples.are_sparse, NULL,
            (<ThreadBuffers>block.thread).product,
        )

    cdef void backward(self, LayerBuffers buffers, const Block *block) noexcept nogil:
        cdef Product extent = Product(
            block.rows, self.fan_in, self.fan_out, Matrix(block.top * buffers.row, buffers.row, 1),
            Matrix(self.weights, 1, self.fan_out), block.top * buffers.input_row, buffers.input_row,
            1, False, 0, 0,
        )
        if not self.is_first:
            product(
                buffers.delta, self.arrays.parameters, self.arrays.parameters, buffers.input_delta,
                &extent, False, NULL, (<ThreadBuffers>block.thread).product,
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
                buffers, block, top, buffers.delta, Matrix(block.top * buffers.row, buffers.row, 1)
            )
        else:
            self.update_bias(buffers, block)

    cdef void update_weights(
        self, LayerBuffers buffers, const Block *block, Py_ssize_t top, const real[::1] delta,
        Matrix derivatives,
    ) noexcept nogil:
        """The gradient of the weights of a piece, from row `top` on, and the step.

        `derivatives`: where those of the slice's samples stand in `delta`.
        """
        # By member: for a whole struct Cython writes a conversion to Python that nobody calls.
        cdef Product extent = Product(
            min(<Py_ssize_t>PIECE_ROWS, self.fan_in - top), 0, block.rows,
            Matrix(block.top * buffers.input_row + top, 1, buffers.input_row),
            Matrix(derivatives.start, derivatives.row, derivatives.column),
            self.weights + top * self.fan_out, self.fan_out, 1, False, 0, self.fan_out,
        )
        cdef bint lists = self.is_first and block.samples.are_sparse
        if lists:
            list_terms(
                (<ThreadBuffers>block.thread).product.terms, buffers.inputs, extent.left,
                extent.rows, extent.depth,
            )
            (<ThreadBuffers>block.thread).product.terms.listed = True
        if self.fan_out < WIDE_COLUMNS:
            self.update_columns(block, buffers.inputs, delta, extent, lists)
        else:
            pack_inputs(<ThreadBuffers>block.thread, buffers.inputs, &extent)
            self.update_columns(
                block, (<ThreadBuffers>block.thread).inputs, delta, extent, lists
            )

    cdef void update_columns(
        self, const Block *block, const real[::1] inputs, const real[::1] delta, Product extent,
        bint lists,
    ) noexcept nogil:
        """The same, a few columns at a time, by inputs as they are or brought together.

        The gradient is stored only if there is more to come, or if nothing but it was asked for.
        """
        cdef bint is_far = self.weights_size * <Py_ssize_t>sizeof(real) > L2_SHARE
        cdef Py_ssize_t end = extent.out + self.fan_out
        cdef bint is_stored = block.adds or not block.steps
        cdef Range where
        cdef Product own
        cdef Prefetch ahead
        while extent.out < end:
            extent.columns = min(<Py_ssize_t>PIECE_COLUMNS, end - extent.out)
            where = Range(
                extent.out, extent.rows, extent.columns, self.fan_out, 0, extent.columns, True
            )
            if is_stored:
                where.gradient, where.gradient_row = extent.out, self.fan_out
            where = in_one_run(where)
            prefetch_step(&ahead, block, &where, is_far, delta, &extent, end)
            extent.base = extent.out
            if block.steps and not block.adds and block.plain:
                extent.has_base, extent.factor = True, -block.step.rate
                product(
                    inputs, delta, self.arrays.parameters, self.arrays.parameters, &extent, lists,
                    &ahead, (<ThreadBuffers>block.thread).product,
                )
            elif is_stored:
                extent.has_base = block.adds
                product(
                    inputs, delta, self.arrays.gradient, self.arrays.gradient, &extent, lists,
                    &ahead, (<ThreadBuffers>block.thread).product,
                )
                if block.steps:
                    apply_step(block, self.arrays.gradient, &where)
            else:
                own = extent
                own.out, own.out_row = 0, extent.columns
                product(
                    inputs, delta, self.arrays.gradient, (<ThreadBuffers>block.thread).gradient,
                    &own, lists, &ahead, (<ThreadBuffers>block.thread).product,
                )
                apply_step(block, (<ThreadBuffers>block.thread).gradient, &where)
            extent.right.start += extent.columns
            extent.out += extent.columns

    cdef void update_by_sparse_rows(
        self, LayerBuffers buffers, const Block *block, Py_ssize_t piece
    ) noexcept nogil:
        """Update the weights of a piece by sparse rows, as `update_weights` does by all inputs."""
        cdef Py_ssize_t top = piece * PIECE_ROWS, j = 0
        cdef Range where
        while j < self.fan_out:
            where = Range(
                self.weights + top * self.fan_out + j,
                min(<Py_ssize_t>PIECE_ROWS, self.fan_in - top),
                min(<Py_ssize_t>PIECE_COLUMNS, self.fan_out - j), self.fan_out, 0, PIECE_COLUMNS,
                True,
            )
            sparse_products(
                block, buffers, piece, j, where.columns, &(<ThreadBuffers>block.thread).gradient[0]
            )
            take_gradient(block, (<ThreadBuffers>block.thread).gradient, &where)
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


cdef void prefetch_step(
    Prefetch *ahead, const Block *block, const Range *where, bint is_far, const real[::1] delta,
    const Product *extent, Py_ssize_t end,
) noexcept nogil:
    """Ask for what a step changes, and for the next columns of the delta, up to `end` of the output."""
    cdef Py_ssize_t columns = min(<Py_ssize_t>PIECE_COLUMNS, end - extent.out - extent.columns)
    ahead.count = ahead.number = 0
    ahead.left = 0
    if is_far and block.steps:
        plan_prefetch(
            ahead, (<Arrays>block.arrays).parameters, where.start, where.row, where.columns, where.rows
        )
        plan_prefetch(
            ahead, (<Arrays>block.arrays).first_moment, where.start, where.row, where.columns,
            where.rows,
        )
        plan_prefetch(
            ahead, (<Arrays>block.arrays).second_moment, where.start, where.row, where.columns,
            where.rows,
        )
    # At the end, since there may be fewer terms than lines: a tile can wait for several lines at once.
    if columns > 0 and extent.right.row * <Py_ssize_t>sizeof(real) >= FAR:
        plan_prefetch(
            ahead, delta, extent.right.start + extent.columns, extent.right.row, columns, extent.depth
        )


cdef void pack_inputs(
    ThreadBuffers thread, const real[::1] inputs, Product *extent
) noexcept nogil:
    """Copy the inputs of a piece of weights, which otherwise lie far apart."""
    cdef Py_ssize_t i
    for i in range(extent.depth):
        memcpy(
            &thread.inputs[i * PIECE_ROWS],
            &inputs[extent.left.start + i * extent.left.column],
            <size_t>extent.rows * sizeof(real),
        )
    extent.left = Matrix(0, 1, PIECE_ROWS)


@cython.final
cdef class ArticleLayer(DenseLayer):
    """The article's layer: a bias for each sample of the training, and its own way back.

    The article takes the sigmoid a second time, of what is an activation already, and it is the error
    that goes down to the layer below, not the delta. The sigmoid above works in place, so the outputs
    are activations by then.
    """

    cdef void predict(self, LayerBuffers buffers, const Block *block) noexcept nogil:
        self.affine(
            buffers, block, self.bias + (block.first + block.top) * self.fan_out, self.fan_out
        )

    cdef void backward(self, LayerBuffers buffers, const Block *block) noexcept nogil:
        cdef Py_ssize_t i, j, at, to
        for i in range(block.top, block.top + block.rows):
            at, to = i * buffers.row, self.bias + (block.first + i) * self.fan_out
            for j in range(self.fan_out):
                self.arrays.gradient[to + j] = buffers.delta[at + j] * sigmoid_slope(
                    sigmoid_of(buffers.outputs[at + j])
                )
        DenseLayer.backward(self, buffers, block)

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
                buffers, block, top, self.arrays.gradient,
                Matrix(
                    self.bias + (block.first + block.top) * self.fan_out, self.fan_out, 1
                ),
            )
        elif block.steps:
            apply_step(block, self.arrays.gradient, &where)


def dense_layer(description, Py_ssize_t start, bint is_article, Py_ssize_t samples):
    """A layer whose weights stand from number `start` of the parameters on, its biases behind them.

    By the article's rule it has biases for each of `samples` samples.
    """
    cdef DenseLayer layer = (
        ArticleLayer.__new__(ArticleLayer) if is_article else DenseLayer.__new__(DenseLayer)
    )
    layer.fan_in, layer.fan_out = description.fan_in, description.fan_out
    layer.weights_size = layer.fan_in * layer.fan_out
    layer.weights, layer.bias = start, start + layer.weights_size
    layer.has_bias = description.normalization is None
    layer.pieces = (layer.fan_in + PIECE_ROWS - 1) // PIECE_ROWS + layer.has_bias
    layer.samples = samples
    return layer
