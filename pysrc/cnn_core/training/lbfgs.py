"""L-BFGS by SciPy, over an engine's gradient.

Byrd, Lu, Nocedal, Zhu, "A limited memory algorithm for bound constrained optimization", 1995.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core.backends.interface import Engine
from cnn_core.network import Network
from cnn_core.training.budget import Clock
from cnn_core.training.callbacks import Callback
from cnn_core.training.divergence import DivergenceError
from cnn_core.training.session import Session, TrainingCheckpoint
from cnn_core.training.state import Recipe, Trainable, TrainingData, TrainingState
from cnn_core.types import FloatArray

Point = npt.NDArray[np.float64]


def minimize(
    model: Trainable,
    data: TrainingData,
    recipe: Recipe,
    *,
    max_evaluations: int = 15_000,
    callbacks: Iterable[Callback] = (),
    owner: Any = None,
    clock: Clock = time.perf_counter,
) -> TrainingState:
    """Minimize a model's loss on all the samples at once.

    An epoch is an iteration of L-BFGS: a line search with one or a few evaluations of the loss and
    its gradient. The search is in float64, the gradient in the model's dtype. Learning rate,
    batches, order and time budget of the recipe are ignored; `Recipe.tol` is the largest derivative
    at which it has converged.

    Parameters
    ----------
    model : Trainable
    data : TrainingData
    recipe : Recipe
    max_evaluations : int
        Largest number of evaluations of the loss.
    callbacks : iterable of Callback
    owner : object, optional
    clock : callable
        Gives the time in seconds.

    Returns
    -------
    TrainingState
        The losses in the records include the term of `Network.l2`; there is no accuracy.
        `stopped_because` says why it ended before its last epoch, also if it has converged.

    Raises
    ------
    ImportError
        If SciPy is missing.
    ValueError
        For dropout and batch normalization, whose loss changes between evaluations, and for
        averaging and clipping, which change the steps.
    DivergenceError
        If the loss is not finite; the weights of the iteration before are restored.
    """
    require_smooth(model.network)
    optimize = scipy_minimize()
    session = Session(
        model, replace(data, are_classes=False), recipe, callbacks=callbacks, owner=owner
    )
    with model.exclusively() as engine, session.running(TrainingCheckpoint()) as state:
        search = _Search(session, _Function(engine, model.parameters, data), clock)
        if session.begin_epoch():
            with suppress(_Stopped), search.leaving_the_best_point():
                result = optimize(
                    search.function,
                    search.point,
                    method="L-BFGS-B",
                    jac=True,
                    callback=search.end_iteration,
                    options={
                        "maxiter": recipe.epochs,
                        "maxfun": max_evaluations,
                        "gtol": recipe.tol,
                    },
                )
                search.finish(result)
    return state


class _Stopped(Exception):  # noqa: N818 (no error: it is how a callback's wish gets out of SciPy)
    """A callback has stopped the training."""


class _Function:
    """The loss and its gradient, in the form that SciPy calls."""

    def __init__(self, engine: Engine, parameters: FloatArray, data: TrainingData) -> None:
        self._engine = engine
        self._parameters = parameters
        self._gradient = np.empty_like(parameters)
        self._data = data
        self.samples = len(data.x)
        self._point: Point | None = None
        self._loss = math.nan

    def __call__(self, point: Point) -> tuple[float, Point]:
        data = self._data
        with np.errstate(over="ignore"):
            self._parameters[...] = point
        self._loss = self._engine.gradient(data.x, data.t, self._gradient, data.weights)
        self._point = point.copy()
        return self._loss, self._gradient.astype(np.float64)

    def loss(self, point: Point) -> float:
        """Return the loss at a point, from a cache if it is the last one."""
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

    def end_iteration(self, point: Point) -> None:
        """Record an iteration as an epoch."""
        state = self._state
        seconds = self._clock() - self._start
        loss = self.function.loss(point)
        self._require_finite(loss)
        self.point = point.copy()
        state.model.parameters[...] = point
        self._session.end_epoch(
            loss=loss,
            accuracy=None,
            samples=self.function.samples,
            seconds=seconds,
            learning_rate=None,
        )
        if state.stopped_because is not None:
            raise _Stopped
        if state.epoch < state.last_epoch and not self._session.begin_epoch():
            raise _Stopped
        self._start = self._clock()

    def finish(self, result: Any) -> None:
        """Record the result of SciPy."""
        state = self._state
        self._require_finite(float(result.fun))
        if state.epoch > state.model.epochs_done:
            # The epoch that had begun is dropped.
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
        """Leave the model at the point of the last iteration, not at one of the line search."""
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
