"""The installation under test, as the environment says which it is.

CNN_CORE_TEST_PURE=1: one without the compiled backend. CNN_CORE_TEST_SANITIZED=1: a build that
checks every access to memory.
"""

from __future__ import annotations

import os

PURE = os.environ.get("CNN_CORE_TEST_PURE", "0") not in ("", "0")
SANITIZED = os.environ.get("CNN_CORE_TEST_SANITIZED", "0") not in ("", "0")
BACKENDS = ("numpy",) if PURE else ("cython", "numpy")
