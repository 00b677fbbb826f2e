"""Data sets and the readers of data files."""

from __future__ import annotations

from .checks import DataError, DataNotFoundError
from .dataset import Dataset
from .digits import load_digits
from .fashion_mnist import load_fashion_mnist
from .idx import read_idx
from .tables import Table, load_file

__all__ = [
    "DataError",
    "DataNotFoundError",
    "Dataset",
    "Table",
    "load_digits",
    "load_fashion_mnist",
    "load_file",
    "read_idx",
]
