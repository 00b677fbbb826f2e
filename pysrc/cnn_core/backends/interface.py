"""What a backend provides: kernels and engines, each contract written once, here.

Both take NumPy arrays that have been validated already: C-contiguous, native byte order, all of one
dtype (float32 or float64). Shapes are checked, since a compiled loop must never leave an array; for
kernels `cnn_core.backends.kernels` does it, for both backends. Nothing is converted but the bytes
that an engine may be given as samples: anything else is refused.

Words: a *sample* is a row; ``z = x @ weights + bias`` is the pre-activation, ``a`` the activation,
``y`` the activation of the last layer, ``t`` its target, ``delta`` the derivative of the loss with
respect to ``z``.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from cnn_core.class_targets import Targets
from cnn_core.layers import Activation, Conv2D, ImageLayer, Normalization
from cnn_core.losses import Loss
from cnn_core.optimizers import Optimizer
from cnn_core.sparse import Samples
from cnn_core.types import FloatArray, IndexArray


class Kernels(Protocol):
    """The operations on arrays.

    The caller allocates every output, which must not overlap an input unless the operation says
    so. Sizes of zero are allowed and leave nothing to do.

    Every operation raises ``ValueError`` for a wrong number of dimensions, shape, dtype, byte order
    or layout, for a read-only output and for a name that it does not know, and ``TypeError`` for
    what is not an array.
    """

    def dense_forward(
        self, x: FloatArray, weights: FloatArray, bias: FloatArray, out: FloatArray
    ) -> None:
        """``out = x @ weights + bias``.

        Shapes: x (n, fan_in), weights (fan_in, fan_out), bias (fan_out,), out (n, fan_out).
        """

    def dense_backward(
        self,
        x: FloatArray,
        weights: FloatArray,
        delta: FloatArray,
        grad_weights: FloatArray | None = None,
        grad_bias: FloatArray | None = None,
        grad_x: FloatArray | None = None,
    ) -> None:
        """Gradients of a dense layer; an output that is None is not computed.

        ``grad_weights = x.T @ delta``, ``grad_bias = delta.sum(axis=0)``,
        ``grad_x = delta @ weights.T`` (Rumelhart, Hinton, Williams 1986).

        Shapes: x and grad_x (n, fan_in), weights and grad_weights (fan_in, fan_out),
        delta (n, fan_out), grad_bias (fan_out,).
        """

    def convolve(self, layer: Conv2D, x: FloatArray, weights: FloatArray, out: FloatArray) -> None:
        """``out`` = the convolution of the images `x`, without a bias.

        A patch is what a pixel of the output is computed from, the pixels under the kernel, in the
        order (row, column, channel). With the patches of all pixels of all samples as rows,
        ``out = patches @ weights``, for each group with its own channels; see `Conv2D`.

        Shapes: x (n, layer.fan_in), weights layer.weights_shape, out (n, layer.fan_out).
        """

    def convolve_backward(
        self,
        layer: Conv2D,
        x: FloatArray,
        weights: FloatArray,
        delta: FloatArray,
        grad_weights: FloatArray | None = None,
        grad_x: FloatArray | None = None,
    ) -> None:
        """From dloss/dout, `delta`, the gradients; an output that is None is not computed.

        ``grad_weights = patches.T @ delta``; in `grad_x` each pixel has the sum over the patches
        that it is in of ``delta @ weights.T``.

        Shapes: as for `convolve`, delta (n, layer.fan_out), grad_weights like weights, grad_x
        like x.
        """

    def pool(self, layer: ImageLayer, x: FloatArray, out: FloatArray) -> None:
        """``out`` = the largest value, or the mean, of each window of each channel of `x`.

        NaN in a window gives NaN. Shapes: x (n, layer.fan_in), out (n, layer.fan_out).
        """

    def pool_backward(
        self, layer: ImageLayer, x: FloatArray, grad_out: FloatArray, grad_x: FloatArray
    ) -> None:
        """``grad_x`` = dloss/dx from dloss/dout, `grad_out`.

        In a window the first of the largest values has all of it, row by row; or each value its
        equal share. Windows that overlap add up.

        Shapes: x and grad_x (n, layer.fan_in), grad_out (n, layer.fan_out).
        """

    def activate(self, activation: Activation, z: FloatArray, out: FloatArray) -> None:
        """``out = activation(z)`` without overflow for any finite z; `out` may be `z` itself.

        Shapes: z and out (n, units). The formulas::

            identity     z
            sigmoid      1 / (1 + exp(-z))
            tanh         (exp(z) - exp(-z)) / (exp(z) + exp(-z))
            relu         z where z > 0, else 0
            leaky_relu   z where z > 0, else 0.01 * z            (Maas et al., 2013)
            elu          z where z > 0, else exp(z) - 1           (Clevert et al., 2016)
            selu         1.0507... * (z where z > 0, else 1.6733... * (exp(z) - 1))
                                                                 (Klambauer et al., 2017)
            gelu         z / 2 * (1 + tanh(sqrt(2 / pi) * (z + 0.044715 * z**3)))
                                                                 (Hendrycks and Gimpel, 2016)
            silu         z / (1 + exp(-z))                        (Elfwing et al., 2018)
            softplus     log(1 + exp(z))                          (Dugas et al., 2001)
            exp          exp(z)
            softmax      exp(z) / sum of exp(z) over the units

        NaN gives NaN, in a softmax for the whole sample. The exception to "no overflow" is ``exp``.
        """

    def activation_backward(
        self,
        activation: Activation,
        z: FloatArray,
        a: FloatArray,
        grad_a: FloatArray,
        out: FloatArray,
    ) -> None:
        """``out`` = dloss/dz from z, ``a = activation(z)`` and dloss/da; it may be any of them.

        Only ``gelu`` and ``silu`` look at z; for the others `z` may be `a`.

        Shapes: z, a, grad_a and out (n, units). The formulas::

            identity     grad_a
            sigmoid      grad_a * a * (1 - a)
            tanh         grad_a * (1 - a**2)
            relu         grad_a where a > 0, else 0
            leaky_relu   grad_a where a > 0, else 0.01 * grad_a
            elu          grad_a where a > 0, else grad_a * (a + 1)
            selu         grad_a * (1.0507... where a > 0, else a + 1.0507... * 1.6733...)
            gelu         grad_a * ((1 + w) / 2 + z / 2 * (1 - w**2) * dv), where
                         v = sqrt(2 / pi) * (z + 0.044715 * z**3), w = tanh(v), dv = dv/dz
            silu         grad_a * s * (1 + z * (1 - s)), where s = 1 / (1 + exp(-z))
            softplus     grad_a * (1 - exp(-a))
            exp          grad_a * a
            softmax      a * (grad_a - sum of a * grad_a over the units)
        """

    def loss(
        self,
        loss: Loss,
        z: FloatArray,
        y: FloatArray,
        t: FloatArray,
        weights: FloatArray | None = None,
    ) -> float:
        """Return the loss, summed over outputs, averaged over samples; 0.0 for no samples.

        With weights, one for each sample, the average is the weighted one, 0.0 if they are all 0.

        Shapes: pre-activations z, outputs y and targets t (n, units), weights (n,). Summed in
        float64, each exp in the arrays' dtype or better. The formulas, of which poisson and the
        cross-entropies work on z and so lose nothing where y is all but 0 or 1::

            squared_error          (y - t)**2 / 2
            absolute_error         abs(y - t)
            Huber                  (y - t)**2 / 2 where abs(y - t) <= delta,
                                   else delta * (abs(y - t) - delta / 2)
            Pinball                quantile * (t - y) where y < t, else (1 - quantile) * (y - t)
            poisson                y - t * z + t * log(t) - t, half the deviance, where t * log(t)
                                   is 0 for t = 0 (McCullagh and Nelder, 1989, section 2.3)
            binary_cross_entropy   max(z, 0) - z * t + log(1 + exp(-abs(z)))
            cross_entropy          t * (log(sum of exp(z) over the units) - z)
        """

    def output_delta(
        self,
        loss: Loss,
        activation: Activation,
        z: FloatArray,
        y: FloatArray,
        t: FloatArray,
        out: FloatArray,
        weights: FloatArray | None = None,
    ) -> None:
        """``out`` = dloss/dz in the last layer; `out` may be `y`.

        Shapes: z, y, t and out (n, units), weights (n,). The formulas, each divided by n; with
        weights each multiplied by that of its sample and divided by their sum, 0 if that is 0::

            squared_error          activation_backward of y - t
            absolute_error         activation_backward of sign(y - t)
            Huber                  activation_backward of y - t, limited to -delta and delta
            Pinball                activation_backward of -quantile where y < t, 1 - quantile where
                                   y > t, else 0
            poisson                y - t
            binary_cross_entropy   y - t
            cross_entropy          y * (sum of t over the units) - t
        """

    def normalize(
        self,
        normalization: Normalization,
        u: FloatArray,
        gain: FloatArray,
        bias: FloatArray,
        normal: FloatArray,
        spread: FloatArray,
        z: FloatArray,
    ) -> None:
        """Normalize: ``normal = (u - mean) * spread`` and ``z = gain * normal + bias``.

        ``spread = 1 / sqrt(variance + EPSILON)``; mean and variance, divided by the number of
        values, are those of each column for ``"batch"`` and of each row for ``"layer"``. `normal`
        may be `u`.

        Shapes: u, normal and z (n, units), gain and bias (units,), spread (units,) or (n,).
        """

    def normalize_backward(
        self,
        normalization: Normalization,
        normal: FloatArray,
        spread: FloatArray,
        gain: FloatArray,
        delta: FloatArray,
        grad_gain: FloatArray,
        grad_bias: FloatArray,
        out: FloatArray,
    ) -> None:
        """From dloss/dz, `delta`, the gradients and ``out`` = dloss/du; `out` may be `delta`.

        ``grad_gain = (delta * normal).sum(axis=0)``, ``grad_bias = delta.sum(axis=0)``; with
        ``g = gain * delta`` and averages over the columns for ``"batch"``, over the rows for
        ``"layer"``::

            out = spread * (g - average(g) - normal * average(g * normal))

        Shapes: normal, delta and out (n, units), gain, grad_gain and grad_bias (units,), spread
        (units,) or (n,).
        """

    def normalize_by(
        self,
        mean: FloatArray,
        variance: FloatArray,
        gain: FloatArray,
        bias: FloatArray,
        u: FloatArray,
        z: FloatArray,
    ) -> None:
        """``z = gain * (u - mean) / sqrt(variance + EPSILON) + bias``; `z` may be `u`.

        Shapes: mean, variance, gain and bias (units,), u and z (n, units).
        """

    def update(
        self,
        optimizer: Optimizer,
        parameters: FloatArray,
        gradient: FloatArray,
        moments: FloatArray,
        learning_rate: float,
        step: int,
    ) -> None:
        """Take a step, in place, by the optimizer's formula in `cnn_core.optimizers`.

        Shapes: parameters and gradient (p,), moments (optimizer.n_moments, p): what the optimizer
        keeps from step to step, zeros at first. `step` counts from 1.
        """

    def random_bits(
        self, key: int, counter: tuple[int, int, int, int], out: npt.NDArray[np.uint32]
    ) -> None:
        """Fill `out` (m,) with the numbers of Philox 4x32-10 (Salmon et al., 2011).

        Each counter gives four; the first word of `counter` counts on from block to block, without
        a carry. `key` is a number of 64 bits, its lower half the first word; each word of the
        counter has 32 bits.
        """

    def dropout(
        self, rate: float, key: int, step: int, layer: int, a: FloatArray, out: FloatArray
    ) -> None:
        """``out = a / (1 - rate)`` where a sample keeps a unit, else 0; `out` may be `a`.

        Unit ``j`` of row ``i`` is kept if its number of `random_bits` is at least
        ``round(rate * 2**32)``: number ``j % 4`` of the counter ``(j // 4, i, layer, step)``, all
        modulo ``2**32``. The same call turns dloss/dout into dloss/da.

        Shapes: a and out (n, units).
        """


class Predictor(Protocol):
    """Predicts a fixed number of samples at a time, with buffers that are allocated once."""

    def __call__(self, x: Samples) -> FloatArray:
        """Return the outputs for `x` (rows, n_inputs), or (n_inputs,) if it is one row.

        The array that is returned, (rows, n_outputs), is the predictor's own: the next call
        overwrites it. `x` is as an engine takes it; that its values are finite is not checked. A
        predictor is for one thread at a time, and sees the network as it is when it is called.
        """


class Engine(Protocol):
    """A network's parameters and buffers, and whole epochs over them.

    An engine is made from a `Network` and its flat parameter array, which it binds once and changes
    in place: a caller that holds the array sees the network learn. The same holds for `moments`,
    (n_moments, n_parameters), the optimizer's state, whose rows may lie apart; for `statistics`,
    (n_statistics,), the running averages of batch normalization; and for `average`, the running
    average of the parameters.
    Together with `steps` these arrays are the state: an engine that is given copies of them goes on
    in the same way.

    Samples are of the parameters' dtype, bytes (uint8), or `SparseRows` of the parameters' dtype,
    which give the same bits as the same rows with their zeros; all are multiplied by the network's
    `input_scale`. Targets are rows of the parameters' dtype, or `ClassTargets`, whose rows are
    written out for one batch at a time: the bits of a training are the same.

    It is not safe to train one engine from two threads at once; this is detected and raises
    ``RuntimeError``. Predicting from any number of threads at once is safe.

    Attributes
    ----------
    steps : int
        Steps taken so far; writable, from 0 to below ``2**63``. The dropout counts them modulo
        ``2**32``.
    moments : array
    statistics : array
    average : array or None
        (n_parameters,); None if the network's `averaging` is 0.
    """

    steps: int
    moments: FloatArray
    statistics: FloatArray
    average: FloatArray | None

    def train_epoch(
        self,
        x: Samples,
        t: Targets,
        order: IndexArray | None,
        batch_size: int,
        learning_rate: float | npt.NDArray[np.float64],
        weights: FloatArray | None = None,
    ) -> tuple[float, int]:
        """Train on every sample named by `order` once, `batch_size` samples a step.

        If the loss of a batch is not finite, its step and those after it are not taken.

        Parameters
        ----------
        x : (n, n_inputs) array or SparseRows
        t : (n, n_outputs) array or ClassTargets
        order : (m,) array of indices into the samples, or None
            None: all samples in their own order.
        batch_size : int
            At least 1; the last batch holds what is left. The article's rule takes all the samples
            in one step and refuses anything else.
        learning_rate : float or array
            One for all steps, or one for each, (ceil(m / batch_size),) in float64.
        weights : (n,) array, optional
            Of the parameters' dtype, finite, at least 0: what each sample counts in a loss.
            Not for the article's rule.

        Returns
        -------
        loss : float
            Weighted mean over the samples, each as it was before its own batch's step, without the
            term of `Network.l2`. Not finite if that of a batch was not.
        hits : int
            Samples whose largest output was the largest target, likewise.

        Raises
        ------
        ValueError
            For shapes that do not fit, a label that is none of the outputs, an index outside the
            samples, a batch size below 1.
        """

    def gradient(
        self,
        x: Samples,
        t: Targets,
        out: FloatArray,
        weights: FloatArray | None = None,
    ) -> float:
        """Write the next step's direction into `out`, flat like the parameters; return the loss.

        For the exact rule this is the gradient of the loss over all of `x`, the term of
        `Network.l2` included in both, with dropout and augmentation of the next step, not clipped.
        Running averages stay as they are. The article's rule has no loss of which its direction
        would be the gradient; its direction is written all the same.
        """

    def predict(self, x: Samples, out: FloatArray) -> bool:
        """Write the outputs for `x` (n, n_inputs) into `out` (n, n_outputs).

        There is no dropout and no augmentation, and batch normalization goes by its running
        averages.

        Returns
        -------
        bool
            Whether every value of `x`, scaled, is finite. The values are read anyway, so the check
            costs nothing.
        """

    def predictor(self, rows: int) -> Predictor:
        """Return a predictor of `rows` samples at a time, at least 1; the exact rule's alone."""
