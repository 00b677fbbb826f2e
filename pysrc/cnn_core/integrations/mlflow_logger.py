"""`MLflowLogger`: parameters, curves and the model of a training in MLflow."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

from cnn_core.integrations.tool import ToolCallback, measured_in, settings_of, tool
from cnn_core.training.state import TrainingState
from cnn_core.validation import flag

# Longest parameter value that MLflow accepts.
_MOST_CHARACTERS = 6000


class MLflowLogger(ToolCallback):
    """Logs a training to MLflow: its parameters, each epoch, and the model.

    It logs to the active run, or to a new one that ends with the training. The model is logged as
    the file that `save` writes, without anything that could run:
    ``cnn_core.load(mlflow.artifacts.download_artifacts(...))`` reads it.

    Parameters
    ----------
    run_name : str, optional
        Name of a new run.
    log_model : bool
        Whether to log the model at the end.

    Raises
    ------
    ImportError
        When a training begins, if mlflow is not installed; mlflow-skinny is enough.
    """

    _settings = ("run_name", "log_model")

    def __init__(self, run_name: str | None = None, *, log_model: bool = True) -> None:
        self.run_name = run_name
        self.log_model = flag("log_model", log_model)
        self._own_run = False

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _own_run=False)

    def on_train_begin(self, state: TrainingState) -> None:
        """Log the parameters."""
        mlflow = tool("mlflow", "mlflow-skinny")
        if mlflow.active_run() is None:
            mlflow.start_run(run_name=self.run_name)
            self._own_run = True
        values = {name: str(value) for name, value in settings_of(state).items()}
        mlflow.log_params({name: value[:_MOST_CHARACTERS] for name, value in values.items()})

    def on_epoch_end(self, state: TrainingState) -> None:
        """Log the measurements of the epoch."""
        assert state.record is not None
        values = {k: v for k, v in measured_in(state.record).items() if math.isfinite(v)}
        tool("mlflow", "mlflow-skinny").log_metrics(values, step=state.record.epoch)

    def on_train_end(self, state: TrainingState) -> None:
        """Log the model, and end a run that was started here."""
        mlflow = tool("mlflow", "mlflow-skinny")
        try:
            if self.log_model and state.record is not None:
                with tempfile.TemporaryDirectory() as folder:
                    path = Path(folder) / "model.safetensors"
                    state.owner.save(path)
                    mlflow.log_artifact(str(path), "model")
        finally:
            if self._own_run:
                self._own_run = False
                mlflow.end_run("FINISHED" if state.record is not None else "FAILED")
