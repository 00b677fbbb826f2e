"""The files and names that the architecture page and CONTRIBUTING's map speak of are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGES = ("docs/architecture.md", "CONTRIBUTING.md")
SUFFIXES = "py|pyx|pxd|h|md|txt"


def path_of(root: Path, name: str) -> Path | None:
    """Return the file or folder of a name, by the root, the package or the Cython sources."""
    for folder in (root, root / "pysrc" / "cnn_core", root / "cnn_core"):
        if (folder / name).exists():
            return folder / name
    return None


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_is_named_is_there(source_tree, page):
    text = (source_tree / page).read_text()
    names = set(re.findall(rf"`([\w./-]+(?:\.(?:{SUFFIXES})|/))`", text))
    assert len(names) > 20
    assert [name for name in sorted(names) if path_of(source_tree, name) is None] == []


def test_every_question_is_answered_by_a_name_in_its_file(source_tree):
    text = (source_tree / "docs" / "architecture.md").read_text()
    rows = re.findall(r"^\| (.*\?) \| (.*) \| (.*) \|$", text, re.MULTILINE)
    assert len(rows) > 12
    for question, files, names in rows:
        paths = [path_of(source_tree, name) for name in re.findall(r"`([^`]+)`", files)]
        contents = "\n".join(path.read_text() for path in paths if path is not None)
        for name in re.findall(r"`([^`]+)`", names):
            assert re.search(rf"\b{name}\b", contents), f"{question} {name}"


def test_every_registry_is_where_the_page_says(source_tree):
    text = (source_tree / "docs" / "architecture.md").read_text()
    rows = re.findall(r"^\| \w+ \| `(\w+)` in `([\w./]+)` \|", text, re.MULTILINE)
    assert len(rows) == 5
    for name, file in rows:
        path = path_of(source_tree, file)
        assert path is not None
        assert re.search(rf"^(class )?{name}\b", path.read_text(), re.MULTILINE), name
