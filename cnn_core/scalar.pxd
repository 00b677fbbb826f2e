"""Scalar maths: small inline functions without branches, so that loops over them vectorize."""

cdef extern from "vector.h" nogil:
    # The dtype of this build, float or double. For Cython it is just some floating type.
    ctypedef float real
    real scale_by_power_of_two(real x, int n)
    real magnitude(real x)
    real square_root(real x)
    int is_nonfinite(real x)
    # a * b + c, fused where the processor can.
    double multiply_add(double a, double b, double c)
    real real_multiply_add(real a, real b, real c)


cdef inline real whole_powers(real x) noexcept nogil:
    """Return the integer n of x = n ln 2 + r with the smallest r: |r| <= ln 2 / 2."""
    # Adding and subtracting 1.5 * 2**23 (or 1.5 * 2**52) rounds to the nearest integer.
    if sizeof(real) == 4:
        return (x * <real>1.44269504088896341 + <real>12582912) - <real>12582912
    return (x * <real>1.4426950408889634073599 + <real>6755399441055744) - <real>6755399441055744


cdef inline real exp_less_1_of_rest(real x, real n) noexcept nogil:
    """Return exp(r) - 1 for the r of `whole_powers`; relative error about 1 unit in the last place.

    A polynomial (float32) or a quotient of polynomials (float64). The coefficients and the split of
    ln 2 are from Cephes (S. Moshier, expf.c, exp.c).
    """
    cdef real r, rr, p, q
    if sizeof(real) == 4:
        r = (x - n * <real>0.693359375) + n * <real>2.12194440e-4
        rr = r * r
        p = <real>1.9875691500e-4
        p = p * r + <real>1.3981999507e-3
        p = p * r + <real>8.3334519073e-3
        p = p * r + <real>4.1665795894e-2
        p = p * r + <real>1.6666665459e-1
        p = p * r + <real>5.0000001201e-1
        return p * rr + r
    r = (x - n * <real>6.93145751953125e-1) - n * <real>1.42860682030941723212e-6
    rr = r * r
    p = <real>1.26177193074810590878e-4
    p = p * rr + <real>3.02994407707441961300e-2
    p = r * (p * rr + <real>9.99999999999999999910e-1)
    q = <real>3.00198505138664455042e-6
    q = q * rr + <real>2.52448340349684104192e-3
    q = q * rr + <real>2.27265548208155028766e-1
    q = q * rr + <real>2
    return <real>2 * (p / (q - p))


cdef inline real at_least(real least, real x) noexcept nogil:
    """Return the larger value; NaN if x is NaN."""
    return least if x < least else x


cdef inline real at_most(real most, real x) noexcept nogil:
    """Return the smaller value; NaN if x is NaN."""
    return most if x > most else x


cdef inline real exp_end() noexcept nogil:
    """Return x with exp(x) inf and exp(-x) 0; half the least subnormal: e**-103.98, e**-745.13."""
    return <real>104 if sizeof(real) == 4 else <real>746


cdef inline real exp_of_negative(real x) noexcept nogil:
    """Return exp(x) for x <= 0, NaN for NaN; relative error about 1 unit in the last place."""
    x = at_least(-exp_end(), x)
    cdef real n = whole_powers(x)
    return scale_by_power_of_two(exp_less_1_of_rest(x, n) + <real>1, <int>n)


cdef inline real exp_of(real x) noexcept nogil:
    """Return exp(x), NaN for NaN."""
    return exp_of_negative(at_most(exp_end(), x))


cdef inline real exp_less_1_of_negative(real x) noexcept nogil:
    """Return exp(x) - 1 for x <= 0, accurate near 0, as 2**n * (exp(r) - 1) + (2**n - 1)."""
    x = at_least(-exp_end(), x)
    cdef real n = whole_powers(x)
    cdef real rest = scale_by_power_of_two(exp_less_1_of_rest(x, n), <int>n)
    return rest + (scale_by_power_of_two(<real>1, <int>n) - <real>1)


cdef inline real log_of_1_plus(real e) noexcept nogil:
    """Return log(1 + e) for 0 <= e <= 1, by the series of 2 artanh(s) with s = e / (2 + e).

    s is at most 1/3, and the first omitted term is below a tenth of a unit in the last place.
    """
    cdef real s = e / (<real>2 + e)
    cdef real ss = s * s
    cdef real p = 0
    if sizeof(real) == 8:
        p = <real>(1. / 31)
        p = p * ss + <real>(1. / 29)
        p = p * ss + <real>(1. / 27)
        p = p * ss + <real>(1. / 25)
        p = p * ss + <real>(1. / 23)
        p = p * ss + <real>(1. / 21)
        p = p * ss + <real>(1. / 19)
        p = p * ss + <real>(1. / 17)
    p = p * ss + <real>(1. / 15)
    p = p * ss + <real>(1. / 13)
    p = p * ss + <real>(1. / 11)
    p = p * ss + <real>(1. / 9)
    p = p * ss + <real>(1. / 7)
    p = p * ss + <real>(1. / 5)
    p = p * ss + <real>(1. / 3)
    return <real>2 * (s + s * ss * p)


cdef inline real sigmoid_of(real z) noexcept nogil:
    """Return 1 / (1 + exp(-z)), computed from exp(-|z|), which cannot overflow."""
    cdef real e = exp_of_negative(z if z < 0 else -z)
    return (e if z < 0 else <real>1) / (<real>1 + e)


cdef inline real sigmoid_slope(real a) noexcept nogil:
    """Return the derivative of the sigmoid where its value is a."""
    return a * (<real>1 - a)


cdef inline real tanh_of(real z) noexcept nogil:
    """Return tanh(z): a series near 0, else from exp(-2|z|), where nothing cancels.

    The series up to 0.625 are those of Cephes (S. Moshier, tanhf.c, tanh.c).
    """
    cdef real size = -z if z < 0 else z
    cdef real e = exp_of_negative(-<real>2 * size)
    cdef real far = (<real>1 - e) / (<real>1 + e)
    # Bounded, so that the value that is not chosen cannot overflow.
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
    """Return the derivative of tanh where its value is a."""
    return (<real>1 - a) * (<real>1 + a)


cdef inline real sign_of(real x) noexcept nogil:
    """Return -1, 0 or 1; NaN for NaN."""
    return <real>1 if x > 0 else (<real>-1 if x < 0 else x)


cdef inline real normal_or_zero(real x) noexcept nogil:
    """Return x, or 0 if x is subnormal: processors are slow with subnormals."""
    cdef real least = <real>1.17549435e-38 if sizeof(real) == 4 else <real>2.2250738585072014e-308
    return <real>0 if magnitude(x) < least else x
