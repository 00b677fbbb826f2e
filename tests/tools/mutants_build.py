"""The compiled backend with every mutant in it, of which `mutants.py` chooses one at run time.

Where Cython writes `(a + b)` for an operator, it is made to write

    ({ __auto_type x = a; __auto_type y = b; MUTANT(17) ? (x - y) : (x + y); })

so that one build holds all mutants, and each costs some tests and no compilation. What stands
between Python objects is left alone, as are the sizes of arrays, which C wants to be constant.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unittest import mock

ARITHMETIC = {"+": "-", "-": "+", "*": "+", "/": "*", "//": "*", "%": "*"}
COMPARISONS = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "=="}
# Whole epochs, the pool and the choice of the processor are no kernels.
NOT_MUTATED = ("engine.pyx", "threads.pyx", "cpu.pyx")
HEADER = "vector.h"
FUNCTION = re.compile(r"(?:    )?(?:cdef|def|INLINED)\b[^=(]*?(\w+)\(")

LIBRARY = "libcnn_core_mutant.so"
# The number of the mutant that is chosen, 0 for none; which operators were come by.
MOST = 1 << 14
CHOSEN = f"""
#include <stdlib.h>
int cnn_core_mutant;
unsigned char cnn_core_reached[{MOST}];
__attribute__((constructor)) static void choose(void) {{
    const char *number = getenv("CNN_CORE_MUTANT");
    cnn_core_mutant = number ? atoi(number) : 0;
}}
"""
DECLARED = """
extern int cnn_core_mutant;
extern unsigned char cnn_core_reached[];
#define MUTANT(number) (cnn_core_reached[number] = 1, cnn_core_mutant == number)
#define MUTANT_SIGN(number) (MUTANT(number) ? -1 : 1)
#define MUTANT_INVERSE(number, x) (MUTANT(number) ? 1 / (x) : (x))
"""


@dataclass(frozen=True, order=True)
class Mutant:
    file: str
    line: int
    column: int
    operator: str
    text: str
    function: str

    @property
    def is_comparison(self) -> bool:
        return self.operator in COMPARISONS

    def __str__(self) -> str:
        shown = self.text[: self.column] + f"«{self.operator}»"
        shown += self.text[self.column + len(self.operator) :]
        return f"{self.file}:{self.line}, in {self.function}: {shown.strip()}"


class Mutants:
    """All mutants, and the number of each: from 1, in the order in which they are met."""

    def __init__(self, sources: Path) -> None:
        self.numbers: dict[Mutant, int] = {}
        self._lines = {
            path.name: path.read_text(encoding="utf-8").splitlines()
            for path in sources.iterdir()
            if path.name == HEADER
            or (path.suffix in (".pyx", ".pxd") and path.name not in NOT_MUTATED)
        }

    def number(self, file: str, line: int, column: int, operator: str) -> int | None:
        """Return the number of the mutant of an operator; None if none stands there."""
        if file not in self._lines:
            return None
        text = self._lines[file][line - 1]
        if not text.startswith(operator, column):
            # Cython gives the statement's position for `a += b`; `min` has no operator.
            column = text.find(f"{operator}= ", column)
            if column < 0:
                return None
        heads = (FUNCTION.match(above) for above in reversed(self._lines[file][:line]))
        function = next((head[1] for head in heads if head), "")
        mutant = Mutant(file, line, column, operator, text, function)
        return self.numbers.setdefault(mutant, len(self.numbers) + 1)

    def number_at(self, node: Any, operator: str) -> int | None:
        source, line, column = node.pos
        return self.number(Path(source.get_description()).name, line, column, operator)


class Named:
    """An operand whose value is in a variable of C."""

    def __init__(self, node: Any, name: str) -> None:
        self._node, self._name = node, name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self._node, attribute)

    def result(self) -> str:
        return self._name


def choice(
    original: Callable[[Any], str], replacements: dict[str, str], mutants: Mutants
) -> Callable[[Any], str]:
    """Return what writes an operator with two operands, or its mutant."""

    def calculate_result_code(self: Any) -> str:
        operands = self.operand1, self.operand2
        number = None
        if not (
            self.operator not in replacements
            or getattr(self, "cascade", None)
            or any(node.type.is_pyobject or node.type.is_memoryviewslice for node in operands)
        ):
            number = mutants.number_at(self, self.operator)
        if number is None:
            return original(self)
        first, second = f"mutant_{number}_a", f"mutant_{number}_b"
        variables = "".join(
            f"__auto_type {name} = {node.result()}; "
            for name, node in zip((first, second), operands, strict=True)
        )
        self.operand1, self.operand2 = (
            Named(node, name) for name, node in zip((first, second), operands, strict=True)
        )
        try:
            plain = original(self)
        finally:
            self.operand1, self.operand2 = operands
        changed = f"({first} {replacements[self.operator]} {second})"
        return f"({{ {variables}MUTANT({number}) ? {changed} : {plain}; }})"

    return calculate_result_code


def sign_choice(original: Callable[[Any], str], mutants: Mutants) -> Callable[[Any], str]:
    """Return what writes a minus before an operand, or leaves it out."""

    def calculate_result_code(self: Any) -> str:
        number = None if self.operand.type.is_pyobject else mutants.number_at(self, "-")
        if number is None:
            return original(self)
        return f"({self.operand.result()} * (MUTANT({number}) ? 1 : -1))"

    return calculate_result_code


def teach_cython(mutants: Mutants) -> None:
    from Cython.Compiler import ExprNodes, Optimize

    for node, replacements in (
        (ExprNodes.NumBinopNode, ARITHMETIC),
        (ExprNodes.DivNode, ARITHMETIC),
        (ExprNodes.ModNode, ARITHMETIC),
        (ExprNodes.PrimaryCmpNode, COMPARISONS),
    ):
        node.calculate_result_code = choice(node.calculate_result_code, replacements, mutants)
    minus = ExprNodes.UnaryMinusNode
    minus.calculate_result_code = sign_choice(minus.calculate_result_code, mutants)
    # The sign of a coefficient is an operator like any other.
    Optimize.ConstantFolding._handle_UnaryMinusNode = lambda _, node: node


def mutated_header(text: str, mutants: Mutants) -> str:
    """Return C with a choice at each + - * between values; what is C's alone is written by hand."""
    lines = []
    for line, code in enumerate(text.splitlines(), 1):

        def replace(found: re.Match[str], line: int = line) -> str:
            number = mutants.number(HEADER, line, found.start("operator"), found["operator"])
            if found["operand"]:
                return f" * MUTANT_INVERSE({number}, {found['operand']})"
            return f" {found['operator']} MUTANT_SIGN({number}) * "

        if not code.lstrip().startswith(("#", "/*", "*")):
            code = re.sub(r" (?P<operator>[-+*]) (?P<operand>(?<=\* )\w+)?", replace, code)
        lines.append(code)
    return "\n".join(lines) + "\n"


def load_setup() -> Any:
    """Return setup.py, without what it does when it is run."""
    specification = importlib.util.spec_from_file_location("cnn_core_setup", "setup.py")
    assert specification
    assert specification.loader
    module = importlib.util.module_from_spec(specification)
    with mock.patch("setuptools.setup"), mock.patch.dict(os.environ, CNN_CORE_PURE_PYTHON="1"):
        specification.loader.exec_module(module)
    return module


def load(folder: Path) -> dict[int, Mutant]:
    """Return the mutants of a build by number."""
    listed = json.loads((folder / "mutants.json").read_text(encoding="utf-8"))
    return {int(number): Mutant(**fields) for number, fields in listed.items()}


def build(folder: Path, level: str) -> None:
    """Build the package with all mutants into `folder`, and the list of them.

    Run in the folder of setup.py, by a process that does nothing else: Cython is changed in it.
    """
    sources, package, headers = Path("cnn_core"), folder / "package", folder / "headers"
    mutants = Mutants(sources)
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(
        "pysrc/cnn_core", package / "cnn_core", ignore=shutil.ignore_patterns("*.so", "x86*")
    )
    headers.mkdir()
    (headers / "mutant.h").write_text(DECLARED, encoding="utf-8")
    (folder / "mutant.c").write_text(CHOSEN, encoding="utf-8")
    compile_library = ["gcc", "-shared", "-fPIC", str(folder / "mutant.c")]
    subprocess.run([*compile_library, "-o", str(package / LIBRARY)], check=True)

    setup = load_setup()
    flags = setup.isa_levels()[level]
    # Nothing is fused but what is asked to be, so that a choice changes no rounding.
    compile_flags = ["-O1", "-g0", "-w", *flags, "-ffp-contract=off", "-fno-math-errno"]
    compile_flags += ["-include", str((headers / "mutant.h").resolve())]
    setup.BUILD, setup.STAGED = folder, folder / "staged"
    setup.isa_levels = lambda: {level: flags}
    setup.compile_flags = lambda *_: compile_flags
    teach_cython(mutants)
    modules = setup.extensions()
    text = mutated_header((sources / HEADER).read_text(encoding="utf-8"), mutants)
    # Cython places a copy beside the C that it writes.
    for header in [headers / HEADER, *(folder / "c").rglob(HEADER)]:
        header.write_text(text, encoding="utf-8")
    for module in modules:
        module.include_dirs.insert(0, str(headers))
        module.libraries.append("cnn_core_mutant")
        module.extra_link_args.append(f"-L{package}")
        module.runtime_library_dirs.append(str(package.resolve()))
    compile_modules(modules, package, folder / "objects")

    reached = written(folder, headers, compile_flags)
    listed = {n: asdict(mutant) for mutant, n in mutants.numbers.items() if n in reached}
    (folder / "mutants.json").write_text(json.dumps(listed), encoding="utf-8")


def compile_modules(modules: list[Any], package: Path, objects: Path) -> None:
    from setuptools import Distribution

    command = Distribution({"name": "mutants", "ext_modules": modules}).get_command_obj("build_ext")
    command.build_lib, command.build_temp = str(package), str(objects)
    command.parallel = os.cpu_count()
    command.ensure_finalized()
    command.run()


def written(folder: Path, headers: Path, compile_flags: list[str]) -> set[int]:
    """Return the numbers that the compiler got to see, in C or in the header."""
    texts = [path.read_text(encoding="utf-8") for path in (folder / "c").rglob("*.c")]
    for macros in ([], ["-DCNN_CORE_FLOAT64"]):
        command = ["gcc", *compile_flags, *macros, "-E", str(headers / HEADER)]
        texts.append(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    number = r"(?:cnn_core_mutant == |MUTANT\()(\d+)"
    return {int(found) for text in texts for found in re.findall(number, text)}


if __name__ == "__main__":
    build(Path(sys.argv[1]), sys.argv[2])
