"""The value of ``--data`` and its options."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cnn_core.cli.console import CommandError
from cnn_core.files import checked_path

__all__ = ["KNOWN", "Source"]

# Data sets that are known by name.
KNOWN = ("fashion-mnist", "digits")


@dataclass(frozen=True)
class Source:
    """What was typed to name the data; kept with a run, so that the data can be read again.

    Attributes
    ----------
    data : str
        ``"fashion-mnist"``, ``"digits"`` or a file.
    labels, target, header, folder
        As the arguments ``--labels``, ``--target``, ``--header`` and ``--data-folder``.
    """

    data: str
    labels: str | None = None
    target: str | None = None
    header: bool | None = None
    folder: str | None = None

    def __post_init__(self) -> None:
        """Refuse arguments that do not go with the data."""
        for name in ("data", "labels", "folder"):
            if (path := getattr(self, name)) is not None:
                checked_path(path, f"--{name}")
        ending = Path(self.data).suffix.lower()
        if self.folder is not None and self.data != "fashion-mnist":
            raise CommandError(f"--data-folder belongs to fashion-mnist, not to {self.data}")
        if self.labels is not None and ending != ".npy":
            raise CommandError(f"--labels belongs to an .npy file, not to {self.data}")
        if (self.target is not None or self.header is not None) and ending != ".csv":
            raise CommandError(
                f"--target, --header and --no-header belong to a .csv file, not to {self.data}"
            )
        if self.target is not None and self.header is False:
            raise CommandError("--target names a column, which --no-header rules out")

    @classmethod
    def from_arguments(cls, arguments: Any) -> Source:
        """Return the source that the arguments of `cnn_core.cli.arguments.add_data` name."""
        folder = arguments.data_folder
        return cls(
            data=arguments.data,
            labels=arguments.labels,
            target=arguments.target,
            header=arguments.header,
            folder=None if folder is None else str(folder),
        )

    @property
    def is_file(self) -> bool:
        """Whether the data are a file of the user's."""
        return self.data not in KNOWN

    def absolute(self) -> Source:
        """Return a source that means the same from any folder."""
        values = asdict(self)
        for key in ("labels", "folder", *(["data"] if self.is_file else [])):
            if values[key] is not None:
                values[key] = str(Path(values[key]).absolute())
        return Source(**values)
