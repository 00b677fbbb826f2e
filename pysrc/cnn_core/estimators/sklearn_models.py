"""Convert scikit-learn's MLPs to our estimators, and back.

Both have the same weights; the settings that only one of them has do not affect predictions.
"""

from __future__ import annotations

import copy
import math
from typing import Any, TypeVar

import numpy as np

from cnn_core.estimators.labels import Classification
from cnn_core.estimators.parameters import network_of
from cnn_core.estimators.progress import FitProgress
from cnn_core.estimators.views import set_biases, set_weights
from cnn_core.model import Model
from cnn_core.validation import shown

Estimator = TypeVar("Estimator")

# The activations of hidden layers, and the solvers, that scikit-learn has.
_ACTIVATIONS = ("identity", "logistic", "tanh", "relu")
_SOLVERS = ("lbfgs", "sgd", "adam")


def estimator_of(kind: type[Estimator], theirs: Any) -> Estimator:
    """Return an estimator with the predictions of a fitted one of scikit-learn.

    Parameters
    ----------
    kind : type
        `MLPClassifier` or `MLPRegressor`.
    theirs : sklearn.neural_network.MLPClassifier or MLPRegressor

    Raises
    ------
    ImportError
        If scikit-learn is not installed.
    TypeError
        For anything else.
    NotFittedError
        If it is not fitted.
    """
    from sklearn.utils.validation import check_is_fitted

    expected = _their_class(kind)
    if not isinstance(theirs, expected):
        raise TypeError(
            f"model: expected scikit-learn's {expected.__name__}, found {shown(theirs)}"
        )
    check_is_fitted(theirs, "coefs_")
    known = kind().get_params()  # type: ignore[attr-defined]
    parameters = {name: value for name, value in theirs.get_params().items() if name in known}
    estimator: Any = kind(**parameters)
    task = _task_of(estimator, theirs)
    network = network_of(estimator, theirs.n_features_in_, task)
    model = Model(network, dtype=theirs.coefs_[0].dtype)
    set_weights(model, theirs.coefs_, "coefs_")
    set_biases(model, theirs.intercepts_, "intercepts_")
    model.samples_done = int(theirs.t_)
    estimator._become(model, task)
    estimator._progress = _progress_of(theirs)
    if hasattr(theirs, "feature_names_in_"):
        estimator.feature_names_in_ = theirs.feature_names_in_.copy()
    return estimator  # type: ignore[no-any-return]


def _their_class(kind: type[Any]) -> type[Any]:
    from sklearn import neural_network

    found: type[Any] | None = getattr(neural_network, kind._saved_as, None)
    if found is None:
        raise TypeError(f"expected an MLP, found {kind.__name__}, which scikit-learn does not have")
    return found


def _task_of(estimator: Any, theirs: Any) -> Any:
    if estimator._kind == "regressor":
        return estimator._regression(theirs.n_outputs_ if theirs.n_outputs_ > 1 else None)
    if theirs._label_binarizer.y_type_ == "multilabel-indicator":
        task = Classification(np.arange(theirs.n_outputs_), "multilabel")
    else:
        task = Classification.of_classes(theirs.classes_)
    return estimator._with_settings(task)


def _progress_of(theirs: Any) -> FitProgress:
    loss = float(theirs.loss_)
    return FitProgress(
        n_iter=int(theirs.n_iter_),
        t=int(theirs.t_),
        loss=loss,
        best_loss=getattr(theirs, "best_loss_", loss),
        best_validation_score=getattr(theirs, "best_validation_score_", None),
        loss_curve=[float(value) for value in getattr(theirs, "loss_curve_", [loss])],
    )


def their_model_of(estimator: Any) -> Any:
    """Return scikit-learn's estimator with the predictions of a fitted one of ours.

    Raises
    ------
    ImportError
        If scikit-learn is not installed.
    TypeError
        For networks of images.
    ValueError
        For layers that scikit-learn does not have: another activation, different activations, layer
        normalization, another activation of a regressor's last layer.
    """
    from sklearn.utils import check_random_state

    kind = _their_class(type(estimator))
    parameters = {**_their_parameters(estimator, kind), "activation": _activation_of(estimator)}
    theirs = kind(**parameters)
    theirs.coefs_ = [np.array(weights) for weights in estimator.coefs_]
    theirs.intercepts_ = [np.array(bias) for bias in estimator.intercepts_]
    for name in ("n_features_in_", "n_layers_", "n_outputs_", "out_activation_"):
        setattr(theirs, name, getattr(estimator, name))
    if hasattr(estimator, "feature_names_in_"):
        theirs.feature_names_in_ = estimator.feature_names_in_.copy()
    for name in ("n_iter_", "t_", "loss_", "best_loss_", "best_validation_score_"):
        setattr(theirs, name, getattr(estimator, name, None))
    theirs.loss_curve_ = list(estimator.loss_curve_)
    scores = estimator.validation_scores_
    theirs.validation_scores_ = None if scores is None else list(scores)
    # State for a further fit.
    theirs._best_coefs = [array.copy() for array in theirs.coefs_]
    theirs._best_intercepts = [array.copy() for array in theirs.intercepts_]
    theirs._no_improvement_count = 0
    theirs._random_state = check_random_state(parameters["random_state"])
    if theirs.best_loss_ is None and not theirs.early_stopping:
        theirs.best_loss_ = math.inf
    if estimator._kind == "classifier":
        theirs._label_binarizer = _label_binarizer(estimator)
        theirs.classes_ = theirs._label_binarizer.classes_
    return theirs


def _their_parameters(estimator: Any, kind: type[Any]) -> dict[str, Any]:
    known = kind().get_params()
    parameters = {name: value for name, value in estimator.get_params().items() if name in known}
    if isinstance(seed := parameters["random_state"], np.random.Generator):
        # scikit-learn takes no Generator; draw a seed from a copy.
        parameters["random_state"] = int(copy.deepcopy(seed).integers(2**32))
    if not isinstance(estimator.solver, str) or estimator.solver not in _SOLVERS:
        parameters["solver"] = "adam"
    if "loss" in known:
        parameters["loss"] = "poisson" if estimator.out_activation_ == "exp" else "squared_error"
    elif estimator._kind == "regressor":
        parameters.pop("loss", None)
    last, poisson = estimator.out_activation_, parameters.get("loss") == "poisson"
    if estimator._kind == "regressor" and last != "identity" and not poisson:
        raise ValueError(
            "out_activation: expected the identity, or the exponential of loss='poisson', which "
            f"are all that scikit-learn has, found {last!r}"
        )
    return parameters


def _activation_of(estimator: Any) -> str:
    network = estimator.model_.network
    hidden = {layer.activation for layer in network.layers[:-1]}
    names = {"logistic" if name == "sigmoid" else name for name in hidden} or {"identity"}
    if len(names) > 1 or not names <= set(_ACTIVATIONS):
        raise ValueError(
            f"activation: expected one of {', '.join(_ACTIVATIONS)} for all hidden layers, which "
            f"are all that scikit-learn has, found {', '.join(sorted(names))}"
        )
    if any(layer.normalization == "layer" for layer in network.layers):
        raise ValueError("normalization: scikit-learn has no 'layer', and no weights express it")
    return names.pop()


def _label_binarizer(estimator: Any) -> Any:
    from sklearn.preprocessing import LabelBinarizer

    classes = estimator.classes_
    if estimator._task.kind == "multilabel":
        return LabelBinarizer().fit(np.eye(max(2, len(classes)), len(classes), dtype=int))
    return LabelBinarizer().fit(classes)
