"""A change of several parts happens as a whole or not at all, whatever stops it."""

from __future__ import annotations

import pytest

from cnn_core.interrupts import all_or_nothing


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, ValueError, GeneratorExit])
def test_what_was_changed_is_undone_and_the_error_is_raised(error):
    values = {"a": 1, "b": 2}
    before = dict(values)

    def change():
        with all_or_nothing(lambda: values.update(before)):
            values["a"] = 10
            raise error

    with pytest.raises(error):
        change()
    assert values == before


def test_a_change_that_is_whole_stays():
    values = {"a": 1}
    with all_or_nothing(values.clear):
        values["b"] = 2
    assert values == {"a": 1, "b": 2}
