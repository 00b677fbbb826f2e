"""Where the folders of the tests are."""

from __future__ import annotations

from pathlib import Path

HELPERS = Path(__file__).resolve().parent
TESTS = HELPERS.parent
GOLDEN = TESTS / "golden"
SOURCES = TESTS.parent
