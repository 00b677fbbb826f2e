"""Build the site: ``python docs/site/make_site.py OUT``; `make docs` calls it.

The folder ``docs`` is copied to ``OUT/source``. There the gallery's programs and the notebooks are
run, links to files beyond it become links to the repository, and Sphinx makes ``OUT/html`` of it.
A warning is an error, and so is a link that leads nowhere.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import gallery
import links
import notebooks

DOCS = Path(__file__).resolve().parents[1]
TREE = DOCS.parent
REPOSITORY = "https://github.com/cnn-core/cnn-core"
# Pages that stand beside the folder.
PAGES = ("CHANGELOG.md", "CONTRIBUTING.md")


def main() -> int:
    """Build the site; return 0 if nothing was wrong with it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--fast", action="store_true", help="run no notebook and no program")
    args = parser.parse_args()
    source, html = args.out / "source", args.out / "html"
    stage(source)
    gallery.write(source, run=not args.fast)
    notebooks.write(source, run=not args.fast)
    shutil.rmtree(html, ignore_errors=True)
    sphinx = [sys.executable, "-m", "sphinx", "-W", "-n", "--keep-going", "-q", "-E"]
    code = subprocess.call([*sphinx, "-b", "html", str(source), str(html)])
    broken = links.broken(html)
    print(*broken, sep="\n", end="\n" if broken else "")
    print(f"{html / 'index.html'}: {len(list(html.rglob('*.html')))} pages")
    return code or bool(broken)


def stage(source: Path) -> None:
    """Copy the pages, and turn links to other files of the tree into links to the repository."""
    shutil.rmtree(source, ignore_errors=True)
    left_out = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
    shutil.copytree(DOCS, source, ignore=left_out)
    for name in PAGES:
        shutil.copy(TREE / name, source)
    for page in source.rglob("*.md"):
        original = TREE / page.name if page.name in PAGES else DOCS / page.relative_to(source)
        page.write_text(linked(page.read_text(encoding="utf-8"), original), encoding="utf-8")


def page_of(path: Path) -> Path:
    """Return the page that shows a file of the folder: of a notebook or program, one of its own."""
    if path.suffix == ".ipynb":
        return path.with_suffix(".md")
    if path.parent.name == "examples":
        return Path("gallery", path.name).with_suffix(".md")
    return path


def linked(text: str, original: Path) -> str:
    """Return a page of the tree as a page of the site."""
    # Where the page stands in the site.
    folder = original.parent.relative_to(DOCS) if original.is_relative_to(DOCS) else Path(".")

    def moved(found: re.Match[str]) -> str:
        target, _, anchor = found[2].partition("#")
        path = (original.parent / target).resolve()
        if not target or not path.exists():
            return found[0]
        if path.is_relative_to(DOCS):
            there = os.path.relpath(page_of(path.relative_to(DOCS)), folder)
        elif path.parent == TREE and path.name in PAGES:
            there = os.path.relpath(path.name, folder)
        else:
            kind = "tree" if path.is_dir() else "blob"
            there = f"{REPOSITORY}/{kind}/main/{path.relative_to(TREE).as_posix()}"
        return f"{found[1]}({there}{'#' + anchor if anchor else ''})"

    return re.sub(r"(\])\((?!https?:|mailto:)([^)\s]+)\)", moved, text)


if __name__ == "__main__":
    sys.exit(main())
