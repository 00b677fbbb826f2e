"""A checkpoint that does not belong to the training, or makes no sense, is refused."""

import pytest

from checkpointed import EPOCHS, KIND, NETWORKS, OTHER_DATA, KillAfter, KilledError, data, train
from cnn_core import Checkpoint, CheckpointError, MLPClassifier
from cnn_core.callbacks import EarlyStopping
from cnn_core.model import Model
from cnn_core.model_file import ModelFileError

DIFFERENT = {
    "batch_size": {"batch_size": 9},
    "epochs": {"epochs": 7},
    "schedule": {"schedule": "cosine"},
    "learning_rate": {"learning_rate": 0.1},
    "seed": {"seed": 4},
    "x": {"xt": (OTHER_DATA[0], data()[1])},
    "t": {"xt": (data()[0], OTHER_DATA[1])},
}


@pytest.mark.parametrize("what", DIFFERENT)
def test_a_checkpoint_of_another_training_is_refused_by_what_differs(killed, what):
    network, settings = NETWORKS[KIND]
    before = killed.read_bytes()
    with pytest.raises(CheckpointError, match=f"file: .*another: {what}: expected .*, found"):
        train(network, "numpy", settings, killed, **DIFFERENT[what])
    assert killed.read_bytes() == before


def test_a_checkpoint_of_another_network_is_refused(killed):
    network, _ = NETWORKS["early stopping"]
    with pytest.raises(CheckpointError, match=r"network\.layers: expected"):
        train(network, "numpy", NETWORKS[KIND][1], killed)


def test_a_refused_estimator_is_as_it_was_before(killed):
    estimator = MLPClassifier(random_state=0)
    with pytest.raises(CheckpointError, match="network"):
        estimator.fit(*data(), checkpoint=killed)
    assert not hasattr(estimator, "model_")


def test_a_state_without_its_callback_is_refused(tmp_path):
    network, settings = NETWORKS[KIND]
    with pytest.raises(KilledError):
        train(network, "numpy", settings, tmp_path / "file", EarlyStopping(), KillAfter(2))
    with pytest.raises(CheckpointError, match="1 of EarlyStopping"):
        train(network, "numpy", settings, tmp_path / "file")


def test_damaged_truncated_future_and_foreign_files_are_refused(killed, tmp_path):
    network, settings = NETWORKS[KIND]
    good = killed.read_bytes()
    flipped = bytearray(good)
    flipped[-5] ^= 1
    model = tmp_path / "model"
    Model(network).save(model)
    for content, reason in (
        (bytes(flipped), "damaged"),
        (good[:-9], "truncated"),
        (good.replace(b'"format_version":"1"', b'"format_version":"9"'), "version '9'"),
        (b"PK\x03\x04 is no model", "not a model file"),
        (b"", "not a model file"),
        (model.read_bytes(), "found a saved Model"),
    ):
        killed.write_bytes(content)
        with pytest.raises(ModelFileError, match=f"file: .*{reason}"):
            train(network, "numpy", settings, killed)
        assert killed.read_bytes() == content


@pytest.mark.compiled
def test_another_backend_resumes_with_a_warning(killed):
    network, settings = NETWORKS[KIND]
    with pytest.warns(UserWarning, match="the last bits may differ"):
        model, _ = train(network, "cython", settings, killed)
    assert model.epochs_done == EPOCHS


@pytest.mark.parametrize("wrong", [{"every_epochs": 0}, {"every_seconds": -1.0}, {"path": ""}])
def test_a_checkpoint_without_sense_is_refused(wrong):
    with pytest.raises((TypeError, ValueError), match=next(iter(wrong))):
        Checkpoint(**{"path": "file", **wrong})
