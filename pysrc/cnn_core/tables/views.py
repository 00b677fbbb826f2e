"""Settings of a group of networks: encoding of the table, layers and training."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from cnn_core.io.fields import Fields
from cnn_core.layers import HIDDEN_ACTIVATIONS, NORMALIZATIONS, Activation, Normalization
from cnn_core.validation import at_least_0, flag, positive, require_known, share, whole

MOST_BINS = 1024


@dataclass(frozen=True)
class View:
    """Encoding of a table, and settings of the networks trained on it.

    Attributes
    ----------
    bins : int
        Bins of the piecewise-linear encoding of a number; 0 for none.
    hidden : tuple of int
        Units of each hidden layer.
    activation : str
    normalization : {"batch", "layer"} or None
    dropout : float
    learning_rate, weight_decay : float
        Of AdamW.
    steps : int
        Largest number of steps of each network.
    patience : float
        Above 0: a network stops when its loss on held-out rows has not improved for this share of
        the steps.
    smoothing : float
        Share of a class's target that is spread over all classes, from 0 to below 1.
    averaging : float
        Above 0: predictions use a running average of the weights with this decay.
    zero_pieces : bool
        Whether the weights of the piecewise-linear encoding start at 0.
    """

    bins: int = 32
    hidden: tuple[int, ...] = (128, 128)
    activation: Activation = "relu"
    normalization: Normalization | None = None
    dropout: float = 0.1
    learning_rate: float = 0.004
    weight_decay: float = 0.01
    steps: int = 2000
    patience: float = 0.0
    smoothing: float = 0.0
    averaging: float = 0.0
    zero_pieces: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.hidden, tuple | list):
            raise TypeError(f"hidden: expected whole numbers, found {self.hidden!r:.80}")
        object.__setattr__(self, "hidden", tuple(self.hidden))
        whole("bins", self.bins, 0, MOST_BINS)
        for units in self.hidden:
            whole("hidden", units, 1)
        require_known("activation", self.activation, HIDDEN_ACTIVATIONS)
        if self.normalization is not None:
            require_known("normalization", self.normalization, NORMALIZATIONS)
        share("dropout", self.dropout)
        positive("learning_rate", self.learning_rate)
        at_least_0("weight_decay", self.weight_decay)
        whole("steps", self.steps, 1)
        share("patience", self.patience)
        share("smoothing", self.smoothing)
        share("averaging", self.averaging)
        flag("zero_pieces", self.zero_pieces)

    def to_json(self) -> dict[str, Any]:
        """Return it in terms of JSON."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    @classmethod
    def from_json(cls, values: Any, place: str) -> View:
        """Return the view from the result of `to_json`.

        Raises
        ------
        TypeError, ValueError
            For anything else.
        """
        inside = Fields(values, place)
        known = {one.name for one in fields(cls)}
        for name in inside:
            if name not in known:
                raise ValueError(f"{inside.name(name)}: unknown; a newer cnn_core may read it")
        # Settings missing in older files have their defaults.
        return cls(**inside.values)
