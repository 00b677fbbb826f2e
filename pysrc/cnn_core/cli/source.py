"""The value of ``--data`` and its options."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from cnn_core.cli.console import CommandError
from cnn_core.cli.image_files import Size
from cnn_core.cli.image_folders import holds_images
from cnn_core.data.idx import is_idx
from cnn_core.data.idx_folders import idx_files_in
from cnn_core.data.table_bytes import STANDARD_INPUT, name_of
from cnn_core.data.table_file import ENDINGS, TableLayout, is_table
from cnn_core.data.table_parts import are_several, files_of
from cnn_core.data.tables import ARRAYS
from cnn_core.files import checked_path

__all__ = ["KNOWN", "Source"]

# Data sets that are known by name.
KNOWN = ("fashion-mnist", "digits")

_OF_TABLES = {
    "target": "--target",
    "header": "--header and --no-header",
    "separator": "--separator",
    "encoding": "--encoding",
    "decimal": "--decimal",
    "sheet": "--sheet",
    "ignore": "--ignore",
    "categorical": "--categorical",
    "numerical": "--numerical",
    "missing": "--missing",
    "date_order": "--date-order",
}


@dataclass(frozen=True)
class Source:
    """The arguments that select the data; stored with a run, so that the data can be read again.

    Attributes
    ----------
    data : str
        As ``--data`` or ``--images``: ``"fashion-mnist"``, ``"digits"``, a file, a pattern of the
        files of one table, a folder, or ``"-"`` for standard input.
    labels, target, header, folder, separator, encoding, decimal, sheet
        As the arguments ``--labels``, ``--target``, ``--header``, ``--data-folder`` and so on.
    ignore, categorical, numerical : tuple of str
        Columns with settings of the user.
    missing : tuple of str
        Cells that mean a missing value.
    date_order : str, optional
        ``"day-first"`` or ``"month-first"``, for ambiguous dates.
    images : bool, optional
        True for a folder of images, with a folder for each class.
    size : str, optional
        As ``--size``.
    """

    data: str
    labels: str | None = None
    target: str | None = None
    header: bool | None = None
    folder: str | None = None
    separator: str | None = None
    encoding: str | None = None
    decimal: str | None = None
    sheet: str | None = None
    ignore: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    numerical: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    date_order: str | None = None
    images: bool | None = None
    size: str | None = None

    def __post_init__(self) -> None:
        """Refuse arguments that do not fit the data."""
        for name in ("data", "labels", "folder"):
            if (path := getattr(self, name)) is not None:
                checked_path(path, f"--{name}")
        ending = Path(self.data).suffix.lower()
        if self.folder is not None and self.data != "fashion-mnist":
            raise CommandError(f"--data-folder belongs to fashion-mnist, not to {self.data}")
        if self.labels is not None and ending != ".npy" and not is_idx(self.data):
            raise CommandError(f"--labels belongs to an .npy or IDX file, not to {self.data}")
        if self.size is not None:
            if not self.images:
                raise CommandError(f"--size belongs to a folder of images, not to {self.data}")
            Size.of(self.size)
        for name, option in _OF_TABLES.items():
            if getattr(self, name) not in (None, ()) and not self.is_table:
                verb = "belong" if " and " in option else "belongs"
                raise CommandError(f"{option} {verb} to a table, such as .csv, not to {self.data}")

    @classmethod
    def from_arguments(cls, arguments: Any) -> Source:
        """Return the source that the arguments of `cnn_core.cli.arguments.add_data` name."""
        folder = arguments.data_folder
        said: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name in _OF_TABLES
            if (value := getattr(arguments, name, None)) is not None
        }
        folder = None if folder is None else str(folder)
        data = arguments.data
        images = getattr(arguments, "images", None) or (data not in KNOWN and holds_images(data))
        return cls(
            data=data,
            labels=arguments.labels,
            folder=folder,
            images=True if images else None,
            size=getattr(arguments, "size", None),
            **said,
        )

    def require_readable(self) -> None:
        """Refuse data of a kind that cannot be read.

        Raises
        ------
        CommandError
        """
        path = Path(self.data)
        if not self.is_file or self.images or self.is_table or is_idx(path):
            return
        if path.suffix.lower() in ARRAYS or idx_files_in(path) is not None:
            return
        likely = get_close_matches(self.data, KNOWN, n=1)
        hint = f"; did you mean {likely[0]}?" if likely else ""
        found = f"the folder {path}" if path.is_dir() else repr(self.data)
        raise CommandError(
            f"--data: expected {', '.join(KNOWN)}, - for standard input, or a file whose name ends "
            f"in {', '.join((*ARRAYS, *ENDINGS))} or -idx3-ubyte, or a folder of such IDX files, "
            f"or of images by their classes, found {found}{hint}"
        )

    @property
    def is_file(self) -> bool:
        """Whether the data are a file, or a folder, of the user's."""
        return self.data not in KNOWN

    @property
    def name(self) -> str:
        """A short name, suitable for a folder."""
        if self.data == STANDARD_INPUT:
            return "stdin"
        path = Path(self.data.removesuffix(".gz"))
        if are_several(self.data):
            return path.stem.strip("*?[]-_. ") or "files"
        # For "." use the name of the folder.
        return path.stem or path.resolve().name if self.is_file else self.data

    @property
    def files(self) -> list[str]:
        """The files of a table: one, or those that match a pattern such as ``part-*.csv``.

        Raises
        ------
        FileNotFoundError
            If none matches it.
        """
        return files_of(self.data)

    @property
    def file_names(self) -> list[str]:
        """Names of the files in a record, with folders if names are equal."""
        files = self.files
        if files == [STANDARD_INPUT]:
            return [name_of(STANDARD_INPUT)]
        names = [Path(file).name for file in files]
        return names if len(set(names)) == len(names) else files

    @property
    def is_table(self) -> bool:
        """Whether the data are a table."""
        return self.is_file and not self.images and is_table(self.data)

    @property
    def image_size(self) -> Size | None:
        """Size to which images are resized."""
        return None if self.size is None else Size.of(self.size)

    @property
    def layout(self) -> TableLayout:
        """The user's settings for the format of a table."""
        return TableLayout(self.header, self.separator, self.encoding, self.sheet)

    def absolute(self) -> Source:
        """Return a source that means the same from any folder."""
        values = asdict(self)
        is_path = self.is_file and self.data != STANDARD_INPUT
        for key in ("labels", "folder", *(["data"] if is_path else [])):
            if values[key] is not None:
                values[key] = str(Path(values[key]).absolute())
        return Source(**values)
