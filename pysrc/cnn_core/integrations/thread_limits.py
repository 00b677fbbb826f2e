"""Support for ``threadpoolctl``: show and limit the threads of the compiled engine."""

from __future__ import annotations

import os
from typing import Any

from cnn_core.backends import native, threads


def register_threadpoolctl() -> None:
    """Register the thread pool of the compiled engine with threadpoolctl.

    Then ``threadpoolctl.threadpool_info()`` lists it as the user API ``"cnn_core"``, and
    ``threadpoolctl.threadpool_limits(1)`` limits it, also for existing networks. Threads change no
    bit of any result. A second call does nothing.

    Raises
    ------
    ImportError
        If threadpoolctl is not installed, or the compiled engine is not.

    Examples
    --------
    >>> from threadpoolctl import threadpool_info, threadpool_limits
    >>> from cnn_core.integrations import register_threadpoolctl
    >>> register_threadpoolctl()
    >>> with threadpool_limits(1, user_api="cnn_core"):
    ...     ours = [one for one in threadpool_info() if one["user_api"] == "cnn_core"]
    >>> all(one["num_threads"] == 1 for one in ours)
    True
    """
    import threadpoolctl

    pool: Any = native.load_pool_module()
    if pool is None:
        raise ImportError("expected the compiled engine, whose threads these are, found none")
    if any(one.internal_api == "cnn_core" for one in threadpoolctl._ALL_CONTROLLERS):
        return

    class PoolController(threadpoolctl.LibController):  # type: ignore[misc]
        """The pool of threads that all networks share."""

        user_api = internal_api = "cnn_core"
        filename_prefixes = (os.path.basename(pool.__file__).lower(),)

        def get_num_threads(self) -> int:
            """Return the largest number of threads of a step."""
            return int(min(pool.thread_limit(), threads.available_threads()))

        def set_num_threads(self, num_threads: int) -> None:
            """Limit the threads."""
            pool.limit_threads(num_threads)

        def get_version(self) -> str:
            """Return our version; another library of the name of ours is not ours."""
            from cnn_core._version import __version__

            if not os.path.samefile(self.filepath, pool.__file__):
                raise OSError(f"{self.filepath} is not the pool of cnn_core")
            return __version__

    threadpoolctl.register(PoolController)
