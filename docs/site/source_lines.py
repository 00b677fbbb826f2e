"""Links to functions in the sources: ``blob/main/<file>#<name>`` becomes ``#L<line>``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

_LINK = re.compile(r"(https://github\.com/cnn-core/cnn-core/blob/main/)([^)#\s]+)#([A-Za-z_]\w*)")


def with_lines(text: str, tree: Path) -> str:
    """Return a page whose links to functions lead to their lines.

    Raises
    ------
    ValueError
        If a file has no such function.
    """

    def at_line(found: re.Match[str]) -> str:
        line = line_of((tree / found[2]).read_text(encoding="utf-8").splitlines(), found[3])
        if line is None:
            raise ValueError(f"{found[2]}: no function {found[3]}")
        return f"{found[1]}{found[2]}#L{line}"

    return _LINK.sub(at_line, text)


def line_of(source: Sequence[str], name: str) -> int | None:
    """Return the number of the line, from 1, on which a function of Python or Cython begins."""
    begins = re.compile(rf"\s*(?:def|cdef|cpdef)\b[^=#]*\b{re.escape(name)}\(")
    return next((n for n, line in enumerate(source, 1) if begins.match(line)), None)
