"""The contents of a page as plain values; names from the data are not escaped."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from cnn_core.cli.pages.pictures import ImageGrid

__all__ = [
    "Contents",
    "History",
    "Importance",
    "Member",
    "Members",
    "Row",
    "Shown",
    "Table",
    "Tile",
    "WeightPictures",
]

Row = tuple[str, str]


@dataclass(frozen=True)
class Tile:
    """A headline number of the page, with its label."""

    value: str
    label: str


@dataclass(frozen=True)
class History:
    """The values of each epoch.

    Attributes
    ----------
    values : dict of str to list of float
        As `cnn_core.Model.history`.
    measured : str
        Kind of the validation data: ``"test"`` or ``"validation"``.
    kept_epoch : int or None
        Number of the epoch whose weights were kept, if not the last.
    loss_name : str
    """

    values: dict[str, list[float]]
    measured: str = "test"
    kept_epoch: int | None = None
    loss_name: str = "Loss"


@dataclass(frozen=True)
class Member:
    """The loss of a network of an ensemble, epoch by epoch."""

    losses: tuple[float, ...]
    is_done: bool


@dataclass(frozen=True)
class Members:
    """The started networks of an ensemble, in the order of their start.

    Attributes
    ----------
    loss_name : str
        Name of the loss.
    """

    members: tuple[Member, ...]
    loss_name: str


@dataclass(frozen=True)
class Table:
    """Some rows of a table, as text.

    Attributes
    ----------
    columns : tuple of str
    rows : tuple of tuple of str
    left_out : int
        Number of columns that are not shown.
    numeric : tuple of bool
        For each column whether its cells are numbers.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left_out: int
    numeric: tuple[bool, ...]


@dataclass(frozen=True)
class Shown:
    """Some samples: a grid of images, or rows of a table.

    Attributes
    ----------
    of : int
        Total number of samples; the first are shown.
    """

    of: int
    images: ImageGrid | None = None
    table: Table | None = None

    @property
    def count(self) -> int:
        """How many samples are shown."""
        if self.images is not None:
            return self.images.shown
        return 0 if self.table is None else len(self.table.rows)


@dataclass(frozen=True)
class WeightPictures:
    """The weights of the first layer as images.

    Attributes
    ----------
    kind : {"units", "filters", "table"}
    images : ImageGrid
    of : int
        Total number of units; those with the largest weights are shown.
    names : tuple of str
        Of the columns, for a table.
    """

    kind: str
    images: ImageGrid
    of: int
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Importance:
    """Increase of the loss if a column is shuffled, most important columns first."""

    names: tuple[str, ...]
    means: tuple[float, ...]
    deviations: tuple[float, ...]
    of: int


@dataclass(frozen=True, eq=False)
class Contents:
    """All contents of a page; None and empty parts are left out.

    Attributes
    ----------
    title, sentence : str
    tiles : list of Tile
    history : History or None
    members : Members or None
    classes : cnn_core.cli.pages.classes.ClassResults or None
    numbers : cnn_core.cli.pages.numbers.NumberResults or None
    weights : WeightPictures or None
    importance : Importance or None
    facts : dict of str to list of (str, str)
        Tables of names and values by their titles: data, settings, versions.
    commands : list of (str, str)
        Next steps with the run, and their commands.
    """

    title: str
    sentence: str
    tiles: list[Tile] = field(default_factory=list)
    history: History | None = None
    members: Members | None = None
    classes: Any = None
    numbers: Any = None
    weights: WeightPictures | None = None
    importance: Importance | None = None
    facts: dict[str, list[Row]] = field(default_factory=dict)
    commands: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
