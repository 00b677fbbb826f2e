"""What a learner came to, whichever library it is of."""

from __future__ import annotations

from dataclasses import dataclass

from cnn_core.network import IndexArray


@dataclass(frozen=True)
class Learned:
    """What a learner came to.

    Attributes
    ----------
    title : str
    seconds : float
        Of the training.
    predicted : (n_test,) array of int
    differs : tuple of str
        Where it could not follow the recipe.
    """

    title: str
    seconds: float
    predicted: IndexArray
    differs: tuple[str, ...] = ()
