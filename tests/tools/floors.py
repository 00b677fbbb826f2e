"""Check the floors of the package: no import goes up, and none goes round in a circle.

Imports for the type checker alone and those inside functions count like any other. `make lint`
runs it; exit status 1 if there is something to mend.
"""

from __future__ import annotations

import sys

# From the top down. What stands on one floor imports from the floors below it, and not from each
# other; the modules of a package may import from each other, but not in a circle.
FLOORS = (
    ("__main__",),
    ("cli",),
    ("parity",),
    # The package itself: what `import cnn_core` gives.
    ("",),
    # Paths of public names that moved.
    (
        "callbacks",
        "checkpoints",
        "contracts",
        "integrations",
        "learning_rates",
        "memory",
        "model_file",
        "saved_model",
        "schedules",
    ),
    ("loading",),
    ("dask",),
    ("images", "tables"),
    ("nn", "estimators"),
    ("members", "nn_attributes", "sharding"),
    ("model",),
    ("input_gradients",),
    ("export",),
    ("bound_network", "model_data"),
    ("io",),
    ("data", "training"),
    ("backends",),
    ("displays", "initializers", "settings", "targets", "tolerances"),
    ("arrays", "network"),
    ("losses", "optimizers", "stack"),
    ("class_targets", "layers", "outputs", "sparse"),
    ("containers", "exclusive", "files", "interrupts", "standardization", "types", "validation"),
    ("lazy_imports",),
    ("_native", "_version"),
)
PACKAGE = "cnn_core"


def main() -> int:
    import grimp

    graph = grimp.build_graph(PACKAGE, exclude_type_checking_imports=False, cache_dir=None)
    imports = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}
    faults = [*upward(imports), *circles(imports)]
    print("\n".join(faults) or f"{len(imports)} modules on {len(FLOORS)} floors, in no circle")
    return 1 if faults else 0


def upward(imports: dict[str, set[str]]) -> list[str]:
    """Return what is wrong with the floors, a line for each import."""
    floor_of = {part: number for number, floor in enumerate(FLOORS) for part in floor}
    faults = []
    for part in sorted({_part(name) for name in imports} - set(floor_of)):
        faults.append(f"{PACKAGE}.{part} stands on no floor: add it to FLOORS in {__file__}")
    for name in sorted(imports):
        for other in sorted(imports[name]):
            above, below = floor_of.get(_part(name)), floor_of.get(_part(other))
            if above is None or below is None or _part(name) == _part(other):
                continue
            if below == above:
                faults.append(f"{name} imports {other}, which stands on the same floor")
            elif below < above:
                faults.append(f"{name} imports {other}, which stands above it")
    return faults


def circles(imports: dict[str, set[str]]) -> list[str]:
    """Return the shortest circle through each module that has one, a line for each circle."""
    found = {}
    for start in sorted(imports):
        path = _way_back(start, imports)
        if path:
            found.setdefault(frozenset(path), f"a circle: {' -> '.join([*path, start])}")
    return list(found.values())


def _way_back(start: str, imports: dict[str, set[str]]) -> list[str]:
    """Return the shortest path along imports from a module back to it, without its end."""
    paths = [[start]]
    seen = {start}
    for path in paths:
        for other in sorted(imports[path[-1]]):
            if other == start:
                return path
            if other not in seen:
                seen.add(other)
                paths.append([*path, other])
    return []


def _part(name: str) -> str:
    """Return the module or package right below the package that a module belongs to."""
    return name.partition(".")[2].partition(".")[0]


if __name__ == "__main__":
    sys.exit(main())
