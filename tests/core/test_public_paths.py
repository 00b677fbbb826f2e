"""Public names can be imported from where they always could."""

from __future__ import annotations

import importlib

import pytest

PATHS = {
    "cnn_core.callbacks": "Callback CSVLog EarlyStopping OnEpoch PrintEpochs ProgressBar SaveModel "
    "TimeBudget",
    "cnn_core.checkpoints": "Checkpoint CheckpointError",
    "cnn_core.contracts": "Engine Kernels Predictor",
    "cnn_core.learning_rates": "LearningRates find_learning_rate",
    "cnn_core.memory": "CACHE_LINE aligned",
    "cnn_core.model": "Model",
    "cnn_core.model_file": "ModelFileError read_tensors write_tensors",
    "cnn_core.network": "ACTIVATIONS ByteArray Dense FloatArray Huber IndexArray LOSSES "
    "LayerArrays NORMALIZATIONS Network Pinball RULES",
    "cnn_core.nn": "NN",
    "cnn_core.optimizers": "Adam Lion Nadam OPTIMIZERS RMSprop Rprop SGD",
    "cnn_core.saved_model": "load",
    "cnn_core.schedules": "Constant Cosine Exponential InverseScaling OneCycle Plateau SCHEDULES "
    "Schedule StepDecay Steps WarmUp as_schedule",
    "cnn_core.training": "DivergenceError EpochRecord Recipe TrainingState Validation "
    "shuffled_order train",
    "cnn_core.backends": "Backend BackendUnavailableError BackendWarning available backend_info "
    "get",
    "cnn_core.estimators": "MLPClassifier MLPRegressor",
    "cnn_core.initializers": "INITIALIZERS initialize",
}


@pytest.mark.parametrize("module", PATHS)
def test_names_stay_where_they_were(module):
    found = importlib.import_module(module)
    assert [name for name in PATHS[module].split() if not hasattr(found, name)] == []
