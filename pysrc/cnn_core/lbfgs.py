"""L-BFGS by SciPy, over an engine's gradient.

Byrd, Lu, Nocedal, Zhu, "A limited memory algorithm for bound constrained optimization", 1995.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cnn_core.callbacks import Callback
from cnn_core.contracts import Engine
from cnn_core.network import ByteArray, FloatArray, Network
from cnn_core.pace import Clock
from cnn_core.training import DivergenceError, Recipe, Session, TrainingState, Validation

if TYPE_CHECKING:
    from cnn_core.model import Model

Point = npt.NDArray[np.float64]


def minimize(
    model: Model,
    x: FloatArray | ByteArray,
    t: FloatArray,
    recipe: Recipe,
    *,
    max_evaluations: int = 15_000,
    weights: FloatArray | None = None,
    validation: Validation | None = None,
    callbacks: Iterable[Callback] = (),
    face: Any = None,
    clock: Clock = time.perf_counter,
) -> TrainingState:
    """Minimize a model's loss on all the samples at once.

    An epoch is an iteration of L-BFGS: one step along a line, for which the loss and its gradient
    are evaluated once or a few times. The lines are searched in float64, the gradient is that of
    the model's dtype. Of the recipe, the rates, the batches, their order and the time budget have
    no meaning; `Recipe.tol` is the largest derivative at which it has converged.

    Parameters
    ----------
    model : Model
    x : (n, n_inputs) array
    t : (n, n_outputs) array
    recipe : Recipe
    max_evaluations : int
        Most evaluations of the loss.
    weights : (n,) array, optional
    validation : Validation, optional
    callbacks : iterable of Callback
    face : object, optional
    clock : callable
        Gives the time in seconds.

    Returns
    -------
    TrainingState
        The records have losses with the term of `Network.l2`, and no accuracy. `stopped_because`
        says why it ended before its last epoch, also if it has converged.

    Raises
    ------
    ImportError
        If SciPy is missing.
    ValueError
        For a network whose loss is not the same function in each evaluation, or whose steps do
        more than follow a gradient: one with dropout, batch normalization, averaging or clipping.
    DivergenceError
        If the loss is not finite; the weights of the iteration before are put back.
    """
    require_smooth(model.network)
    optimize = scipy_minimize()
    session = Session(
        model,
        recipe,
        are_classes=False,
        validation=validation,
        callbacks=callbacks,
        face=face,
    )
    with model.exclusively() as engine, session.running() as state:
        search = _Search(session, _Function(engine, model.parameters, x, t, weights), clock)
        if session.epoch_begins():
            with suppress(_Stopped), search.leaving_the_best_point():
                result = optimize(
                    search.function,
                    search.point,
                    method="L-BFGS-B",
                    jac=True,
                    callback=search.iteration_ends,
                    options={
                        "maxiter": recipe.epochs,
                        "maxfun": max_evaluations,
                        "gtol": recipe.tol,
                    },
                )
                search.ends(result)
    return state


class _Stopped(Exception):  # noqa: N818 (no error: it is how a callback's wish gets out of SciPy)
    """A callback wants no further iteration."""


class _Function:
    """The loss and its gradient, as SciPy asks for them."""

    def __init__(
        self,
        engine: Engine,
        parameters: FloatArray,
        x: FloatArray | ByteArray,
        t: FloatArray,
        weights: FloatArray | None,
    ) -> None:
        self._engine = engine
        self._parameters = parameters
        self._gradient = np.empty_like(parameters)
        self._data = x, t
        self._weights = weights
        self.samples = len(x)
        self._point: Point | None = None
        self._loss = math.nan

    def __call__(self, point: Point) -> tuple[float, Point]:
        with np.errstate(over="ignore"):
            self._parameters[...] = point
        self._loss = self._engine.gradient(*self._data, self._gradient, self._weights)
        self._point = point.copy()
        return self._loss, self._gradient.astype(np.float64)

    def loss(self, point: Point) -> float:
        """Return the loss at a point, which is mostly the one that was looked at last."""
        if self._point is None or not np.array_equal(self._point, point):
            self(point)
        return self._loss


class _Search:
    """The iterations, as epochs of a session."""

    def __init__(self, session: Session, function: _Function, clock: Clock) -> None:
        self._session = session
        self._state = session.state
        self._clock = clock
        self._start = clock()
        self.function = function
        self.point: Point = session.state.model.parameters.astype(np.float64)

    def iteration_ends(self, point: Point) -> None:
        """Take an iteration for an epoch."""
        state = self._state
        seconds = self._clock() - self._start
        loss = self.function.loss(point)
        self._require_finite(loss)
        self.point = point.copy()
        state.model.parameters[...] = point
        self._session.epoch_ends(
            loss=loss,
            accuracy=None,
            samples=self.function.samples,
            seconds=seconds,
            learning_rate=None,
        )
        if state.stopped_because is not None:
            raise _Stopped
        if state.epoch < state.last_epoch and not self._session.epoch_begins():
            raise _Stopped
        self._start = self._clock()

    def ends(self, result: Any) -> None:
        """Take over how SciPy has ended."""
        state = self._state
        self._require_finite(float(result.fun))
        if state.epoch > state.model.epochs_done:
            # The epoch that had begun came to nothing.
            state.epoch -= 1
            text = result.message
            message = text.decode() if isinstance(text, bytes) else str(text)
            state.stop(f"L-BFGS: {message}", converged=result.status == 0)

    def _require_finite(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise DivergenceError(
                f"the loss became {loss} in epoch {self._state.epoch}; the weights are again those "
                "of the iteration before. Train with inputs scaled to about [-1, 1]"
            )

    @contextmanager
    def leaving_the_best_point(self) -> Iterator[None]:
        """See that the model ends at the last iteration's point, not somewhere on a line."""
        try:
            yield
        finally:
            self._state.model.parameters[...] = self.point


def require_smooth(network: Network) -> None:
    """Refuse a network that L-BFGS, which compares losses from step to step, cannot train.

    Raises
    ------
    ValueError
        For the article's rule, dropout, batch normalization, averaging and clipping.
    """
    found = {
        "rule='article'": network.rule == "article",
        "dropout": any(layer.dropout for layer in network.layers),
        "batch normalization": network.n_statistics > 0,
        "averaging": network.averaging > 0,
        "clip_value": network.clip_value is not None,
        "clip_norm": network.clip_norm is not None,
    }
    reasons = [name for name, is_there in found.items() if is_there]
    if reasons:
        raise ValueError(
            "L-BFGS needs a loss that is the same function each time it is evaluated, and steps "
            f"that follow its gradient: it goes with no {', no '.join(reasons)}"
        )


def scipy_minimize() -> Callable[..., Any]:
    """Return SciPy's function.

    Raises
    ------
    ImportError
        If SciPy is not installed.
    """
    try:
        from scipy.optimize import minimize
    except ImportError as error:
        raise ImportError(
            'L-BFGS is SciPy\'s, which is not installed: pip install scipy, or "cnn-core[app]", or '
            "choose another optimizer"
        ) from error
    found: Callable[..., Any] = minimize
    return found
