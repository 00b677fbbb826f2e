"""A process that reads files in little memory: see `io/test_bombs.py`.

    python tests/helpers/limited.py

Reads lines of JSON from its input, each the kind of a file, its path and how many bytes reading
may take beyond what the process has; prints a line for each: whether it was refused, and what by.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

from hostile import KINDS, read_or_refuse


def size_of_process() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()


def main() -> None:
    # What is needed to read at all is there before the first limit.
    for name, path, most in map(json.loads, sys.stdin.read().splitlines()):
        kind = KINDS[name]
        resource.setrlimit(resource.RLIMIT_AS, (size_of_process() + most, resource.RLIM_INFINITY))
        result = read_or_refuse(kind, Path(path))
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
        is_refused = isinstance(result, kind.error)
        print(json.dumps([is_refused, str(result)[:500] if is_refused else None]), flush=True)


if __name__ == "__main__":
    main()
