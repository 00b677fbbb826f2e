"""Converters for skl2onnx, for scikit-learn's pipelines that contain our estimators."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core.export.exportable import Exportable
from cnn_core.export.onnx_file import add_network
from cnn_core.export.onnx_graph import (
    DOUBLE,
    ELEMENT,
    FLOAT,
    INT64,
    STRING,
    UINT8,
    Graph,
    add_answer,
    classes_for_onnx,
    dtype_of,
)
from cnn_core.export.program import Program

_OPTIONS = {"zipmap": [True, False, "columns"], "nocl": [True, False]}


def register_skl2onnx(*estimators: type[Exportable]) -> None:
    """Register our converters with skl2onnx; call it once before a conversion.

    It is for estimators on rows of numbers, as in a pipeline. For a learner of tables use
    ``TabularClassifier.to_onnx``, which includes all preprocessing.

    Parameters
    ----------
    *estimators : type
        Classes, by default all imported ones: `MLPClassifier`, `MLPRegressor` and their subclasses.

    Raises
    ------
    ImportError
        If skl2onnx is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from cnn_core import MLPClassifier
    >>> from cnn_core.export import register_skl2onnx
    >>> register_skl2onnx(MLPClassifier)
    >>> from skl2onnx import to_onnx
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
    >>> settings = {"max_iter": 5, "schedule": "constant", "random_state": 0}
    >>> pipeline = make_pipeline(StandardScaler(), MLPClassifier((8,), **settings))
    >>> model = to_onnx(pipeline.fit(X, [0, 1, 1, 0]), X[:1], options={"zipmap": False})
    >>> [output.name for output in model.graph.output]
    ['label', 'probabilities']
    """
    try:
        from skl2onnx import update_registered_converter
    except ImportError as error:
        raise ImportError(
            f'converting pipelines needs skl2onnx: pip install "skl2onnx" ({error})'
        ) from error
    for kind in estimators or _known(Exportable):  # type: ignore[type-abstract]
        is_classifier = hasattr(kind, "predict_proba")
        update_registered_converter(
            kind,
            f"CnnCore{kind.__name__}",
            _shapes,
            _convert,
            options=_OPTIONS if is_classifier else None,
        )


def _known(kind: type[Exportable]) -> list[type[Exportable]]:
    """Return the subclasses of a class that are scikit-learn estimators."""
    found = []
    for one in kind.__subclasses__():
        found += [one, *_known(one)] if hasattr(one, "get_params") else _known(one)
    return found


def _program(operator: Any) -> Program:
    program: Program = operator.raw_operator.as_program()
    program.require_one_network("skl2onnx")
    return program


def _shapes(operator: Any) -> None:
    """Set the output types of an estimator."""
    from skl2onnx.common import data_types

    program = _program(operator)
    n_rows = operator.inputs[0].get_first_dimension()
    double = dtype_of(program) == np.float64
    numbers = data_types.DoubleTensorType if double else data_types.FloatTensorType
    answer = program.answer
    if answer.classes is None:
        operator.outputs[0].type = numbers([n_rows, program.n_outputs])
        return
    width = len(answer.classes)
    several = answer.kind == "multilabel"
    whole = several or classes_for_onnx(answer).dtype == np.int64
    label = data_types.Int64TensorType if whole else data_types.StringTensorType
    operator.outputs[0].type = label([n_rows, width] if several else [n_rows])
    operator.outputs[1].type = numbers([n_rows, width])


def _convert(scope: Any, operator: Any, container: Any) -> None:
    """Add the nodes of an estimator."""
    program = _program(operator)
    graph = _ContainerGraph(scope, container)
    names = [variable.full_name for variable in operator.inputs]
    if len(names) > 1:
        floats = [graph.cast(name, FLOAT) for name in names]
        rows, element = graph.node("Concat", *floats, axis=1), FLOAT
    else:
        rows, element = names[0], _element(operator.inputs[0].type)
    values, own = add_network(graph, program, rows, element)
    dtype = np.dtype(np.float64 if own == DOUBLE else np.float32)
    add_answer(
        graph, program.answer, values, dtype, [variable.full_name for variable in operator.outputs]
    )


def _element(kind: Any) -> int:
    """Return the element type of a variable of skl2onnx; types other than floats are cast."""
    name = type(kind).__name__
    return {"FloatTensorType": FLOAT, "DoubleTensorType": DOUBLE, "UInt8TensorType": UINT8}.get(
        name, INT64
    )


class _ContainerGraph(Graph):
    """Adds nodes and constants to a container of skl2onnx."""

    def __init__(self, scope: Any, container: Any) -> None:
        self._scope = scope
        self._container = container

    def constant(self, values: Any, dtype: Any = None) -> str:
        array: npt.NDArray[Any] = np.asarray(values, dtype)
        name: str = self._scope.get_unique_variable_name("constant")
        if array.dtype == object:
            content, element = [one.encode() for one in array.tolist()], STRING
        else:
            content, element = array.ravel().tolist(), ELEMENT[array.dtype.name]
        self._container.add_initializer(name, element, list(array.shape), content)
        return name

    def node(self, kind: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        name: str = output or self._scope.get_unique_variable_name("value")
        self._container.add_node(
            kind,
            list(inputs),
            [name],
            op_version=_SINCE.get(kind, 13),
            name=self._scope.get_unique_operator_name(kind),
            **attributes,
        )
        return name


# The opset since which an operator has the form used here, if it is not 13.
_SINCE = {"Conv": 11, "MaxPool": 12, "AveragePool": 11}
