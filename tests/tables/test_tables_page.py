"""What docs/tables.md shows works as it is shown."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from small_tables import DEAR, TABLE


@pytest.mark.slow
def test_the_example_runs(
    source_tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    page = (source_tree / "docs" / "tables.md").read_text()
    (code,) = re.findall(r"^```python\n(.*?)^```$", page, re.S | re.M)
    frame = pd.DataFrame(TABLE).assign(left=np.where(DEAR == "dear", "yes", "no"))
    frame.to_csv(tmp_path / "customers.csv", index=False)
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {}
    exec(code, namespace)
    printed = capsys.readouterr().out
    assert "built   date" in printed
    assert "on rows held out: accuracy 0." in printed
    assert namespace["sets"].shape == (240, 2)
    assert (tmp_path / "customers.safetensors").exists()
