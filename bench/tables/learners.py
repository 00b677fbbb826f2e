"""Who races, by name: boosted trees, two nets of PyTorch, and ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import distribution
from importlib.util import find_spec
from pathlib import Path

from tables.nets import Ours, RealMLP, TabM
from tables.setting import Model, Setting
from tables.trees import CatBoost, HistGradientBoosting, LightGBM, XGBoost

__all__ = ["LEARNERS", "Learner"]


@dataclass(frozen=True)
class Learner:
    """A learner by its name.

    Attributes
    ----------
    package : str
        What has to be installed, by its name for pip.
    module : str
        The same as it is imported.
    make : callable
        Returns a `Model` for a `Setting`.
    needs : tuple of str
        What comes with it, for the size it takes on disk.
    """

    package: str
    module: str
    make: Callable[[Setting], Model]
    needs: tuple[str, ...] = ()

    @property
    def is_installed(self) -> bool:
        """Whether it can take part."""
        return find_spec(self.module) is not None

    @property
    def version(self) -> str:
        """The installed version."""
        return distribution(self.package).version

    @property
    def megabytes(self) -> float:
        """What it takes on disk with what it needs, beyond NumPy, SciPy and pandas."""
        return sum(map(_size, (self.package, *self.needs))) / 1e6


def _size(package: str) -> int:
    files = distribution(package).files or []
    paths = [file.locate() for file in files]
    return sum(path.stat().st_size for path in map(Path, map(str, paths)) if path.is_file())


_CATBOOST_NEEDS = ("plotly", "matplotlib", "graphviz")
_PYTABKIT_NEEDS = ("torch",)

LEARNERS: dict[str, Learner] = {
    "cnn_core_fast": Learner("cnn-core", "cnn_core", partial(Ours, quality="fast")),
    "cnn_core_balanced": Learner("cnn-core", "cnn_core", partial(Ours, quality="balanced")),
    "cnn_core_best": Learner("cnn-core", "cnn_core", partial(Ours, quality="best")),
    "lightgbm": Learner("lightgbm", "lightgbm", LightGBM),
    "lightgbm_stopped": Learner("lightgbm", "lightgbm", partial(LightGBM, stops=True)),
    "xgboost": Learner("xgboost-cpu", "xgboost", XGBoost),
    "xgboost_stopped": Learner("xgboost-cpu", "xgboost", partial(XGBoost, stops=True)),
    "histgb": Learner("scikit-learn", "sklearn", HistGradientBoosting),
    "histgb_stopped": Learner("scikit-learn", "sklearn", partial(HistGradientBoosting, stops=True)),
    "catboost": Learner("catboost", "catboost", CatBoost, _CATBOOST_NEEDS),
    "catboost_stopped": Learner(
        "catboost", "catboost", partial(CatBoost, stops=True), _CATBOOST_NEEDS
    ),
    "realmlp": Learner("pytabkit", "pytabkit", RealMLP, _PYTABKIT_NEEDS),
    "tabm": Learner("pytabkit", "pytabkit", TabM, _PYTABKIT_NEEDS),
}
