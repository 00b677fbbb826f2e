"""The mutants that no test could notice: see `make mutants`."""

from __future__ import annotations

from mutants import equivalent_mutants


def test_what_is_called_an_equivalent_mutant_changes_a_line_of_the_sources(source_tree):
    for file, text, columns in equivalent_mutants():
        lines = (source_tree / "cnn_core" / file).read_text(encoding="utf-8").splitlines()
        assert text in map(str.strip, lines), f"{file} has no such line any more: {text}"
        assert columns
