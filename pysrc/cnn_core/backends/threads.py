"""How many threads this process may keep busy.

Read each time, since the cores that a process may use can change while it runs. It takes some
tens of microseconds.
"""

from __future__ import annotations

import os
import posixpath
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

# As many as fit into a C int; the compiled backend starts no more than 255.
MOST_THREADS = 2**31 - 1
VARIABLE = "CNN_CORE_NUM_THREADS"
_COMMON_VARIABLE = "OMP_NUM_THREADS"


def available_threads(root: Path = Path("/")) -> int:
    """Return the number of threads that an engine uses unless told otherwise, at least 1.

    That is the number in the environment variable `CNN_CORE_NUM_THREADS`, whatever it is. Where
    that is unset or empty it is the number of cores that the process may use: those of its
    affinity, no more than the quota of its control groups gives time for (rounded up), and no more
    than `OMP_NUM_THREADS` says, if it says a number. A thread of joblib's, which shares the cores
    with its fellows, has one.

    Parameters
    ----------
    root : pathlib.Path
        Folder in which ``proc`` and ``sys`` are.

    Raises
    ------
    ValueError
        If `CNN_CORE_NUM_THREADS` is no whole number from 1 to 999999999.
    """
    asked_for = os.environ.get(VARIABLE)
    if asked_for:
        return _asked_for(asked_for)
    if _is_thread_of_joblib():
        return 1
    limits = [_cores(), *_quotas(root)]
    # A list has a number for each level of nested parallel regions.
    common = _whole(os.environ.get(_COMMON_VARIABLE, "").partition(",")[0])
    if common:
        limits.append(common)
    return max(1, min(limits))


def _is_thread_of_joblib() -> bool:
    """Tell whether this is one of the threads that joblib shares its work among.

    Workers that are processes do theirs in the main thread, and are told by `OMP_NUM_THREADS`.
    """
    joblib = sys.modules.get("joblib")
    if joblib is None or threading.current_thread() is threading.main_thread():
        return False
    backend, _ = joblib.parallel.get_active_backend()
    return bool(backend.nesting_level)


def _asked_for(text: str) -> int:
    threads = _whole(text)
    if not threads:
        raise ValueError(
            f"{VARIABLE}: expected a whole number from 1 to 999999999, found {text!r}; "
            "unset it for as many threads as the process may use cores"
        )
    return threads


def _whole(text: str) -> int | None:
    """Return the number that up to nine plain digits write; None for any other text."""
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quotas(root: Path) -> Iterator[int]:
    """Yield the CPU quota of each control group of this process, in cores, rounded up."""
    for line in _read(f"{root}/proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers:
            yield from _quotas_v2(f"{root}/sys/fs/cgroup", path)
        elif "cpu" in controllers.split(","):
            # "cpu" is a link where it is mounted with others; a container may lack the link.
            for name in sorted({"cpu", controllers}):
                yield from _quotas_v1(f"{root}/sys/fs/cgroup/{name}", path)


def _quotas_v2(mounted_at: str, path: str) -> Iterator[int]:
    for folder in _upwards(mounted_at, path):
        quota, _, period = _read(f"{folder}/cpu.max").partition(" ")
        yield from _rounded_up(quota, period)


def _quotas_v1(mounted_at: str, path: str) -> Iterator[int]:
    for folder in _upwards(mounted_at, path):
        quota = _read(f"{folder}/cpu.cfs_quota_us")
        yield from _rounded_up(quota, _read(f"{folder}/cpu.cfs_period_us") if quota else "")


def _upwards(mounted_at: str, path: str) -> Iterator[str]:
    """Yield the folders of a control group and of its parents."""
    # In a container the path may begin above what can be seen there, with "/..".
    path = posixpath.normpath(f"/{path}").lstrip("/")
    while path:
        yield f"{mounted_at}/{path}"
        path = posixpath.dirname(path)
    yield mounted_at


def _rounded_up(quota: str, period: str) -> Iterator[int]:
    """Yield the quota, two numbers of microseconds, in cores; nothing if there is none."""
    microseconds, of = _whole(quota), _whole(period)
    if microseconds and of:
        yield -(-microseconds // of)


def _read(path: str) -> str:
    """Return the text of a file, '' if it cannot be read."""
    try:
        with open(path, "rb", buffering=0) as stream:
            return stream.read().decode(errors="replace")
    except OSError:
        return ""
