"""Activations: the formulas for one value, and loops over all of them.

Rows without gaps between them are one run of values, which the compiler turns into vectors. A new
activation is its two formulas without branches, a pair of functions and a line in
`activation_named`; what its formulas are made of stands in scalar.pxd.
"""

from .matrix cimport Shape, runs
from .scalar cimport (
    at_least,
    at_most,
    exp_less_1_of_negative,
    exp_of,
    exp_of_negative,
    log_of_1_plus,
    real,
    real_multiply_add,
    sigmoid_of,
    sigmoid_slope,
    tanh_of,
    tanh_slope,
)

ctypedef real (*Formula)(real) noexcept nogil


cdef Activation activation_named(str name) except *:
    if name == "identity":
        return Activation(identity, identity_backward, False)
    if name == "sigmoid":
        return Activation(sigmoid, sigmoid_backward, False)
    if name == "tanh":
        return Activation(tanh, tanh_backward, False)
    if name == "relu":
        return Activation(relu, relu_backward, False)
    if name == "leaky_relu":
        return Activation(leaky_relu, leaky_relu_backward, False)
    if name == "elu":
        return Activation(elu, elu_backward, False)
    if name == "selu":
        return Activation(selu, selu_backward, False)
    if name == "gelu":
        return Activation(gelu, gelu_backward, True)
    if name == "silu":
        return Activation(silu, silu_backward, True)
    if name == "softplus":
        return Activation(softplus, softplus_backward, False)
    if name == "exp":
        return Activation(exp, exp_backward, False)
    if name == "softmax":
        return Activation(softmax, softmax_backward, False)
    raise ValueError(
        "activation: expected identity, sigmoid, tanh, relu, leaky_relu, elu, selu, gelu, silu, "
        f"softplus, exp or softmax, found {name!r}"
    )


# The compiler puts a formula into these loops and leaves neither a call nor a pointer. One called
# `slope` takes the activation, or for gelu and silu the pre-activation.


cdef inline void each(
    Formula formula, const real *z, real *out, Shape shape
) noexcept nogil:
    """out = formula(z)."""
    cdef Py_ssize_t i, j
    shape = runs(shape)
    for i in range(shape.rows):
        for j in range(shape.columns):
            out[i * shape.row + j] = formula(z[i * shape.row + j])


cdef inline void each_times(
    Formula slope, const real *point, const real *grad_a, real *out, Shape shape
) noexcept nogil:
    """out = grad_a * slope(point), where the point is a or z."""
    cdef Py_ssize_t i, j, at
    shape = runs(shape)
    for i in range(shape.rows):
        for j in range(shape.columns):
            at = i * shape.row + j
            out[at] = grad_a[at] * slope(point[at])


cdef void identity(const real *z, real *out, Shape shape) noexcept nogil:
    cdef Py_ssize_t i, j
    if out == z:
        return
    for i in range(shape.rows):
        for j in range(shape.columns):
            out[i * shape.row + j] = z[i * shape.row + j]


cdef void identity_backward(
    const real *z, const real *a, const real *grad_a, real *out, Shape shape
) noexcept nogil:
    identity(grad_a, out, shape)


cdef inline real relu_of(real z) noexcept nogil:
    # In this order a NaN stays one.
    return <real>0 if z <= 0 else z


cdef void relu(const real *z, real *out, Shape shape) noexcept nogil:
    each(relu_of, z, out, shape)


cdef void relu_backward(
    const real *z, const real *a, const real *grad_a, real *out, Shape shape
) noexcept nogil:
    cdef Py_ssize_t i, j, at
    shape = runs(shape)
    for i in range(shape.rows):
        for j in range(shape.columns):
            at = i * shape.row + j
            out[at] = grad_a[at] if a[at] > 0 else 0


cdef void sigmoid(const real *z, real *out, Shape shape) noexcept nogil:
    each(sigmoid_of, z, out, shape)


cdef void sigmoid_backward(
    const real *z, const real *a, const real *grad_a, real *out, Shape shape
) noexcept nogil:
    each_times(sigmoid_slope, a, grad_a, out, shape)


cdef void tanh(const real *z, real *out, Shape shape) noexcept nogil:
    each(tanh_of, z, out, shape)


cdef void tanh_backward(
    const real *z, const real *a, const real *grad_a, real *out, Shape shape
) noexcept nogil:
    each_times(tanh_slope, a, grad_a, out, shape)


cdef inline real leaky_relu_of(real z) noexcept nogil:
    return z if z > 0 else <real>0.01 * z


cdef inline real leaky_relu_slope(real a) noexcept nogil:
    return <real>1 if a > 0 else <real>0.01


cdef void leaky_relu(const real *z, real *out, Shape shape) noexcept nogil:
    each(leaky_relu_of, z, out, shape)


cdef void leaky_relu_backward(
    const real *z, const real *a, const real *grad_a, real *out, Shape shape
) noexcept nogil:
    each_times(leaky_relu_slope, a, grad_a, out, shape)


cdef inline real elu_of(real z) noexcept nogil:
    return z if z > 0 else exp_less_1_of_negative(at_most(0, z))


cdef inline real elu_slope(real a) noexcept nogil:
    return <real>1 if a > 0 else a + <real>1


cdef void elu(const real *z, real *out, Shape shape) noexcept nogil:
    each(elu_of, z, out, shape)


cdef void elu_backward(
    const real *z, const real *a, const real *grad_a, real *out, Shape shape
) noexcept nogil:
    each_times(elu_slope, a, grad_a, out, shape)


cdef inline real selu_of(real z) noexcept nogil:
    """Both numbers: Klambauer et al., "Self-normalizing neural networks", 2017, eq. 14."""
    cdef real curve = exp_less_1_of_negative(at_most(0, z))
    return <real>1.0507009873554804934 * (z if z > 0 else <real>1.6732632423543772848 * curve)


cdef inline real selu_slope(real a) noexcept nogil:
    return <real>1.0507009873554804934 if a > 0 else a + <real>1.7580993408473768599


cdef void selu(const real *z, real *out, Shape shape) noexcept nogil:
    each(selu_of, z, out, shape)


cdef void selu_backward(
    const real *z, const real *a, const real *grad_a, real *out, Shape shape
) noexcept nogil:
    each_times(selu_slope, a, grad_a, out, shape)


# gelu and silu are z * sigmoid(v), where v is z or nearly 1.6 * (z + 0.04 * z**3). Beyond their
# ends, 25 and 1000, that sigmoid is 0 or 1 in any dtype. They keep powers and products finite; an
# infinite z has the limit of the formula.


cdef inline real gate_slope(real z, real v, real rise) noexcept nogil:
    """The derivative of z * sigmoid(v), where that of v is `rise`."""
    cdef real e = exp_of_negative(v if v < 0 else -v)
    cdef real open = (e if v < 0 else <real>1) / (<real>1 + e)
    cdef real shut = (<real>1 if v < 0 else e) / (<real>1 + e)
    return open * (<real>1 + z * rise * shut)


cdef inline real gelu_exponent(real z) noexcept nogil:
    """2 * sqrt(2 / pi) * (z + 0.044715 * z**3)."""
    return <real>1.5957691216057307118 * (z + <real>0.044715 * z * z * z)


cdef inline real gelu_of(real z) noexcept nogil:
    cdef real low = at_least(-25, z)
    return low * sigmoid_of(gelu_exponent(at_most(25, low)))


cdef inline real gelu_slope(real z) noexcept nogil:
    z = at_most(25, at_least(-25, z))
    cdef real rise = <real>1.5957691216057307118 * (<real>1 + <real>0.134145 * z * z)
    return gate_slope(z, gelu_exponent(z), rise)


cdef void gelu(const real *z, real *out, Shape shape) noexcept nogil:
    each(gelu_of, z, out, shape)


cdef void gelu_backward(
    const real *z, const real *a, const real *grad_a, real *out, Shape shape
) noexcept nogil:
    each_times(gelu_slope, z, grad_a, out, shape)


cdef inline real silu_of(real z) noexcept nogil:
    return at_least(-1000, z) * sigmoid_of(z)


cdef inline real silu_slope(real z) noexcept nogil:
    z = at_most(1000, at_least(-1000, z))
    return gate_slope(z, z, 1)


cdef void silu(const real *z, real *out, Shape shape) noexcept nogil:
    each(silu_of, z, out, shape)


cdef void silu_backward(
    const real *z, const real *a, const real *grad_a, real *out, Shape shape
) noexcept nogil:
    each_times(silu_slope, z, grad_a, out, shape)


cdef inline real softplus_of(real z) noexcept nogil:
    return relu_of(z) + log_of_1_plus(exp_of_negative(-z if z > 0 else z))


cdef inline real softplus_slope(real a) noexcept nogil:
    return -exp_less_1_of_negative(-a)


cdef void softplus(const real *z, real *out, Shape shape) noexcept nogil:
    each(softplus_of, z, out, shape)


cdef void softplus_backward(
    const real *z, const real *a, const real *grad_a, real *out, Shape shape
) noexcept nogil:
    each_times(softplus_slope, a, grad_a, out, shape)


cdef inline real exp_slope(real a) noexcept nogil:
    return a


cdef void exp(const real *z, real *out, Shape shape) noexcept nogil:
    each(exp_of, z, out, shape)


cdef void exp_backward(
    const real *z, const real *a, const real *grad_a, real *out, Shape shape
) noexcept nogil:
    each_times(exp_slope, a, grad_a, out, shape)


cdef void softmax(const real *z, real *out, Shape shape) noexcept nogil:
    """exp(z - largest) over its sum: no term exceeds 1, and one of them is 1."""
    cdef Py_ssize_t i, j
    cdef const real *row
    cdef real *result
    cdef real largest, total
    for i in range(shape.rows):
        row = z + i * shape.row
        result = out + i * shape.row
        largest = row[0]
        for j in range(1, shape.columns):
            largest = row[j] if row[j] > largest else largest
        for j in range(shape.columns):
            result[j] = exp_of_negative(row[j] - largest)
        total = 0
        for j in range(shape.columns):
            total = total + result[j]
        for j in range(shape.columns):
            result[j] = result[j] / total


cdef void softmax_backward(
    const real *z, const real *a, const real *grad_a, real *out, Shape shape
) noexcept nogil:
    cdef Py_ssize_t i, j
    cdef const real *activation
    cdef const real *gradient
    cdef real mean
    for i in range(shape.rows):
        activation = a + i * shape.row
        gradient = grad_a + i * shape.row
        mean = 0
        for j in range(shape.columns):
            mean = real_multiply_add(activation[j], gradient[j], mean)
        for j in range(shape.columns):
            out[i * shape.row + j] = activation[j] * (gradient[j] - mean)
