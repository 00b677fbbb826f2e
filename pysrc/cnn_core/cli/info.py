"""``cnn-core info``: what computes on this machine."""

from __future__ import annotations

import argparse
import json
import platform
from typing import Any

from cnn_core import backend_info
from cnn_core.cli import arguments as args
from cnn_core.cli.console import show

__all__ = ["add_parser", "run"]


def add_parser(commands: args.Subcommands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "info",
        help="show what computes: backend, ISA level, versions, paths",
        description="Shows what computes on this machine, and which files it was loaded from.",
        allow_abbrev=False,
    )
    args.add_backend(parser)
    parser.add_argument("--json", action="store_true", help="as JSON, for programs")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Carry the command out; the exit code is 0."""
    info = backend_info(arguments.backend)
    show(json.dumps(info, indent=2) if arguments.json else _text(info))
    return 0


def _text(info: dict[str, Any]) -> str:
    versions = info["versions"]
    cython = versions["cython"]
    rows = [
        ("backend", info["backend"]),
        ("available", ", ".join(info["available"])),
        ("ISA level", info["isa"]),
        ("built for", ", ".join(info["isa_built"]) or "-"),
        *([("processor has", ", ".join(info["isa_detected"]))] if info["isa_detected"] else []),
        ("threads", "as NumPy's BLAS decides" if info["threads"] is None else info["threads"]),
        ("compiler", info["compiler"] or "-"),
        *([("sanitized", "yes: every access to memory is checked, slowly")] * info["sanitized"]),
        ("cnn_core", versions["cnn_core"]),
        ("Python", f"{versions['python']} on {platform.platform()}"),
        ("NumPy", versions["numpy"]),
        ("Cython", f"{cython} (at build time)" if cython else "-"),
    ]
    lines = [f"{name:<14} {value}" for name, value in rows]
    lines += ["", "loaded from", *(f"  {path}" for path in info["modules"].values())]
    return "\n".join(lines)
