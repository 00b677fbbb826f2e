"""Learners of tables in C: a struct of the columns, and what all networks say together."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import small_tables as tables
from cnn_core.export import c_compiled, c_header, c_table
from cnn_core.export.selftest import ExportError

N = 60
TABLE, PRICES = tables.houses(N)
DEAR = np.where(np.median(PRICES) < PRICES, "dear", "cheap")
QUICK = {"max_steps": 20, "n_members": 2, "hidden_layer_sizes": (8,)}
# A compiler and an emulator for 32 bits, where C has other sizes.
ARM = ("arm-linux-gnueabihf-gcc", "-static")


def with_missing(table: dict[str, Any]) -> dict[str, Any]:
    """Return a table with a cell of each kind that is missing, and a level that is not known."""
    found = {name: np.array(column, object) for name, column in table.items()}
    built = table["built"].copy()
    built[1] = np.datetime64("NaT")
    found["size"][0] = np.nan
    found["kind"][[2, 3]] = None, "castle"
    return {**found, "size": found["size"].astype(float), "built": built}


@pytest.mark.parametrize("quality", ["fast", pytest.param("best", marks=pytest.mark.slow)])
def test_numbers_and_classes_of_columns_of_every_kind(tmp_path: Path, quality: str) -> None:
    rows = with_missing(TABLE)
    thirds = np.array(["low", "middle", "NAME"])[np.searchsorted([60, 120], PRICES)]
    for y in (PRICES, DEAR, [7] * N) if quality == "fast" else (thirds,):
        make = tables.regressor if y is PRICES else tables.classifier
        model = make(quality=quality, **QUICK).fit(rows, y)
        found = model.to_c(tmp_path / "house.h", rows)
        assert found.difference <= 1e-5
        assert found.same_labels in (None, 1)
        assert "the header, compiled by" in found.computed_by
        assert "house_row row" in str(found)


def test_dates_before_1970_and_with_hours(tmp_path: Path) -> None:
    hours = np.random.default_rng(0).integers(-900_000, 900_000, N)
    dates = np.datetime64("1970-01-01T00", "us") + hours.astype("timedelta64[h]")
    leap = np.array(["1900-02-28", "2000-02-29", "1969-12-31T23", "2024-12-31"], "datetime64[us]")
    dates[: len(leap)] = leap
    model = tables.regressor(**QUICK).fit({"when": dates}, hours % 24)
    assert model.to_c(tmp_path / "m.h", {"when": dates}).difference <= 1e-5


def test_names_and_levels_are_kept_whatever_they_are(tmp_path: Path) -> None:
    levels = ['a*/"', "NAME_b", "MACRO", "ü\\x\n"]
    names = ["int", "a b", "a-b", "2nd ??/ */", "NAME", "größe"]
    rng = np.random.default_rng(0)
    table: dict[str, Any] = {name: rng.normal(size=N) for name in names}
    table["FIELD $count"] = np.array(levels, object)[np.arange(N) % 4]
    model = tables.classifier(**QUICK).fit(table, table["FIELD $count"])
    text = tmp_path / "m.h"
    assert model.to_c(text, table).same_labels == 1
    source = tmp_path / "main.c"
    source.write_text(
        '#include <stdio.h>\n#include "m.h"\nint main(void) {\n'
        '    const char *texts[] = {"NAME_b", "MACRO", "", "castle"};\n    int i;\n'
        "    for (i = 0; i < 4; i++)\n"
        '        printf("%d ", m_code_FIELD_count(texts[i]));\n'
        '    printf("%s", m_classes[m_code_FIELD_count("NAME_b")]);\n    return 0;\n}\n'
    )
    compiler = c_compiled.compiler_named(None)
    assert compiler is not None
    subprocess.run([*compiler, *c_compiled.FLAGS, source, "-o", tmp_path / "main"], check=True)
    said = subprocess.run([tmp_path / "main"], capture_output=True, text=True, check=True).stdout
    order = sorted(levels)
    assert said == f"{order.index('NAME_b')} {order.index('MACRO')} -1 -1 NAME_b"


@pytest.mark.slow
def test_on_arm_under_emulation() -> None:
    if shutil.which(ARM[0]) is None or shutil.which("qemu-arm") is None:
        pytest.skip("gcc-arm-linux-gnueabihf or qemu-user is not installed")
    rows = with_missing(TABLE)
    model = tables.regressor(**QUICK).fit(rows, PRICES)
    program = model.as_program()
    header = c_table.TableHeader(program, "model")
    records = header.records(model._rows_to_export(rows))
    values, _, _ = c_compiled.outputs_in_c(
        program,
        header.text(),
        "model",
        records,
        ARM,
        c_compiled.Budget(0, 0),
        runner=["qemu-arm"],
    )
    np.testing.assert_allclose(values[:, 0], model.predict(rows), rtol=1e-5)


def test_what_cannot_be_compared_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tables.classifier(**QUICK).fit(TABLE, DEAR)
    with pytest.raises(TypeError, match="int8: expected one network on rows of numbers"):
        model.to_c(tmp_path / "m.h", TABLE, int8=True)
    with pytest.raises(ExportError, match="no file was written"):
        model.to_c(tmp_path / "m.h", TABLE, tolerance=1e-15)
    monkeypatch.setattr(c_header, "compiler_named", lambda wish: None)
    with pytest.raises(FileNotFoundError, match="there is no C compiler here"):
        model.to_c(tmp_path / "m.h", TABLE)
    assert not list(tmp_path.iterdir())
