"""Coverage-guided fuzzing of every reader of files, with atheris: see `make fuzz`.

    export PYTHONPATH=tests/helpers
    python tests/tools/fuzz.py --seconds 600 --corpus folder [kind ...]
    python tests/tools/fuzz.py --repeat file

An input is a failure if its reader neither gives a result nor refuses it with our error, takes
more than 2 GiB or more than 5 seconds of the processor. It is kept in the corpus, and the command
to repeat it shown. As CI: --seconds 3, which takes about a minute.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import os
import pkgutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MAX_MIB = 2048
MAX_SECONDS = 5
STUCK_SECONDS = 120
MAX_LENGTH = 8192


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("kinds", nargs="*", help="what to fuzz; everything by default")
    parser.add_argument("--seconds", type=int, default=600, help="for each kind")
    parser.add_argument("--corpus", type=Path, default=Path("corpus"))
    parser.add_argument("--repeat", type=Path, help="read this one file of the kind in its name")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.repeat:
        return repeat(asked.repeat)
    if asked.one:
        return fuzz(asked.kinds[0], asked.corpus, asked.seconds)

    from hostile import KINDS

    failed = []
    for name in asked.kinds or KINDS:
        print(f"== {name}, {asked.seconds} s", flush=True)
        # A process for each: the fuzzer ends its own, and a crash must not end this one.
        command = [sys.executable, __file__, name, "--one", "--corpus", str(asked.corpus)]
        if subprocess.call([*command, "--seconds", str(asked.seconds)]):
            failed.append(name)
    found = sorted(asked.corpus.glob("failures/*"))
    for path in found:
        print(f"repeat: PYTHONPATH=tests/helpers {sys.executable} {__file__} --repeat '{path}'")
    print(f"failed: {', '.join(failed)}" if failed else "no failures")
    return 1 if failed else 0


def fuzz(name: str, corpus: Path, seconds: int) -> int:
    """Fuzz one kind for a time; ends the process."""
    import atheris

    # It names every module that it instruments.
    quiet = contextlib.redirect_stderr(io.StringIO())
    with quiet, atheris.instrument_imports(include=["cnn_core"]):
        from hostile import KINDS, read_or_refuse

        # What is imported when it is first needed has to be instrumented too.
        for reader in ("data", "estimators", "io", "loading"):
            module = importlib.import_module(f"cnn_core.{reader}")
            for part in pkgutil.iter_modules(
                getattr(module, "__path__", []), f"{module.__name__}."
            ):
                importlib.import_module(part.name)
    kind = KINDS[name]
    folder, failures = corpus / name, corpus / "failures"
    for needed in (folder, failures):
        needed.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(kind.seeds):
        (folder / f"seed-{number}").write_bytes(seed)

    # In memory if possible: many times as many files in the same time.
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as scratch:
        path = Path(scratch) / f"file{kind.ending}"

        def target(data: bytes) -> None:
            path.write_bytes(data)
            start = time.process_time()
            read_or_refuse(kind, path)
            assert time.process_time() - start < MAX_SECONDS, "too slow"

        limits = [
            f"-max_total_time={seconds}",
            f"-rss_limit_mb={MAX_MIB}",
            # Of wall time, of which a busy machine may take a lot.
            f"-timeout={STUCK_SECONDS}",
            f"-report_slow_units={STUCK_SECONDS}",
            f"-max_len={MAX_LENGTH}",
            f"-artifact_prefix={failures / name}=",
            "-verbosity=0",
            "-print_final_stats=1",
        ]
        atheris.Setup([sys.argv[0], *limits, str(folder)], target)
        atheris.Fuzz()
    return 0


def repeat(path: Path) -> int:
    """Read a failure again, with the traceback it has without a fuzzer."""
    from hostile import KINDS, read_or_refuse

    kind = KINDS[path.name.partition("=")[0]]
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / f"file{kind.ending}"
        copy.write_bytes(path.read_bytes())
        print(repr(read_or_refuse(kind, copy)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
