"""Several devices train what one device trains."""

import json

import pytest

from tests.conftest import python

TRAIN = """
import json, sys
import numpy as np
from aecli.training.engines.tensorflow.backend import tf

cpu = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu[0], [tf.config.LogicalDeviceConfiguration()] * 2)
from aecli.runs.config_file import load_config
from aecli.data.loader import Loader
from aecli.models.layers import predict
from aecli.training.loop import fit
from aecli.training.engines.tensorflow.step import TensorFlowStep
from aecli.training.prepare import open_data, prepare
from aecli.training.progress import NullProgress

mirrored = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])

def trained(strategy, config, prepared):
    losses = []

    def on_epoch(record, _):
        losses.append((record.loss, record.val_loss))
        assert np.isfinite(predict(autoencoder.model, loaders[1].sample()[:3])).all()  # as for who watches

    loaders = [Loader(prepared.train, rows, 32, 50_000) for rows in (prepared.split.train, prepared.split.validation)]
    with strategy.scope():
        autoencoder = config.model.build(prepared.train.format.image_shape, 0)
        averaged = config.model.build(prepared.train.format.image_shape, 0) if config.training.ema else None
        objective = config.model.objective(config.training.loss)
        step = TensorFlowStep(autoencoder, objective, config.training, loaders[0], config.data.augment, averaged)
        fit(step, *loaders, config.training, objective, on_epoch)
    return losses, np.concatenate([w.ravel() for w in step.autoencoder.model.get_weights()])

for overrides in json.loads(sys.argv[1]):
    config = load_config(None, overrides).config
    prepared = prepare(config, *open_data(config), NullProgress())
    one_losses, one = trained(tf.distribute.get_strategy(), config, prepared)
    two_losses, two = trained(mirrored, config, prepared)
    print(json.dumps({"replicas": mirrored.num_replicas_in_sync, "one": one_losses, "two": two_losses,
                      "difference": float(abs(one - two).max()), "moved": float(abs(one).max())}))
"""
SAME = (
    ("training.batch_size=33", "model.l2=1e-4", "model.activity_l1=1e-3"),
    ("training.corruption={masking: 0.2}", "data.augment={shift: 0.1, rotate: 10}"),
    ("model.code={gaussian: {warmup: 1}}", "training.batch_size=33"),
    ("model.family=conv", "model.channels=[4, 8]", "model.latent_dim=8", "training.batch_size=33"),
    ("training.batch_size=7", "training.early_stopping={patience: 1}", "training.optimizer=adamw"),
    ("training.optimizer=muon", "model.hidden=[12, 9]", "training.warmup=0.5", "training.clipnorm=0.01"),
    ("model.dropout=0.2", "model.hidden=[32]"),
    ("training.ema=0.9", "training.optimizer=lion", "training.learning_rate=1e-4", "model.code={gaussian: {}}"),
)


@pytest.fixture(scope="module")
def results() -> dict[tuple[str, ...], dict]:
    """What every case gives on one device and on two, all trained in one process that has two."""
    cases = [["training.epochs=2", "training.schedule=cosine", *overrides] for overrides in SAME]
    done = python(TRAIN, json.dumps(cases))
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()[-len(SAME) :]
    return dict(zip(SAME, map(json.loads, lines), strict=True))


@pytest.mark.parametrize("overrides", SAME, ids=" ".join)
def test_two_devices_give_the_weights_of_one(overrides, results):
    result = results[overrides]
    assert result["replicas"] == 2
    assert result["difference"] < 1e-3 < result["moved"]
    for one, two in zip(result["one"], result["two"], strict=True):
        assert two == pytest.approx(one, rel=1e-4)
