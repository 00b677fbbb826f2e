"""Write the JSON records of a run, and read them field by field."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from cnn_core.cli.console import CommandError
from cnn_core.cli.source import Source
from cnn_core.files import open_file, write_text
from cnn_core.io.fields import Fields, parsed

__all__ = [
    "check_format",
    "damaged",
    "read_record",
    "record_head",
    "source_from_json",
    "source_to_json",
    "write_json",
]

# Longer records are refused: enough for 600,000 features with names and scaling.
MAX_RECORD_BYTES = 64 * 2**20


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Write values as JSON for people: indented, but each list of numbers on one line."""
    text = json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False)
    numbers = re.compile(r"\[\s+([-+.\deE,\s]+?)\s+\]")
    text = numbers.sub(lambda match: "[" + re.sub(r"\s+", " ", match[1]) + "]", text)
    write_text(path, text + "\n")


def record_head(kind: str, version: int, argv: list[str]) -> dict[str, Any]:
    """Return the first fields of every record: kind, command, versions, date."""
    from cnn_core import __version__

    return {
        "format": kind,
        "format_version": version,
        "cnn_core": __version__,
        "date": datetime.now().astimezone().isoformat(timespec="seconds"),
        "command": ["cnn-core", *argv],
    }


def read_record(path: Path) -> Fields:
    """Read a record.

    Raises
    ------
    CommandError
        If it is not a JSON object, or too long.
    OSError
        If it cannot be read.
    """
    with damaged(path):
        with open_file(path) as stream:
            contents = stream.read(MAX_RECORD_BYTES + 1)
        if len(contents) > MAX_RECORD_BYTES:
            raise ValueError(f"expected at most {MAX_RECORD_BYTES} bytes, found more")
        return Fields(parsed(contents))


@contextmanager
def damaged(path: Path) -> Iterator[None]:
    """Convert errors of fields to an error about the record.

    Raises
    ------
    CommandError
        Instead of these errors.
    """
    try:
        yield
    except (ValueError, TypeError, OverflowError) as error:
        raise CommandError(f"{path}: not the record of a run, or damaged ({error})") from error


def check_format(fields: Fields, kind: str, versions: tuple[int, ...]) -> None:
    """Check that kind and version of a record are supported.

    Raises
    ------
    TypeError, ValueError
        If it is not.
    """
    found, version = fields.text("format"), fields.whole("format_version")
    if found != kind or version not in versions:
        raise ValueError(
            f"expected {kind!r}, version {' or '.join(map(str, versions))}, found {found!r:.80}, "
            f"version {version}; a newer cnn_core may read it"
        )


def source_to_json(source: Source) -> dict[str, Any]:
    """Return a source for the record, with absolute paths."""
    return asdict(source.absolute())


def source_from_json(fields: Fields) -> Source:
    """Return the source from the result of `source_to_json`.

    Raises
    ------
    TypeError, ValueError
        For anything else.
    """
    known: dict[str, Any] = {"header": fields.optional(fields.flag, "header")}
    texts: tuple[str, ...] = ("labels", "target", "folder")
    # Missing in records of earlier versions.
    texts += tuple(
        one
        for one in ("separator", "encoding", "decimal", "sheet", "size", "date_order")
        if one in fields
    )
    known |= {name: fields.optional(fields.text, name) for name in texts}
    columns = ("ignore", "categorical", "numerical", "missing")
    known |= {name: fields.texts(name) for name in columns if name in fields}
    if "images" in fields:
        known["images"] = fields.optional(fields.flag, "images")
    return Source(data=fields.text("data"), **known)
