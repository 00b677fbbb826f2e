"""The gallery: each program of ``docs/examples`` is run, and shown with what it prints."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

# Carries a program out, and keeps its figures.
_RUNNER = """\
import runpy, sys
import matplotlib
matplotlib.use("agg")
import matplotlib.pyplot as plt
runpy.run_path(sys.argv[1], run_name="__main__")
for number in plt.get_fignums():
    plt.figure(number).savefig(f"{sys.argv[2]}-{number}.png", dpi=110, bbox_inches="tight")
"""


@dataclass(frozen=True)
class Example:
    """A program: its title, what it is about, its code, what it printed and its pictures."""

    name: str
    title: str
    about: str
    code: str
    printed: str
    pictures: list[str]

    def page(self) -> str:
        """Return its page."""
        parts = [f"# {self.title}", self.about, f"```python\n{self.code.strip()}\n```"]
        if self.printed.strip():
            parts.append(f"It prints:\n\n```text\n{self.printed.strip()}\n```")
        parts += [f"![{self.title}]({picture})" for picture in self.pictures]
        return "\n\n".join(parts) + "\n"

    def card(self) -> str:
        """Return what leads to it on the page of the gallery."""
        picture = f":img-top: {self.pictures[0]}\n" if self.pictures else ""
        link = f":link: {self.name}\n:link-type: doc\n"
        return f":::{{grid-item-card}} {self.title}\n{link}{picture}:::\n"


def write(source: Path, *, run: bool) -> None:
    """Write a page for each program, and one that leads to them."""
    folder = source / "gallery"
    folder.mkdir()
    examples = [_example(path, folder, run) for path in sorted((source / "examples").glob("*.py"))]
    for example in examples:
        (folder / f"{example.name}.md").write_text(example.page(), encoding="utf-8")
    names = "\n".join(example.name for example in examples)
    cards = "\n".join(example.card() for example in examples)
    (folder / "index.md").write_text(
        "# Gallery\n\nShort programs. Each was run when this site was built.\n\n"
        f"::::{{grid}} 1 2 2 3\n:gutter: 3\n\n{cards}::::\n\n"
        f"```{{toctree}}\n:hidden:\n\n{names}\n```\n",
        encoding="utf-8",
    )


def _example(path: Path, folder: Path, run: bool) -> Example:
    text = path.read_text(encoding="utf-8")
    docstring = ast.get_docstring(ast.parse(text)) or path.stem
    title, _, about = docstring.partition("\n")
    code = text[text.index('"""', text.index('"""') + 3) + 3 :]
    name = path.stem.replace("_", "-")
    printed = _run(path, folder / name) if run else ""
    pictures = sorted(picture.name for picture in folder.glob(f"{name}-*.png"))
    return Example(name, title.rstrip("."), about.strip(), code, printed, pictures)


def _run(path: Path, pictures: Path) -> str:
    print(f"running {path.name}", flush=True)
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", _RUNNER, str(path), str(pictures)],
        capture_output=True,
        text=True,
        env={**os.environ, "MPLCONFIGDIR": str(pictures.parent)},
    )
    if result.returncode:
        raise SystemExit(f"{path}:\n{result.stderr}")
    return result.stdout
