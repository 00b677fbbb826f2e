"""The site: every public name has a page, its links to sources hold, its programs run."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys

import pytest
from test_docs import blocks_of

import cnn_core

# A file of the repository and the name of a function in it.
SOURCE = re.compile(
    r"\[`(\w+)`\]\(https://github\.com/cnn-core/cnn-core/blob/main/([^)#]+)#(\w+)\)"
)
MODULES = ("callbacks", "schedules", "backends", "export", "integrations", "dask")


@pytest.fixture
def site(source_tree, monkeypatch):
    """The modules that build the site."""
    monkeypatch.syspath_prepend(str(source_tree / "docs" / "site"))
    return importlib.import_module


def public_names():
    names = {name for name in cnn_core.__all__ if name not in (*MODULES, "__version__")}
    for module in MODULES:
        for name in importlib.import_module(f"cnn_core.{module}").__all__:
            # A name that the package itself has needs no second page.
            names |= set() if name in cnn_core.__all__ else {f"{module}.{name}"}
    return names


def test_the_reference_lists_every_public_name_and_no_other(source_tree):
    listed, module = set(), ""
    for line in (source_tree / "docs" / "reference" / "index.md").read_text().splitlines():
        if found := re.fullmatch(r"\.\. currentmodule:: cnn_core\.?(\w*)", line):
            module = f"{found[1]}." if found[1] else ""
        elif found := re.fullmatch(r"   (\w+)", line):
            listed.add(module + found[1])
    assert listed == public_names()


def test_every_page_can_be_reached(source_tree):
    docs = source_tree / "docs"
    pages = {path.relative_to(docs).with_suffix("").as_posix() for path in docs.rglob("*.md")}
    reached = {"index"}
    for page in docs.rglob("*.md"):
        for tree in re.findall(r"```\{toctree\}\n(.*?)```", page.read_text(), re.DOTALL):
            for line in re.findall(r"^[\w./-]+$", tree, re.MULTILINE):
                target = (page.parent / line).resolve()
                reached.add(target.relative_to(docs.resolve()).as_posix())
    assert pages <= reached


def notebooks(source_tree):
    return sorted((source_tree / "docs" / "notebooks").glob("*.ipynb"))


def text_of(notebook):
    cells = json.loads(notebook.read_text())["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells)


def test_each_function_that_a_notebook_links_to_stands_in_its_file(source_tree, site):
    found = [
        link for notebook in notebooks(source_tree) for link in SOURCE.findall(text_of(notebook))
    ]
    assert len(found) > 15
    lines = site("source_lines")
    for shown, path, name in found:
        assert shown == name
        source = (source_tree / path).read_text().splitlines()
        line = lines.line_of(source, name)
        assert line is not None, f"{path}: no function {name}"
        assert re.search(rf"\b{name}\(", source[line - 1])


def test_the_notebooks_are_without_outputs(source_tree):
    assert len(notebooks(source_tree)) == 4
    for notebook in notebooks(source_tree):
        for cell in json.loads(notebook.read_text())["cells"]:
            assert not cell.get("outputs")
            assert cell.get("execution_count") is None


def test_links_beyond_the_pages_lead_to_the_repository(source_tree, site):
    linked = site("make_site").linked
    page = source_tree / "docs" / "guide" / "speed.md"
    github = "https://github.com/cnn-core/cnn-core"
    for link, expected in (
        ("[a](../../README.md)", f"[a]({github}/blob/main/README.md)"),
        ("[a](../../tests)", f"[a]({github}/tree/main/tests)"),
        ("[a](../../CHANGELOG.md#b)", "[a](../CHANGELOG.md#b)"),
        ("[a](../engine.md#b)", "[a](../engine.md#b)"),
        ("[a](#b)", "[a](#b)"),
        ("[a](https://example.org)", "[a](https://example.org)"),
        ("[a](../gallery/index.md)", "[a](../gallery/index.md)"),
    ):
        assert linked(link, page) == expected
    assert linked("[a](docs/engine.md)", source_tree / "README.md") == "[a](engine.md)"


def test_a_link_that_leads_nowhere_is_found(tmp_path, site):
    (tmp_path / "a.html").write_text('<p id="here"></p><a href="#here"></a><a href="b.html#x"></a>')
    (tmp_path / "b.html").write_text('<a href="a.html#here"></a><a href="c.html"></a>')
    found = site("links").broken(tmp_path)
    assert found == ["a.html: b.html#x: no such place", "b.html: c.html: no such file"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "page",
    [
        "estimators",
        "exports",
        "images",
        "networks",
        "saving",
        "scikit-learn",
        "speed",
        "tools",
        "training",
        "../index",
    ],
)
def test_the_programs_of_the_guide_run(source_tree, tmp_path, page):
    blocks = blocks_of(source_tree / "docs" / "guide" / f"{page}.md")
    code = "\n".join(block.code for block in blocks if block.language == "python")
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout
