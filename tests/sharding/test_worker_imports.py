"""What a worker imports: nothing that takes more memory than the blocks of a training."""

from __future__ import annotations

from fresh_process import answer

WORK = """
import sys
from cnn_core.dask import dealing, members, placing, runner
print(*sys.modules)
"""


def test_workers_compute_rounds_without_scikit_learn_and_pandas() -> None:
    imported = set(answer(WORK).split())
    assert "cnn_core.sharding.rounds" in imported
    assert not imported & {"sklearn", "scipy", "pandas", "pyarrow", "polars", "matplotlib"}
