"""The settings of a network; each is checked when it is set."""

from __future__ import annotations

from cnn_core.validation import flag, positive, whole


class TrainingSettings:
    """The settings that may be changed between two trainings."""

    __slots__ = ("_batch_size", "_epochs", "_lr", "_shuffle", "_verbose")

    @property
    def lr(self) -> float:
        """The learning rate, above 0."""
        return self._lr

    @lr.setter
    def lr(self, value: float) -> None:
        self._lr: float = positive("learning_rate", value)

    @property
    def epochs(self) -> int:
        """Passes over the data of one `fit`."""
        return self._epochs

    @epochs.setter
    def epochs(self, value: int) -> None:
        self._epochs: int = whole("epochs", value, 0)

    @property
    def batch_size(self) -> int:
        """Samples of one step."""
        return self._batch_size

    @batch_size.setter
    def batch_size(self, value: int) -> None:
        self._batch_size: int = whole("batch_size", value, 1)

    @property
    def shuffle(self) -> bool:
        """Whether every epoch sees the samples in another order."""
        return self._shuffle

    @shuffle.setter
    def shuffle(self, value: bool) -> None:
        self._shuffle: bool = flag("shuffle", value)

    @property
    def verbose(self) -> int:
        """1 to print a line per epoch, 0 for silence."""
        return self._verbose

    @verbose.setter
    def verbose(self, value: int) -> None:
        self._verbose: int = whole("verbose", int(value) if isinstance(value, bool) else value, 0)
