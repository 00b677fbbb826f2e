"""The two contracts of the library, each written once here and implemented by every backend.

Both speak of NumPy arrays that have been validated already: C-contiguous, native byte order, all of
one dtype (float32 or float64). They check shapes, since a compiled loop must never leave an array,
and convert nothing: anything else is refused.

Words: a *sample* is a row; ``z = x @ weights + bias`` is the pre-activation, ``a = sigmoid(z)`` the
activation, ``delta`` the derivative of the loss with respect to ``z``.
"""

from __future__ import annotations

from typing import Protocol

from cnn_core.network import FloatArray, IndexArray


class Kernels(Protocol):
    """The operations on arrays.

    The caller allocates every output, which must not overlap an input unless the operation says
    so. Sizes of zero are allowed and leave nothing to do.

    Every operation raises ``ValueError`` for a wrong number of dimensions, shape, dtype, byte order
    or layout or for a read-only output, and ``TypeError`` for what is not an array.
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

    def sigmoid(self, z: FloatArray, out: FloatArray) -> None:
        """``out = 1 / (1 + exp(-z))`` without overflow for any z; `out` may be `z` itself.

        Shapes: z and out (n, units).
        """

    def sigmoid_derivative(self, a: FloatArray, out: FloatArray) -> None:
        """``out = a * (1 - a)``: the derivative of the sigmoid from its value; `out` may be `a`.

        Shapes: a and out (n, units).
        """

    def sigmoid_backward(self, a: FloatArray, grad_a: FloatArray, out: FloatArray) -> None:
        """``out = grad_a * a * (1 - a)``: dloss/dz from dloss/da; `out` may be `grad_a` or `a`.

        Shapes: a, grad_a and out (n, units).
        """

    def squared_error(self, y: FloatArray, t: FloatArray) -> float:
        """Half the squared error, summed over outputs, averaged over samples; 0.0 for no samples.

        Shapes: outputs y and targets t (n, units). Summed in float64.
        """

    def squared_error_delta(self, y: FloatArray, t: FloatArray, out: FloatArray) -> None:
        """``out = (y - t) / n``: the derivative of `squared_error` with respect to y.

        Shapes: y, t and out (n, units); `out` may be `y`.
        """

    def gradient_descent(
        self, parameters: FloatArray, gradient: FloatArray, learning_rate: float
    ) -> None:
        """``parameters -= learning_rate * gradient``, in place.

        Shapes: parameters and gradient (p,).
        """


class Engine(Protocol):
    """A network's parameters and buffers, and whole epochs over them.

    An engine is made from a `Network` and its flat parameter array, which it binds once and changes
    in place: whoever holds that array sees the network learn. It is not safe to train one engine
    from two threads at once; this is detected and raises ``RuntimeError``.
    """

    def train_epoch(
        self,
        x: FloatArray,
        t: FloatArray,
        order: IndexArray | None,
        batch_size: int,
        learning_rate: float,
    ) -> tuple[float, int]:
        """Train on every sample named by `order` once, `batch_size` samples a step.

        Parameters
        ----------
        x : (n, n_inputs) array
        t : (n, n_outputs) array
        order : (m,) array of indices into the samples, or None
            None: the samples as they stand.
        batch_size : int
            At least 1; the last batch holds what is left. The article's rule takes all the samples
            in one step and refuses anything else.
        learning_rate : float

        Returns
        -------
        loss : float
            Mean over the samples, each as it was before its own batch's step.
        hits : int
            Samples whose largest output was the largest target, likewise.

        Raises
        ------
        ValueError
            For shapes that do not fit, an index outside the samples, a batch size below 1.
        """

    def gradient(self, x: FloatArray, t: FloatArray, out: FloatArray) -> float:
        """Write the step's direction into `out`, flat like the parameters; return the loss.

        For the exact rule this is the gradient of the loss over all of `x`. The article's rule has
        no loss of which its direction would be the gradient; its direction is written all the same.
        """

    def predict(self, x: FloatArray, out: FloatArray) -> None:
        """Write the outputs for `x` (n, n_inputs) into `out` (n, n_outputs)."""
