"""Create the inputs of an exported model from a user's rows."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from cnn_core.export.exportable import Exportable
from cnn_core.export.onnx_file import dtype_as_given, onnx_inputs


def onnx_feed(
    model: Exportable, X: Any, input_dtype: str | None = None
) -> dict[str, npt.NDArray[Any]]:
    """Return rows in the form of onnxruntime, for a file of `Exportable.to_onnx`.

    Parameters
    ----------
    model : NN, Model or a fitted estimator
    X : array-like or table
        As for its `predict`.
    input_dtype : str, optional
        As it was passed to `to_onnx`; by default what `to_onnx` takes for such rows.

    Returns
    -------
    dict of str to array
        Keys are the names of the inputs: ``session.run(None, onnx_feed(model, X))``.

    Raises
    ------
    TypeError, ValueError
        For rows that `predict` refuses.
    """
    program = model.as_program()
    asked = input_dtype or dtype_as_given(program, X)
    return onnx_inputs(program, model._rows_to_export(X), asked)
