"""scikit-learn's own tests, of its MLP and of any estimator, run on our estimators."""

from __future__ import annotations

import functools
import types
from collections import Counter
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sklearn import neural_network
from sklearn.neural_network.tests import test_mlp as theirs
from sklearn.utils.estimator_checks import check_estimator, parametrize_with_checks

import cnn_core
from cnn_core.estimators.monitor import ADAPTIVE_DIVISOR
from cnn_core.estimators.parameters import rate_of, schedule_of
from cnn_core.schedules import Steps

# Theirs say by their own filters which warnings matter to them.
pytestmark = pytest.mark.filterwarnings("ignore")

# What we do otherwise, on purpose.
OTHERWISE = {
    "test_mlp_partial_fit_after_fit": (
        "partial_fit goes with early_stopping here, where theirs has to refuse"
    ),
    "test_early_stopping_stratified": (
        "the class that is too small is called 1 here, as the user calls it, not 'True'"
    ),
}


class _WithTheirInternals:
    """Names, for what their tests look up inside of an estimator, of what it is here."""

    @property
    def _optimizer(self: Any) -> SimpleNamespace:
        base = rate_of(self) / ADAPTIVE_DIVISOR**self._progress.cuts
        return SimpleNamespace(
            learning_rate=schedule_of(self).rates(base, Steps(0, 1, 1, 1, self.t_))
        )

    @property
    def _no_improvement_count(self: Any) -> int:
        return self._progress.patience.waited

    @_no_improvement_count.setter
    def _no_improvement_count(self, count: int) -> None:
        """Theirs sets it to 0 before the first step, where it is 0."""

    def _loss_grad_lbfgs(
        self: Any, theta: np.ndarray, X: np.ndarray, Y: np.ndarray, *_: Any
    ) -> tuple[float, np.ndarray]:
        """Return loss and gradient at a point, all weights before all biases."""
        layers = self.model_.layers
        flat = [layer.weights for layer in layers] + [layer.bias for layer in layers]
        ends = np.cumsum([array.size for array in flat])[:-1]
        for array, values in zip(flat, np.split(theta, ends), strict=True):
            array[...] = values.reshape(array.shape)
        slope = np.empty_like(self.model_.parameters)
        with self.model_.exclusively() as engine:
            loss = engine.gradient(X, Y.astype(float), slope)
        slopes = self.model_.network.unflatten(slope)
        parts = [layer.weights for layer in slopes] + [layer.bias for layer in slopes]
        return loss, np.concatenate([part.ravel() for part in parts])


class MLPClassifier(_WithTheirInternals, cnn_core.MLPClassifier):
    pass


class MLPRegressor(_WithTheirInternals, cnn_core.MLPRegressor):
    pass


OURS = {
    neural_network.MLPClassifier: MLPClassifier,
    neural_network.MLPRegressor: MLPRegressor,
}


def _with_ours(function: Any) -> Any:
    """Return one of their tests with our classes wherever theirs stand."""
    names = {kind.__name__: ours for kind, ours in OURS.items()}
    test = types.FunctionType(
        function.__code__,
        {**function.__globals__, **names},
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    functools.update_wrapper(test, function)
    del test.__wrapped__
    marks = [_mark_with_ours(mark) for mark in getattr(function, "pytestmark", [])]
    if function.__name__ in OTHERWISE:
        marks.append(pytest.mark.xfail(strict=True, reason=OTHERWISE[function.__name__]).mark)
    test.pytestmark = marks
    return test


def _mark_with_ours(mark: Any) -> Any:
    if mark.name != "parametrize":
        return mark
    names, values = mark.args
    ours = [OURS.get(value, value) if isinstance(value, type) else value for value in values]
    return pytest.mark.parametrize(names, ours).mark


for _name, _function in list(vars(theirs).items()):
    if _name.startswith("test_"):
        globals()[_name] = _with_ours(_function)


@pytest.fixture
def global_random_seed() -> int:
    return 0


def test_all_of_their_tests_were_found() -> None:
    found = [name for name in globals() if name.startswith("test_")]
    assert len(found) > 40
    assert set(OTHERWISE) <= set(found)


@parametrize_with_checks(
    [cnn_core.MLPClassifier(max_iter=100), cnn_core.MLPRegressor(max_iter=100)]
)
def test_checks_of_any_estimator(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["MLPClassifier", "MLPRegressor"])
def test_no_fewer_of_the_checks_apply_than_for_their_own_mlp(kind: str) -> None:
    def names(estimator: Any) -> Counter[str]:
        results = check_estimator(estimator, on_fail=None, on_skip=None)
        return Counter(result["check_name"] for result in results)

    ours = names(getattr(cnn_core, kind)(max_iter=2))
    assert not names(getattr(neural_network, kind)(max_iter=2)) - ours
