"""Averages of weights: their definition, that they are what is validated and kept, and that they go on to the same bits."""

import numpy as np
import pytest

from aecli.data.loader import Loader
from aecli.runs.config_file import load_config
from aecli.studies.executors.executor import study_trainer
from aecli.training.checkpoints import read_checkpoint
from aecli.training.engines.tensorflow.step import TensorFlowStep, _Pace
from aecli.training.export.rebuilding import rebuild
from aecli.training.loop import fit
from aecli.training.prepare import open_data, prepare
from aecli.training.progress import NullProgress
from aecli.training.verify import verify
from tests.training.test_resume import result, run_training, stopped

EMA = ("training.ema=0.9", "training.optimizer={name: muon, weight_decay: 0}", "model.linear_path=none")
SHARER = study_trainer()


@pytest.fixture(scope="module")
def averaged(tmp_path_factory):
    """A complete run; read it, never write to it."""
    return run_training(tmp_path_factory.mktemp("averaged") / "run", *EMA)


@pytest.fixture(scope="module")
def states():
    """The weights and their averages at the beginning and after each of 30 steps, and the losses of two epochs."""
    sets = (
        "model.hidden=[]", "model.latent_dim=3", "model.linear_path=none", "training.learning_rate=0.03",
        "training.epochs=2", "training.batch_size=110", "training.ema=0.7",
    )  # fmt: skip
    config = load_config(None, sets).config
    prepared = prepare(config, *open_data(config), NullProgress())
    networks = [config.model.build(prepared.train.format.image_shape, 0) for _ in range(2)]
    objective, loaders = config.model.objective(config.training.loss), prepared.loaders
    step = TensorFlowStep(networks[0], objective, config.training, loaders[0], None, networks[1])
    count, pairs = len(networks[0].model.variables), [[network.model.get_weights() for network in networks]]

    def on_step(event):
        state = event.state()
        if state.cursor.step != on_step.before:
            pairs.append([state.variables[:count], state.optimizer[-count:]])
        on_step.before = state.cursor.step

    on_step.before, records = 0, []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_Pace, "adapt", lambda pace, *_: None)
        fit(step, *loaders, config.training, objective, lambda r, h: records.append((r, h)), on_step)
    assert step.autoencoder is networks[1]
    return pairs, records, networks, objective, prepared


def test_the_average_is_that_of_its_definition(states):
    pairs, *_ = states
    assert len(pairs) >= 25
    expected = pairs[0][0]
    for t, (weights, averages) in enumerate(pairs[1:]):
        decay = min(0.7, (1 + t) / (10 + t))
        expected = [decay * e + (1 - decay) * w for e, w in zip(expected, weights, strict=True)]
        for e, average in zip(expected, averages, strict=True):
            np.testing.assert_allclose(average, e, atol=1e-5)


def test_the_averages_are_what_is_validated_and_looked_into(states):
    _, records, networks, objective, prepared = states
    loader = Loader(prepared.train, prepared.split.validation, 16, 10**9)
    images = loader.source.format.to_contract(next(iter(loader.sequential())).read())
    for network, same in ((networks[1], True), (networks[0], False)):
        terms = objective.per_image(images, network.outputs(images, training=False))
        loss = float(np.mean(sum(np.asarray(term) for term in terms)))
        assert (loss == pytest.approx(records[-1][0].val_loss, rel=1e-4)) == same
    norms = [float(np.linalg.norm(layer.kernel.numpy())) for layer in networks[1].layers]
    assert [layer.weight_norm for layer in records[-1][1].layers] == pytest.approx(norms, rel=1e-4)


def test_the_averages_are_what_is_kept_and_the_weights_what_a_checkpoint_goes_on_from(averaged):
    assert averaged.metrics["splits"]["validation"]["model"]["mse"] == pytest.approx(
        averaged.history[-1].val_loss, rel=1e-4
    )
    run = stopped("a", *EMA, after=20)
    state = read_checkpoint(run.checkpoint_files[-1]).state
    count = len(state.variables)
    assert any(not np.array_equal(w, a) for w, a in zip(state.variables, state.optimizer[-count:], strict=True))
    kept = rebuild(averaged).get_weights()
    assert [w.shape for w in kept] == [w.shape for w in state.variables]


KINDS = {
    "dense": (),
    "begun at a linear code": ("model.linear_path=pca", "training.early_stopping={patience: 2}", "training.epochs=6"),
    "gaussian": ("model.code={gaussian: {beta: 0.5}}", "model.dropout=0.2"),
}


@pytest.mark.parametrize("keys", KINDS.values(), ids=KINDS)
def test_a_training_stopped_again_and_again_ends_with_the_same_bits(keys):
    keys = (*EMA, "training.warmup=0.5", "training.clipnorm=0.1", *keys)
    whole = run_training("whole", *keys)
    for after in (3, 25):
        stopped("parts", *keys, after=after, resume=True)
    assert result(run_training("parts", *keys, resume=True)) == result(whole)


def test_it_comes_out_the_same_again_and_in_a_network_used_before(averaged):
    config = load_config(averaged.config_file).config
    assert verify(averaged, config, NullProgress()).difference is None
    run_training("first", *EMA, "training.seed=4", trainer=SHARER)
    again = run_training("again", *EMA, trainer=SHARER)
    assert again.metrics["weights_sha256"] == averaged.metrics["weights_sha256"]
