"""The notebooks as pages: each is run, and becomes Markdown with what it printed and drew."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

import source_lines

TREE = Path(__file__).resolve().parents[2]
REPOSITORY = "cnn-core/cnn-core"
# What a terminal would take for colours.
_CODES = re.compile(r"\x1b\[[\d;]*m")


def write(source: Path, *, run: bool) -> None:
    """Write a page for each notebook of the site."""
    for path in sorted((source / "notebooks").glob("*.ipynb")):
        _write(path, run)


def _write(path: Path, run: bool) -> None:
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    if run:
        print(f"running {path.name}", flush=True)
        here = {"metadata": {"path": str(path.parent)}}
        NotebookClient(notebook, timeout=300, kernel_name="python3", resources=here).execute()
    parts = []
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            parts.append(cell.source)
        # The cell that installs the package where it is missing.
        elif not cell.source.startswith("%%capture"):
            parts.append(f"```python\n{cell.source}\n```")
            parts += [_shown(output, path, number) for output in cell.outputs]
    place = f"blob/main/docs/notebooks/{path.name}"
    parts[:1] = [
        *parts[0].split("\n", 1)[:1],
        f"[Notebook](https://github.com/{REPOSITORY}/{place}) · "
        f"[open it in Colab](https://colab.research.google.com/github/{REPOSITORY}/{place})",
        *parts[0].split("\n", 1)[1:],
    ]
    page = source_lines.with_lines("\n\n".join(parts) + "\n", TREE)
    path.with_suffix(".md").write_text(page, encoding="utf-8")


def _shown(output: Any, path: Path, number: int) -> str:
    """Return an output as Markdown; a picture is written beside the page."""
    data = output.get("data", {})
    if "image/png" in data:
        name = f"{path.stem}-{number}.png"
        (path.parent / name).write_bytes(base64.b64decode(data["image/png"]))
        return f"![What the program draws]({name})"
    if "text/html" in data:
        # The style of a frame of pandas is left to the site.
        html = re.sub(r"<style.*?</style>", "", data["text/html"], flags=re.DOTALL)
        return "```{raw} html\n" + html.strip() + "\n```"
    text = output.get("text") or data.get("text/plain", "")
    return f"```text\n{_CODES.sub('', text).rstrip()}\n```"
