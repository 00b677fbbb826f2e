"""The live page of a training: ``cnn-core train --watch``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from cnn_core.cli.console import one_line, show_progress
from cnn_core.cli.pages.contents import Contents, History, Tile
from cnn_core.cli.pages.drawing import DrawingField
from cnn_core.cli.pages.live import NetworkProgress, Progress, page_of
from cnn_core.cli.pages.server import LivePage, served
from cnn_core.cli.pages.weights import weight_pictures
from cnn_core.cli.run_page import contents_of, shown_settings
from cnn_core.cli.run_report import record, tested_of
from cnn_core.cli.sources import Samples
from cnn_core.cli.trained_model import Trained, describe_backend, describe_network
from cnn_core.cli.training import Training, history_of
from cnn_core.model import Model

__all__ = ["field_of", "shown_live", "so_far", "watching"]

# For a browser that shows the page to fetch what it shows at last.
_SECONDS_AT_THE_END = 3.0


@contextmanager
def watching(training: Training, folder: Path, port: int) -> Iterator[None]:
    """Serve the live page of a training while the block runs; its address goes to standard error.

    Parameters
    ----------
    training : Training
        Not yet run.
    folder : pathlib.Path
        Its run folder.
    port : int
        0: any that is free.

    Raises
    ------
    OSError
        If the port is taken.
    """
    samples = training.samples
    progress = NetworkProgress(
        lambda model: so_far(
            model,
            samples,
            training.settings(),
            measured=training.parts.measured,
            length=training.plan.length,
            computed_by=describe_backend(training.backend),
        ),
        len(samples.class_names),
        training.plan.length,
    )
    field = field_of(samples, progress.network)
    training.callbacks.append(progress)
    page = page_of(one_line(samples.name), progress.state, field)

    def at_the_end() -> Contents:
        return contents_of(tested_of(training, folder, record(training)))

    with shown_live(progress, page, port, at_the_end):
        yield


@contextmanager
def shown_live(
    progress: Progress, page: LivePage, port: int, at_the_end: Callable[[], Contents]
) -> Iterator[None]:
    """Serve a page while the block runs, and for a moment what there is to show at the end.

    Parameters
    ----------
    progress : Progress
        What the page shows.
    page : LivePage
    port : int
    at_the_end : callable
        Returns the contents of the page once the training has ended.
    """
    with served(page, port) as address:
        show_progress(f"watch it at {address}")
        yield
        progress.ends(at_the_end())
        progress.wait_until_seen(_SECONDS_AT_THE_END)


def so_far(
    model: Model,
    samples: Samples,
    settings: dict[str, Any],
    *,
    measured: str,
    length: str,
    computed_by: str | None = None,
) -> Contents:
    """Return what the page tells of a training that goes on.

    Parameters
    ----------
    model : Model
        What was learned so far, with its history.
    samples : Samples
    settings : dict
        As the record keeps them.
    measured : str
        What is measured after every epoch: ``"test"`` or ``"validation"``.
    length : str
        How long it will take.
    computed_by : str, optional
    """
    history = history_of(model)
    done = len(history["loss"])
    seconds = float(np.sum(history["seconds"]))
    accuracies = history.get("validation_accuracy") or history.get("accuracy") or []
    smoothed = ", with smoothed labels" if settings.get("label_smoothing") else ""
    tiles = [
        Tile(f"{done}", f"epochs of {length}"),
        Tile(f"{history['loss'][-1]:.4f}", f"loss of the training{smoothed}"),
        Tile(f"{seconds:.1f} s", "of training"),
        Tile(f"{model.samples_done / max(seconds, 1e-9):,.0f}", "samples a second"),
    ]
    if accuracies:
        tiles.insert(1, Tile(f"{accuracies[-1]:.4f}", f"accuracy, {measured}"))
    shape = samples.x_train.shape[1:] if samples.x_train.ndim > 2 else None
    by = {} if computed_by is None else {"computed by": computed_by}
    return Contents(
        title=samples.name,
        sentence=f"A network {describe_network(model.network)} is learning from "
        f"{samples.name} to tell {len(samples.class_names)} classes apart.",
        tiles=tiles,
        history=History(history, measured, loss_name=f"Loss{smoothed}"),
        weights=weight_pictures(model, shape, samples.feature_names),
        facts={"Settings": shown_settings({**settings, **by})},
    )


def field_of(samples: Samples, network: Callable[[], Trained | None]) -> DrawingField | None:
    """Return a field to draw samples in, None if they are no images that can be drawn."""
    if not DrawingField.fits(samples.x_test, samples.scaling):
        return None
    shape = samples.x_test.shape[1:]
    return DrawingField(shape, samples.class_names, samples.scaling, samples.x_test, network)
