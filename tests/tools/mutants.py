"""Each operator of the kernels is changed once: does the suite notice? See `make mutants`.

    python tests/tools/mutants.py [--match 'dense.pyx|in share'] [--sample 20] [--keep] [--all]

`mutants_build.py` makes one build that holds all mutants. The tests are collected once, by a
process that has loaded that build, and run once without a mutant, to see how long each takes and
which operators it runs. Then each mutant is a fork of that process, which runs the tests that
run its operator, until one fails. A crash, or a test that takes far longer than before, is a
failure too.

Mutants that change nothing that is promised, such as the size of a block, stand with the reason in
`mutants_equivalent.txt` and are left out. It is an error if another one survives, or if an entry
there stands for none.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import gc
import json
import mmap
import os
import pickle
import re
import resource
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

import mutants_build
from mutants_build import Mutant

FOLDER = Path("build/mutants")
SUBJECTS = (
    "core/test_guard_pages.py",
    "core/kernels",
    "core/engine",
    "core/test_fast_paths.py",
    "core/test_fast_rows.py",
    "core/test_fast_settings.py",
    "core/test_zeros.py",
    "training/test_training.py",
    "training/test_stopping.py",
    "training/test_divergence.py",
    "training/test_time_budget.py",
    "training/test_article.py",
    "training/test_nn.py",
    "training/test_nn_arguments.py",
    "training/test_nn_bytes.py",
    "training/test_nn_predictor.py",
    "io/test_nn_file.py",
    "training/test_model.py",
)
EQUIVALENT = Path(__file__).with_name("mutants_equivalent.txt")
# Seconds of the processor, and of the clock, that a test may take beyond 20 times its own.
PROCESSOR_SECONDS, CLOCK_SECONDS = 5, 120
MEMORY = 8 << 30


@dataclass
class Record:
    """What a test is like without any mutant."""

    passed: bool
    seconds: float
    reached: frozenset[int]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--level", default="x86-64-v3", help="ISA level of the build")
    parser.add_argument("--match", default="", help="mutants that this is found in alone: a regex")
    parser.add_argument("--sample", type=int, default=1, help="one of so many mutants alone")
    parser.add_argument("--patience", type=float, default=1e9, help="seconds of tests for a mutant")
    parser.add_argument("--all", action="store_true", help="what is called equivalent as well")
    parser.add_argument("--keep", action="store_true", help="use the build that is there")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    asked = parser.parse_args()
    if not asked.keep:
        command = [sys.executable, mutants_build.__file__, str(FOLDER), asked.level]
        subprocess.run(command, check=True)
    mutants = mutants_build.load(FOLDER)
    equivalent = numbers_of_equivalent(mutants)
    numbers = sorted(mutants, key=mutants.__getitem__)
    numbers = [n for n in numbers if re.search(asked.match, str(mutants[n]))]
    numbers = [n for n in numbers if asked.all or n not in equivalent][:: asked.sample]

    package = FOLDER.resolve() / "package"
    sys.path.insert(0, str(package))
    os.environ["PYTHONPATH"] = os.pathsep.join([str(package), os.environ.get("PYTHONPATH", "")])
    os.environ["CNN_CORE_ISA"] = asked.level
    hunt = Hunt(mutants, numbers, asked.jobs, asked.patience)
    options = ["-q", "-s", "-p", "no:cacheprovider", "-p", "no:faulthandler", "-k", "not numpy"]
    files = [f"tests/{subject}" for subject in SUBJECTS]
    if pytest.main([*options, *files], plugins=[hunt]) != 0:
        return 2
    return report(mutants, hunt, equivalent)


def report(mutants: dict[int, Mutant], hunt: Hunt, equivalent: set[int]) -> int:
    (FOLDER / "killers.json").write_text(
        json.dumps({str(mutants[number]): how for number, how in hunt.killed.items()}, indent=1),
        encoding="utf-8",
    )
    wrong = [number for number in hunt.killed if number in equivalent]
    for number in wrong:
        print(f"called equivalent, but noticed by {hunt.killed[number]}: {mutants[number]}")
    survivors = sorted(set(hunt.survivors) - equivalent, key=mutants.__getitem__)
    for number in survivors:
        print(f"survived {hunt.survivors[number]} tests: {mutants[number]}")
    for kind, is_comparison in (("arithmetic operators", False), ("comparisons", True)):
        killed, left = (
            sum(mutants[number].is_comparison == is_comparison for number in found)
            for found in (set(hunt.killed) - equivalent, survivors)
        )
        listed = sum(mutants[number].is_comparison == is_comparison for number in equivalent)
        score = 100 * killed / max(killed + left, 1)
        print(f"{kind}: {killed} of {killed + left} killed, {score:.1f} %; {listed} equivalent")
    return 1 if survivors or wrong else 0


def equivalent_mutants() -> Iterator[tuple[str, str, list[int]]]:
    """Yield what is called equivalent: a file, a line of it, the columns of the operators there.

    A line of the table is the file's name and the line, wherever that stands and without its
    indentation, with the operators in guillemets. A comment above is the reason.
    """
    for line in EQUIVALENT.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            file, _, marked = line.partition(": ")
            columns = [
                len(re.sub("[«»]", "", marked[: mark.start()])) for mark in re.finditer("«", marked)
            ]
            yield file, re.sub("[«»]", "", marked), columns


def numbers_of_equivalent(mutants: dict[int, Mutant]) -> set[int]:
    places = defaultdict(list)
    for number, mutant in mutants.items():
        indent = len(mutant.text) - len(mutant.text.lstrip())
        places[mutant.file, mutant.text.strip(), mutant.column - indent].append(number)
    found = set()
    for file, text, columns in equivalent_mutants():
        for column in columns:
            if (file, text, column) not in places:
                sys.exit(f"{EQUIVALENT.name}: no operator at column {column} of: {text}")
            found.update(places[file, text, column])
    return found


class Hunt:
    """A plugin of pytest that runs the collected tests against each mutant."""

    def __init__(
        self, mutants: dict[int, Mutant], numbers: Sequence[int], jobs: int, patience: float
    ) -> None:
        self.killed: dict[int, str] = {}
        # How many tests each one survived.
        self.survivors: dict[int, int] = {}
        self._mutants, self._numbers = mutants, numbers
        self._jobs, self._patience = jobs, patience
        self._killers: dict[str, Counter[int]] = defaultdict(Counter)
        self._items: list[Any] = []
        self._records: list[Record] = []
        library = ctypes.CDLL(str(FOLDER.resolve() / "package" / mutants_build.LIBRARY))
        self._chosen = ctypes.c_int.in_dll(library, "cnn_core_mutant")
        self._reached = (ctypes.c_ubyte * mutants_build.MOST).in_dll(library, "cnn_core_reached")

    def pytest_runtestloop(self, session: Any) -> bool:
        self._items = session.items
        self._records = self._known_records()
        failing = [
            item.nodeid
            for item, record in zip(self._items, self._records, strict=True)
            if not record.passed
        ]
        if failing:
            print("\nfail without any mutant, left out:", *failing, sep="\n  ")
        total = sum(record.seconds for record in self._records)
        print(f"\n{len(self._items)} tests, {total:.0f} s; {len(self._numbers)} mutants")
        gc.freeze()
        waiting = list(self._numbers)[::-1]
        running: dict[int, tuple[int, list[int], mmap.mmap]] = {}
        start = time.monotonic()
        while waiting or running:
            while waiting and len(running) < self._jobs:
                number = waiting.pop()
                order = self._order(number)
                at = mmap.mmap(-1, 8)
                running[self._fork(number, order, at)] = number, order, at
            process, status = os.wait()
            number, order, at = running.pop(process)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process, signal.SIGKILL)
            self._note(number, order, int.from_bytes(at[:], "little"), status)
            done = len(self.killed) + len(self.survivors)
            if done % 100 == 0:
                seconds = time.monotonic() - start
                print(f"{done} of {len(self._numbers)}, {seconds:.0f} s", flush=True)
        return True

    def _note(self, number: int, order: list[int], at: int, status: int) -> None:
        if status == 0:
            self.survivors[number] = len(order)
            print(f"survived {len(order)} tests: {self._mutants[number]}", flush=True)
            return
        self._killers[self._mutants[number].function][at] += 1
        self._killers[self._mutants[number].file][at] += 1
        how = f", signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else ""
        self.killed[number] = self._items[at].nodeid + how

    def _order(self, number: int) -> list[int]:
        """The tests for a mutant: those that killed its neighbours first, then one of each kind."""
        records = enumerate(self._records)
        can = [i for i, record in records if record.passed and number in record.reached]
        mutant = self._mutants[number]
        kills = self._killers[mutant.function] + self._killers[mutant.file]
        first = {i: -many for i, many in kills.most_common(10)}
        kinds: Counter[str] = Counter()
        keys = {}
        for i in can:
            seconds = self._records[i].seconds
            kind = self._items[i].nodeid.partition("[")[0]
            kinds[kind] += 1
            keys[i] = seconds > 0.5, first.get(i, 0), seconds > 0.05, kinds[kind], seconds
        order, left = [], self._patience
        for i in sorted(can, key=keys.__getitem__):
            if left > 0:
                order.append(i)
            left -= self._records[i].seconds
        return order

    def _fork(self, number: int, order: list[int], at: mmap.mmap) -> int:
        process = os.fork()
        if process:
            return process
        try:
            self._become(number)
            for i in order:
                at[:] = i.to_bytes(8, "little")
                long = 20 * self._records[i].seconds
                # Their signals end the process, wherever it is.
                signal.setitimer(signal.ITIMER_PROF, PROCESSOR_SECONDS + long)
                signal.setitimer(signal.ITIMER_REAL, CLOCK_SECONDS + long)
                if not passes(self._items[i]):
                    os._exit(1)
            os._exit(0)
        finally:
            os._exit(1)

    def _become(self, number: int) -> None:
        """Turn this fork into a process with a mutant, without output and with limited memory."""
        os.setpgid(0, 0)
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nothing, stream)
        os.environ["CNN_CORE_MUTANT"] = str(number)
        self._chosen.value = number
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    def _known_records(self) -> list[Record]:
        """What each test is like; those that are not known yet are run, in a fork."""
        path = FOLDER / "records.pickle"
        known: dict[str, Record] = pickle.loads(path.read_bytes()) if path.exists() else {}
        if any(item.nodeid not in known for item in self._items):
            process = os.fork()
            if process == 0:
                self._become(0)
                for item in self._items:
                    if item.nodeid not in known:
                        known[item.nodeid] = self._record(item)
                path.write_bytes(pickle.dumps(known))
                os._exit(0)
            if os.waitpid(process, 0)[1]:
                sys.exit("the tests could not be run without a mutant")
            known = pickle.loads(path.read_bytes())
        return [known[item.nodeid] for item in self._items]

    def _record(self, item: Any) -> Record:
        ctypes.memset(self._reached, 0, len(self._reached))
        began = time.process_time()
        passed = passes(item)
        seconds = time.process_time() - began
        reached = frozenset(i for i, came_by in enumerate(bytes(self._reached)) if came_by)
        return Record(passed, seconds, reached)


def passes(item: Any) -> bool:
    return not any(report.failed for report in runtestprotocol(item, log=False, nextitem=None))


if __name__ == "__main__":
    sys.exit(main())
