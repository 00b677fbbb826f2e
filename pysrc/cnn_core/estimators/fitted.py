"""The common part of fitted estimators: predictions, scores, weights."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from cnn_core.backends.interface import Predictor
from cnn_core.containers import column_names
from cnn_core.displays import Plots
from cnn_core.estimators import saving, sklearn_models, summary
from cnn_core.estimators.compat import NotFittedError
from cnn_core.estimators.described import DescribedMLP
from cnn_core.estimators.parameters import name_of
from cnn_core.estimators.plain_state import plain_state, with_objects
from cnn_core.estimators.progress import FitProgress, FittedValue
from cnn_core.estimators.samples import Table, as_samples, as_table, names_of, require_features
from cnn_core.estimators.task import Task
from cnn_core.estimators.views import LayerList, biases_of, set_biases, set_weights, weights_of
from cnn_core.estimators.weights import as_weights
from cnn_core.export.exportable import program_of
from cnn_core.export.program import Program, Rows, as_answer
from cnn_core.input_gradients import Differentiable
from cnn_core.model import Model
from cnn_core.network import FloatArray
from cnn_core.outputs import Keep
from cnn_core.sparse import Samples, is_sparse
from cnn_core.validation import whole

Fitted = TypeVar("Fitted", bound="FittedMLP")


class FittedMLP(DescribedMLP, Differentiable, Plots):
    """A fitted estimator: everything except for fitting."""

    model_: Model
    n_features_in_: int
    feature_names_in_: npt.NDArray[np.object_]
    n_outputs_: int
    n_layers_: int
    out_activation_: str
    _task: Task
    _progress: FitProgress

    loss_ = FittedValue()
    best_loss_ = FittedValue(may_be_none=True)
    loss_curve_ = FittedValue()
    validation_loss_curve_ = FittedValue(may_be_none=True)
    validation_scores_ = FittedValue(may_be_none=True)
    best_validation_score_ = FittedValue(may_be_none=True)
    evals_result_ = FittedValue()
    n_iter_ = FittedValue()
    t_ = FittedValue()
    stopped_because_ = FittedValue(may_be_none=True)

    def _become(self, model: Model, task: Task) -> None:
        """Set model, task and the attributes that follow from them."""
        network = model.network
        if (task.n_outputs, task.activation, task.loss) != (
            network.n_outputs,
            network.layers[-1].activation,
            network.loss,
        ):
            raise ValueError("a task and a network that do not go together")
        self.model_ = model
        self._task = task
        self.n_features_in_ = network.n_inputs
        self.n_outputs_ = network.n_outputs
        self.n_layers_ = len(network.layers) + 1
        self.out_activation_ = name_of(network.layers[-1].activation)

    def __sklearn_is_fitted__(self) -> bool:
        """Tell whether the estimator is fitted."""
        return "model_" in vars(self)

    def _require_fitted(self) -> None:
        if not self.__sklearn_is_fitted__():
            raise NotFittedError(
                f"This {type(self).__name__} instance is not fitted yet: call fit with samples and "
                "what is to be learned from them first"
            )

    def _table_of(
        self, X: Any, name: str = "X", known: tuple[int, ...] | None = None
    ) -> tuple[Table, tuple[int, ...]]:
        """Return samples as rows of features, and the shape of one of them.

        Parameters
        ----------
        X : array-like, data frame or sparse matrix
        name : str
            Name of the argument, for errors.
        known : tuple of int, optional
            The shape of a sample, if known.
        """
        table = as_table(X, type(self).__name__, name)
        return table, table.shape[1:]

    @property
    def _sample_shape(self) -> tuple[int, ...]:
        """The shape of a sample in `fit`."""
        return (self.n_features_in_,)

    def _require_features(self, table: Table, names: npt.NDArray[np.object_] | None) -> None:
        require_features(
            table.shape[1],
            names,
            self.n_features_in_,
            getattr(self, "feature_names_in_", None),
            type(self).__name__,
        )

    def _outputs(self, X: Any, keep: Keep | None = None) -> npt.NDArray[Any]:
        """Return the outputs for the user's samples, optionally reduced by `keep`."""
        self._require_fitted()
        name = type(self).__name__
        table, _ = self._table_of(X, known=self._sample_shape)
        self._require_features(table, names_of(X))
        samples = as_samples(table, self.model_.dtype, name, columns=column_names(X))
        return self._predicted(samples, keep)

    def _predicted(self, samples: Samples, keep: Keep | None) -> npt.NDArray[Any]:
        """Return the outputs of the network for checked samples, optionally reduced by `keep`."""
        return self.model_.predict(samples, keep=keep)

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """Return the predictions for samples.

        Parameters
        ----------
        X : array-like, data frame or sparse matrix, (n, n_features)

        Returns
        -------
        array
            Classes or numbers, one for each sample (n,), or several (n, n_outputs).

        Raises
        ------
        NotFittedError
            Before the first `fit`.
        TypeError, ValueError
            For other features than those of `fit`, and for values that are not finite numbers.
        """
        self._require_fitted()
        return self._outputs(X, self._task.decode)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the score of the predictions for samples: accuracy, or R2 for a regressor.

        Parameters
        ----------
        X : array-like, data frame or sparse matrix, (n, n_features)
        y : array-like, (n,) or (n, n_outputs)
            The true values. A multilabel prediction must be right in all labels.
        sample_weight : array-like, (n,), optional

        Returns
        -------
        float
            At most 1.

        Raises
        ------
        NotFittedError, TypeError, ValueError
            As for `predict`, and for `y` of another kind than in `fit`.
        """
        self._require_fitted()
        predicted = self._outputs(X, self._task.to_score)
        weights = as_weights(sample_weight, len(predicted), self.model_.dtype)
        wanted = self._task.read(y, len(predicted), type(self).__name__, "y", to_score=True)
        return self._task.score(wanted, predicted, weights)

    def predictor(self, rows: int = 1) -> Predictor:
        """Return a callable that predicts `rows` samples at a time, with preallocated buffers.

        It takes a C-contiguous array of the model's dtype or of bytes, (rows, n_features), or
        (n_features,) for one row. It returns the outputs of the network, (rows, n_outputs), which
        the next call overwrites. For a classifier they are the probabilities of the classes; for
        two classes only that of the second. Nothing is converted, and values are not checked to be
        finite. It is for one thread at a time, and for the current model: after another `fit` make
        a new one.

        Parameters
        ----------
        rows : int
            At least 1.

        Returns
        -------
        cnn_core.contracts.Predictor

        Raises
        ------
        NotFittedError
            Before the first `fit`.
        TypeError, ValueError
            If `rows` is not a whole number of at least 1.
        """
        self._require_fitted()
        return self.model_.predictor(whole("rows", rows, 1))

    def summary(self) -> str:
        """Return a small table of the layers, their activations and numbers of parameters.

        Raises
        ------
        NotFittedError
            Before the first `fit`, when inputs and outputs are not known.
        """
        self._require_fitted()
        return summary.of_network(self.model_.network)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted estimator to a file that `cnn_core.load` reads.

        It holds numbers and text, nothing that could run. Parameters that are objects are not
        saved: a `scoring` function, `callbacks`, and a generator as `random_state` are None after
        loading.

        Parameters
        ----------
        path : path-like

        Raises
        ------
        NotFittedError
            Before the first `fit`.
        OSError
            If the file cannot be written; an existing file is then unchanged.
        """
        self._require_fitted()
        saving.write(path, self)

    # Exports

    @classmethod
    def from_sklearn(cls: type[Fitted], model: Any) -> Fitted:
        """Return a fitted estimator with the predictions of a fitted one of scikit-learn.

        Parameters
        ----------
        model : sklearn.neural_network.MLPClassifier or MLPRegressor
            Fitted, with the same name as this class. Its parameters, weights and curves are copied.
            A fit with `warm_start`, and `partial_fit`, continue from its weights.

        Raises
        ------
        ImportError
            If scikit-learn is not installed.
        TypeError
            For anything else.
        NotFittedError
            If it is not fitted.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn import neural_network
        >>> from cnn_core import MLPRegressor
        >>> theirs = neural_network.MLPRegressor(hidden_layer_sizes=4, solver="lbfgs")
        >>> theirs = theirs.fit([[0.0], [1.0]], [1.0, 3.0])
        >>> ours = MLPRegressor.from_sklearn(theirs)
        >>> np.allclose(ours.predict([[0.5]]), theirs.predict([[0.5]]))
        True
        """
        return sklearn_models.estimator_of(cls, model)

    def to_sklearn(self) -> Any:
        """Return scikit-learn's MLP of the same name with the same predictions.

        Running averages and `input_scale` are folded into its weights. Parameters that scikit-learn
        does not have are left out, and other solvers become "adam".

        Raises
        ------
        NotFittedError
            Before the first `fit`.
        ImportError
            If scikit-learn is not installed.
        ValueError
            For layers that scikit-learn does not have, such as other activations.
        """
        self._require_fitted()
        return sklearn_models.their_model_of(self)

    def as_program(self) -> Program:
        """Return the fitted model as a `cnn_core.export.program.Program` for the exports.

        Raises
        ------
        NotFittedError
            Before the first `fit`.
        """
        self._require_fitted()
        network = self.model_.network
        sizes = [network.n_inputs, *(layer.fan_out for layer in network.layers)]
        title = f"{type(self).__name__} {'-'.join(map(str, sizes))}"
        return program_of(self.model_, title, self._task.answer)

    def _rows_to_export(self, X: Any) -> Rows:
        self._require_fitted()
        name = type(self).__name__
        table, _ = self._table_of(X.toarray() if is_sparse(X) else X, known=self._sample_shape)
        self._require_features(table, names_of(X))
        samples = as_samples(table, self.model_.dtype, name, columns=column_names(X))
        return np.asarray(samples)

    def _values_of_rows(self, rows: Rows) -> npt.NDArray[Any]:
        assert isinstance(rows, np.ndarray)
        return as_answer(self._task.answer, self._predicted(rows, None))

    # Weights

    @property
    def coefs_(self) -> list[FloatArray]:
        """Weights of each layer, (fan_in, fan_out): views, so writing changes the network.

        With `input_scale` or batch normalization they are copies that include these.
        """
        return self._layer_arrays("coefs_", weights_of)

    @coefs_.setter
    def coefs_(self, values: Any) -> None:
        self._set_layer_arrays("coefs_", values, set_weights)

    @property
    def intercepts_(self) -> list[FloatArray]:
        """Biases of each layer, (fan_out,): views or copies likewise."""
        return self._layer_arrays("intercepts_", biases_of)

    @intercepts_.setter
    def intercepts_(self, values: Any) -> None:
        self._set_layer_arrays("intercepts_", values, set_biases)

    def _layer_arrays(self, name: str, arrays_of: Callable[[Model], LayerList]) -> list[FloatArray]:
        if self.__sklearn_is_fitted__():
            return arrays_of(self.model_)
        given = vars(self).get(f"_given_{name}")
        if given is None:
            raise AttributeError(f"{type(self).__name__} has {name} once it is fitted")
        found: list[FloatArray] = given
        return found

    def _set_layer_arrays(
        self, name: str, values: Any, set_arrays: Callable[[Model, Any, str], None]
    ) -> None:
        """Write into the model; before the first fit keep the values for it."""
        if self.__sklearn_is_fitted__():
            set_arrays(self.model_, values, name)
        else:
            vars(self)[f"_given_{name}"] = list(values)

    def __getstate__(self) -> dict[str, Any]:
        return plain_state(vars(self))

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(with_objects(state))

    # Methods for scikit-learn

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn what the estimator can take."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
