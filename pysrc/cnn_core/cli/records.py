"""The records of a run, in JSON: how they are written, and read field by field."""

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

# Of a longer record nothing is read: 600,000 features, each with its name and its scaling.
MAX_RECORD_BYTES = 64 * 2**20


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Write values as JSON for people: indented, but each list of numbers on one line."""
    text = json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False)
    numbers = re.compile(r"\[\s+([-+.\deE,\s]+?)\s+\]")
    text = numbers.sub(lambda match: "[" + re.sub(r"\s+", " ", match[1]) + "]", text)
    write_text(path, text + "\n")


def record_head(kind: str, version: int, argv: list[str]) -> dict[str, Any]:
    """Return what every record begins with: of what kind it is, what was run, by what, when."""
    from cnn_core import __version__

    return {
        "format": kind,
        "format_version": version,
        "cnn_core": __version__,
        "date": datetime.now().astimezone().isoformat(timespec="seconds"),
        "command": ["cnn-core", *argv],
    }


def read_record(path: Path) -> Fields:
    """Return what a record holds.

    Raises
    ------
    CommandError
        If it is no object in JSON, or longer than any that is written.
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
    """Turn the errors of fields into one about their record.

    Raises
    ------
    CommandError
        In the place of these errors.
    """
    try:
        yield
    except (ValueError, TypeError, OverflowError) as error:
        raise CommandError(f"{path}: not the record of a run, or damaged ({error})") from error


def check_format(fields: Fields, kind: str, versions: tuple[int, ...]) -> None:
    """Check that the kind and the version of a record can be read.

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
    """Return a source as the record keeps it: so that it is found from any folder."""
    return asdict(source.absolute())


def source_from_json(fields: Fields) -> Source:
    """Return the source that `source_to_json` gave.

    Raises
    ------
    TypeError, ValueError
        For anything else.
    """
    known: dict[str, Any] = {"header": fields.optional(fields.flag, "header")}
    texts: tuple[str, ...] = ("labels", "target", "folder")
    # Records of earlier versions lack the others.
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
