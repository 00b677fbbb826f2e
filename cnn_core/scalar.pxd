"""Scalar maths: tiny inline functions, without branches, for the loops around them."""

cdef extern from "vector.h" nogil:
    # The dtype of this build: float or double. Cython only has to know that it is a floating type.
    ctypedef float real
    real scale_by_power_of_two(real x, int n)
    # a * b + c, for sums of products.
    double multiply_add(double a, double b, double c)
    real real_multiply_add(real a, real b, real c)


cdef inline real exp_of_negative(real x) noexcept nogil:
    """exp(x) for x <= 0, NaN for NaN; relative error about 1 unit in the last place.

    x = n ln 2 + r with |r| <= ln 2 / 2; a polynomial (float32) or a quotient of polynomials
    (float64) for exp(r); coefficients and the split of ln 2 from Cephes (S. Moshier, expf.c, exp.c).
    Below the cut-off the result is 0: half the least subnormal is exp(-103.98) and exp(-745.13).
    """
    cdef real n, r, rr, p, q
    if sizeof(real) == 4:
        x = <real>-104 if x < <real>-104 else x
        # Adding and taking away 1.5 * 2**23 rounds to the nearest whole number.
        n = (x * <real>1.44269504088896341 + <real>12582912) - <real>12582912
        r = (x - n * <real>0.693359375) + n * <real>2.12194440e-4
        rr = r * r
        p = <real>1.9875691500e-4
        p = p * r + <real>1.3981999507e-3
        p = p * r + <real>8.3334519073e-3
        p = p * r + <real>4.1665795894e-2
        p = p * r + <real>1.6666665459e-1
        p = p * r + <real>5.0000001201e-1
        p = (p * rr + r) + <real>1
    else:
        x = <real>-746 if x < <real>-746 else x
        n = (x * <real>1.4426950408889634073599 + <real>6755399441055744) - <real>6755399441055744
        r = (x - n * <real>6.93145751953125e-1) - n * <real>1.42860682030941723212e-6
        rr = r * r
        p = <real>1.26177193074810590878e-4
        p = p * rr + <real>3.02994407707441961300e-2
        p = r * (p * rr + <real>9.99999999999999999910e-1)
        q = <real>3.00198505138664455042e-6
        q = q * rr + <real>2.52448340349684104192e-3
        q = q * rr + <real>2.27265548208155028766e-1
        q = q * rr + <real>2
        p = <real>1 + <real>2 * (p / (q - p))
    return scale_by_power_of_two(p, <int>n)


cdef inline real sigmoid_of(real z) noexcept nogil:
    """1 / (1 + exp(-z)) from exp(-|z|), which cannot overflow."""
    cdef real e = exp_of_negative(z if z < 0 else -z)
    return (e if z < 0 else <real>1) / (<real>1 + e)


cdef inline real sigmoid_slope(real a) noexcept nogil:
    """The derivative of the sigmoid at the point where its value is a."""
    return a * (<real>1 - a)


cdef inline real tanh_of(real z) noexcept nogil:
    """tanh(z): near 0 a series in z, beyond it from exp(-2|z|), where nothing cancels.

    The series up to 0.625 are those of Cephes (S. Moshier, tanhf.c, tanh.c).
    """
    cdef real size = -z if z < 0 else z
    cdef real e = exp_of_negative(-<real>2 * size)
    cdef real far = (<real>1 - e) / (<real>1 + e)
    # Bounded, so that what is not chosen below cannot overflow.
    cdef real near = size if size < <real>0.625 else <real>0.625
    cdef real square = near * near
    cdef real p, q
    if sizeof(real) == 4:
        p = <real>-5.70498872745e-3
        p = p * square + <real>2.06390887954e-2
        p = p * square + <real>-5.37397155531e-2
        p = p * square + <real>1.33314422036e-1
        p = p * square + <real>-3.33332819422e-1
    else:
        p = <real>-9.64399179425052238628e-1
        p = p * square + <real>-9.92877231001918586564e1
        p = p * square + <real>-1.61468768441708447952e3
        q = square + <real>1.12811678491632931402e2
        q = q * square + <real>2.23548839060100448583e3
        q = q * square + <real>4.84406305325125486048e3
        p = p / q
    near = near + near * square * p
    far = near if size < <real>0.625 else far
    return -far if z < 0 else far


cdef inline real tanh_slope(real a) noexcept nogil:
    """The derivative of tanh at the point where its value is a."""
    return (<real>1 - a) * (<real>1 + a)


cdef inline real normal_or_zero(real x) noexcept nogil:
    """x, or 0 if it is smaller than the least normal number, with which processors are slow."""
    cdef real least = <real>1.17549435e-38 if sizeof(real) == 4 else <real>2.2250738585072014e-308
    return <real>0 if x < least and x > -least else x
