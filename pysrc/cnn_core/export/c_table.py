"""Write a learner of tables in C: a row as a struct, several networks and their blend."""

from __future__ import annotations

import re
from collections.abc import Sequence
from string import Template
from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core._version import __version__
from cnn_core.export.c_network import CNetwork, Constants
from cnn_core.export.c_runtime import functions_for
from cnn_core.export.c_table_text import (
    ADDENDS,
    ANSWERS,
    BLEND,
    CODE,
    HEAD,
    LAST,
    functions_of_tables,
)
from cnn_core.export.c_text import KEYWORDS, c_text, comment, kept, named, names_of_classes
from cnn_core.export.program import Column, NumberInput, Part, Program, Rows, features_of_columns

Array = npt.NDArray[Any]

_TYPES = {"number": "double", "category": "int", "date": "long long"}
_DTYPES = {"number": np.float64, "category": np.int32, "date": np.int64}


class TableHeader:
    """The text of a header for a learner of tables.

    Attributes
    ----------
    n_bytes : int
        Of all constants.
    n_work : int
        Floats of the work array.
    """

    def __init__(self, program: Program, name: str) -> None:
        self._program, self._name = program, name
        self._fields = _fields(program.columns)
        self._constants = Constants()
        self._networks: list[str] = []
        self._n_x = self._n_values = 0
        self._parts = [self._part(part) for part in program.parts]
        self._levels = [
            self._code_of(column, field)
            for column, field in zip(program.columns, self._fields, strict=True)
            if column.kind == "category"
        ]
        self.n_work = self._n_x + self._n_values
        self.n_bytes = self._constants.n_bytes

    def records(self, columns: Rows) -> Array:
        """Return rows as an array of the struct."""
        assert isinstance(columns, list)
        own = self._program.columns
        kinds = [(field, _DTYPES[one.kind]) for one, field in zip(own, self._fields, strict=True)]
        rows = np.zeros(len(columns[0]), np.dtype(kinds, align=True))
        for column, field, values in zip(own, self._fields, columns, strict=True):
            if column.kind == "category":
                codes = {level: code for code, level in enumerate(column.levels)}
                codes[""] = column.missing_code
                rows[field] = [codes.get(text, -1) for text in values.tolist()]
            elif column.kind == "date":
                # A missing date (NaT) becomes the smallest number, which is `NAME_NO_DATE`.
                rows[field] = values.astype("datetime64[us]").astype(np.int64)
            else:
                rows[field] = values
        return rows

    # The parts

    def _part(self, part: Part) -> str:
        """Return the statements of a part, and define its networks."""
        lines = ["y = x;"]
        for place, scale in enumerate(part.scales):
            if isinstance(scale, int):
                lines.append(f"*y++ = (float)f[{place}];")
            else:
                lines.append(self._number(place, scale))
        width = sum(1 if isinstance(one, int) else _width(one) for one in part.scales)
        self._n_x = max(self._n_x, width)
        for operations in part.networks:
            network = CNetwork(self._constants, width)
            number = len(self._networks)
            scores = network.scores(operations)
            self._networks.append(network.function(f"scores{number}", scores))
            self._n_values = max(self._n_values, sum(network.sizes))
            share = part.share / len(part.networks)
            lines.append(f"NAME_add(NAME_scores{number}(x, rest), {share!r}, total);")
        return "\n    ".join(lines)

    def _number(self, place: int, scale: NumberInput) -> str:
        edges = self._constants.add("edges", scale.edges) if len(scale.edges) else "0"
        return (
            f"y = NAME_number(f[{place}], {scale.centre!r}, {scale.spread!r}, {scale.limit!r}, "
            f"{scale.smallest!r}, {int(scale.marked)}, {edges}, {len(scale.edges)}, y);"
        )

    def _code_of(self, column: Column, field: str) -> str:
        levels = ",\n    ".join(c_text(level) for level in column.levels)
        self._constants.n_bytes += sum(len(level.encode()) + 1 for level in column.levels)
        return Template(CODE).substitute(
            field=field,
            count=len(column.levels),
            levels=levels or '""',
            missing=column.missing_code,
        )

    # The text

    def text(self) -> str:
        """Return the header."""
        program, blend = self._program, self._program.blend
        assert blend is not None
        is_for_classes = program.answer.is_for_classes
        n_outputs = len(program.answer.classes) if program.answer.classes is not None else 1
        classes = names_of_classes(program)
        kind = f"classes{min(n_outputs, 3)}" if is_for_classes else "number"
        last = Template(LAST["classes" if is_for_classes else "number"]).substitute(
            temperature=repr(float(blend.temperature)),
            spread=repr(float(blend.spread)),
            centre=repr(float(blend.centre)),
            unit=repr(float(blend.unit)),
            clip=_clip(blend.least, blend.most),
        )
        body = Template(BLEND).substitute(
            features=self._features(),
            count=len(features_of_columns(program.columns)),
            rest=self._n_x,
            parts="\n    ".join(self._parts),
            last=last,
        )
        addends = Template(ADDENDS[kind]).substitute(least=repr(blend.least_probability))
        has_dates = any(column.kind == "date" for column in program.columns)
        self._constants.used |= {"exp"} if is_for_classes else set()
        parts = [
            self._head(n_outputs),
            *functions_for(self._constants.used),
            *functions_of_tables(has_dates=has_dates, has_classes=n_outputs > 1),
            *self._constants.texts,
            *([] if classes is None else [classes]),
            *self._levels,
            *self._networks,
            addends,
            body,
            *ANSWERS["classes" if is_for_classes else "number"],
            "#endif\n",
        ]
        return named("\n".join(parts), self._name)

    def _head(self, n_outputs: int) -> str:
        fields = "\n".join(
            f"    {_TYPES[column.kind]} {field}; /* {comment(column.name)}{_hint(column, field)} */"
            for column, field in zip(self._program.columns, self._fields, strict=True)
        )
        return Template(HEAD).substitute(
            fields=fields,
            title=comment(self._program.title),
            version=__version__,
            n_outputs=n_outputs,
            n_work=self.n_work,
        )

    def _features(self) -> str:
        lines = []
        found = features_of_columns(self._program.columns)
        for place, (number, part) in enumerate(found):
            value = f"row->{self._fields[number]}"
            if part is not None:
                value = f"NAME_part({value}, '{part[0]}')"
            lines.append(f"f[{place}] = {value};")
        return "\n    ".join(lines)


def _hint(column: Column, field: str) -> str:
    if column.kind == "category":
        return f": NAME_code_{field}(text)"
    return ": microseconds since 1970-01-01" if column.kind == "date" else ""


def _width(scale: NumberInput) -> int:
    return 1 + int(scale.marked) + bool(len(scale.edges))


def _clip(least: float, most: float) -> str:
    """Return the statements that clip a value."""
    lines = []
    if np.isfinite(least):
        lines.append(f"value = value < {float(least)!r} ? {float(least)!r} : value;")
    if np.isfinite(most):
        lines.append(f"value = value > {float(most)!r} ? {float(most)!r} : value;")
    return "\n    ".join(lines) or "(void)0;"


def _fields(columns: Sequence[Column]) -> list[str]:
    """Return distinct C identifiers for columns."""
    fields: list[str] = []
    for number, column in enumerate(columns, start=1):
        name = kept(re.sub(r"\W+", "_", column.name, flags=re.ASCII).strip("_"))
        if not name or not name[0].isalpha() or name in KEYWORDS:
            name = f"column{number}_{name}".rstrip("_")
        own, count = name, 2
        while own in fields:
            own, count = f"{name}_{count}", count + 1
        fields.append(own)
    return fields
