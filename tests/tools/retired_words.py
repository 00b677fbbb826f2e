"""Find words in the sources that `retired_words.txt` lists; called by `make lint`.

Exits with 1 and names each place and the usual word, where there is one.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]
WORDS = Path(__file__).with_suffix(".txt")
FOLDERS = ("cnn_core", "pysrc", "tests", "bench", "docs")
ENDINGS = {".py", ".pyx", ".pxd", ".pyi", ".h", ".md", ".sh"}


def retired(text: str) -> list[tuple[re.Pattern[str], str]]:
    """Return the patterns of a list, each with what to write instead."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    pairs = (line.rpartition(": ") for line in lines)
    return [(re.compile(rf"(?<!\w)(?:{word})(?!\w)"), usual) for word, _, usual in pairs]


def sources(tree: Path) -> Iterator[Path]:
    """Yield the files that people read; not what a build leaves among them."""
    paths = [*tree.glob("*.md"), tree / "setup.py", tree / "Makefile"]
    for folder in FOLDERS:
        paths += [path for path in (tree / folder).rglob("*") if path.suffix in ENDINGS]
    native = tree / "pysrc" / "cnn_core" / "_native"
    yield from (path for path in sorted(paths) if native not in path.parents)


def found_in(path: Path, words: list[tuple[re.Pattern[str], str]]) -> Iterator[str]:
    """Yield a line for each retired word in a file."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        for pattern, usual in words:
            if match := pattern.search(line):
                yield f"{path.relative_to(TREE)}:{number}: {match[0]!r}; usual: {usual}"


def main() -> int:
    words = retired(WORDS.read_text(encoding="utf-8"))
    found = [line for path in sources(TREE) for line in found_in(path, words)]
    print(*found, sep="\n", end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
