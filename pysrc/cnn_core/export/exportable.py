"""`Exportable`: methods that write a fitted model for other programs."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from typing import Any

import numpy.typing as npt

from cnn_core.bound_network import BoundNetwork
from cnn_core.export.operations import operations_of
from cnn_core.export.program import Answer, Part, Program, Rows
from cnn_core.export.selftest import TOLERANCE, Agreement, Reference, reference_of, tolerance_of
from cnn_core.validation import flag, require_known


class Exportable(ABC):
    """A fitted model that can be written for other programs.

    Before a file is written, its predictions for the user's rows are compared with those of the
    model. If they differ, nothing is written.
    """

    __slots__ = ()

    @abstractmethod
    def as_program(self) -> Program:
        """Return the model as a `cnn_core.export.program.Program`."""

    @abstractmethod
    def _rows_to_export(self, X: Any) -> Rows:
        """Return a user's rows in the form of a program."""

    @abstractmethod
    def _values_of_rows(self, rows: Rows) -> npt.NDArray[Any]:
        """Return probabilities, (n, n_classes), or outputs, (n, k), for such rows."""

    def to_onnx(
        self,
        path: str | os.PathLike[str],
        X: Any = None,
        *,
        tolerance: float = TOLERANCE,
        input_dtype: str | None = None,
    ) -> Agreement:
        """Write the model to an ONNX file, after a comparison with onnxruntime.

        The input is ``X``, (n, n_features). For a learner of tables each column is an input, (n,
        1), with its name: numbers in float64 (NaN if missing), categories as text (empty if
        missing), dates as microseconds since 1970 in int64. `cnn_core.export.onnx_feed` creates
        them from a table. The outputs have skl2onnx's names: ``label`` and ``probabilities`` for
        classes, ``variable`` for numbers; ``outputs`` for an `NN` and a `Model`.

        Parameters
        ----------
        path : path-like
        X : array-like or table, optional
            Rows on which both are compared, at most the first 1,000; by default generated ones.
        tolerance : float
            Largest difference of an output, relative to the larger of 1 and its largest value over
            all rows.
        input_dtype : {"float32", "float64", "uint8"}, optional
            Of the input. By default that of the model, and uint8 where `X` is of bytes. Of no
            meaning for tables.

        Returns
        -------
        cnn_core.export.Agreement
            How well both agree; it prints as a line of text.

        Raises
        ------
        ImportError
            If onnx or onnxruntime is not installed: ``pip install "cnn-core[onnx]"``.
        cnn_core.export.ExportError
            If they do not agree. It is a ``ValueError``; no file is written.
        TypeError, ValueError
            For rows that `predict` refuses as well.
        OSError
            If the file cannot be written.
        """
        from cnn_core.export.onnx_file import dtype_as_given, write_onnx

        if input_dtype is not None:
            require_known("input_dtype", input_dtype, ("float32", "float64", "uint8"))
        program, reference = self._compared_on(X)
        return write_onnx(
            program,
            path,
            reference,
            tolerance=tolerance_of(tolerance),
            input_dtype=input_dtype or dtype_as_given(program, X),
        )

    def to_c(
        self,
        path: str | os.PathLike[str],
        X: Any = None,
        *,
        int8: bool = False,
        name: str | None = None,
        tolerance: float = TOLERANCE,
        compiler: str | None = None,
    ) -> Agreement:
        """Write the model to a C99 header, after a comparison of its outputs.

        The header needs no library, allocates nothing and computes in float32, for microcontrollers
        and any C compiler. It has ``NAME_predict``, for classes also ``NAME_probabilities`` and
        ``NAME_classes``, and ``NAME_WORK``, the floats of the work array that the caller passes.
        For the comparison it is compiled with ``-Wall -Wextra -Werror`` and run. Without a C
        compiler NumPy computes the same in float32.

        For a learner of tables the input is a struct, ``NAME_row``, with a field for each column:
        numbers, ``NAME_MISSING`` (in capitals) if missing; the code of a category, which
        ``NAME_code_COLUMN`` returns for a text; dates in microseconds.

        Parameters
        ----------
        path : path-like
        X : array-like or table, optional
            Rows on which both are compared, at most the first 1,000; by default generated ones.
        int8 : bool
            Whether to store the weights in 8 bits, with a scale for each unit: a quarter of the
            flash. The returned agreement reports the loss of accuracy; no tolerance is applied to
            it.
        name : str, optional
            Prefix of the names in the header; by default the file name.
        tolerance : float
            As for `to_onnx`.
        compiler : str, optional
            The command of a C compiler; by default ``CC``, cc, gcc or clang, if found.

        Returns
        -------
        cnn_core.export.Agreement
            How well both agree, and the bytes of flash and RAM.

        Raises
        ------
        cnn_core.export.ExportError
            If they do not agree. It is a ``ValueError``; no file is written.
        TypeError
            For a learner of tables with `int8`.
        TypeError, ValueError
            For rows that `predict` refuses, and for a `name` that is not valid in C.
        OSError
            If the file cannot be written, or the compiler does not exist; for a learner of tables
            also if there is no compiler.
        """
        from cnn_core.export.c_header import write_c

        program, reference = self._compared_on(X)
        return write_c(
            program,
            path,
            reference,
            tolerance=tolerance_of(tolerance),
            int8=flag("int8", int8),
            name=name,
            compiler=compiler,
        )

    def to_python(
        self, path: str | os.PathLike[str], X: Any = None, *, tolerance: float = TOLERANCE
    ) -> Agreement:
        """Write the model to a Python file that needs only the standard library.

        The file has ``predict(row)``, and for classes ``predict_proba(row)`` and ``CLASSES``. A row
        is a list of numbers; for a learner of tables a dict of columns, or a list in the order of
        ``COLUMNS``. It runs on Python 3.8 and later, faster with PyPy.

        Parameters
        ----------
        path : path-like
        X : array-like or table, optional
            Rows on which both are compared, at most the first 1,000; by default generated ones.
        tolerance : float
            As for `to_onnx`.

        Returns
        -------
        cnn_core.export.Agreement

        Raises
        ------
        cnn_core.export.ExportError
            If they do not agree. It is a ``ValueError``; no file is written.
        TypeError, ValueError
            For rows that `predict` refuses as well.
        OSError
            If the file cannot be written.
        """
        from cnn_core.export.python_file import write_python

        program, reference = self._compared_on(X)
        return write_python(program, path, reference, tolerance=tolerance_of(tolerance))

    def to_safetensors(
        self, path: str | os.PathLike[str], X: Any = None, *, tolerance: float = TOLERANCE
    ) -> Agreement:
        """Write the weights as a state dict for PyTorch, after a comparison.

        Two lines load it in PyTorch with safetensors. They are in the returned agreement and in the
        metadata ``"torch"`` of the file::

            net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), ...)
            net.load_state_dict(safetensors.torch.load_file("model.safetensors"), strict=True)

        Running averages and `input_scale` are folded into the weights. Networks for images take
        PyTorch's layout, (n, channels, height, width).

        Parameters
        ----------
        path : path-like
        X : array-like, optional
            Rows on which both are compared, at most the first 1,000; by default generated ones.
        tolerance : float
            As for `to_onnx`.

        Returns
        -------
        cnn_core.export.Agreement

        Raises
        ------
        cnn_core.export.ExportError
            If they do not agree. It is a ``ValueError``; no file is written.
        TypeError
            For learners of tables, and for layers without a PyTorch module.
        ValueError
            For rows that `predict` refuses as well.
        OSError
            If the file cannot be written.

        See Also
        --------
        save : writes a file that `cnn_core.load` reads.
        """
        from cnn_core.export.state_dict import write_state_dict

        program, reference = self._compared_on(X)
        return write_state_dict(program, path, reference, tolerance=tolerance_of(tolerance))

    def _compared_on(self, X: Any) -> tuple[Program, Reference]:
        """Return the program, and the model's predictions for the rows to compare."""
        program = self.as_program()
        rows = None if X is None else self._rows_to_export(X)
        return program, reference_of(program, rows, self._values_of_rows)


def program_of(model: BoundNetwork, title: str, answer: Answer) -> Program:
    """Return the program of a model for rows of numbers.

    Raises
    ------
    TypeError, ValueError
        For a network that cannot be exported.
    """
    network = model.network
    return Program(
        title,
        model.dtype,
        network.n_inputs,
        network.n_outputs,
        (Part((operations_of(model),)),),
        answer,
        input_scale=network.input_scale,
    )
