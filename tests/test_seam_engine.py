"""A second engine, of Keras's own `train_on_batch`: its runs are those of any engine."""

import json
import math
import os
import shutil
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aecli.core.errors import TrainingError
from aecli.models.autoencoder import Autoencoder
from aecli.models.backend import keras
from aecli.runs.config_file import load_config
from aecli.runs.records import SATURATED_WITHIN, LayerHealth
from aecli.runs.run import Run
from aecli.training.artifacts import FULL
from aecli.training.checkpoints import Cursor
from aecli.training.engines.engine import ENGINES, CompiledStep, Engine, EngineSource, NetworkHealth
from aecli.training.engines.optimizer import make_optimizer
from aecli.training.progress import NullProgress
from aecli.training.trainer import Trainer
from aecli.training.verify import verify
from aecli.views.plots import draw_plots
from tests.conftest import ROOT
from tests.test_seam_executor import VARY, InProcessExecutor, study_of

STEPS_PER_CALL = 8
STRIDE = 1024.0
"""The learning rate of one step whose length gives the gradient."""


class Measured(keras.Model):
    """An autoencoder as Keras trains it; `parts` are the losses of the last batch."""

    def watch(self, autoencoder, objective, penalised=True):
        self.autoencoder, self.objective, self.penalised, self.parts = autoencoder, objective, penalised, []
        return self

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        terms = [keras.ops.mean(term) for term in self.objective.per_image(y, y_pred)]
        penalties = [keras.ops.convert_to_tensor(self.autoencoder.penalties)] if self.objective.penalised else []
        loss = sum(terms + (penalties if self.penalised else []))
        self.parts = [loss, *(terms + penalties if self.objective.columns else [])]
        return loss


def measured(autoencoder: Autoencoder, objective, optimizer, **options):
    images = autoencoder.model.inputs[0]
    latents = autoencoder.encoder(images)
    outputs = {"latents": latents, "reconstructions": autoencoder.decoder(latents)}
    model = Measured(images, outputs).watch(autoencoder, objective, **options)
    model.compile(optimizer, run_eagerly=True)
    return model


class KerasStep:
    """Trains and validates batch by batch."""

    def __init__(self, autoencoder, objective, training, loader):
        self.autoencoder, self.objective = autoencoder, objective
        self.batch_size, self.format = min(training.batch_size, len(loader)), loader.source.format
        self.optimizer = make_optimizer(training, len(loader), autoencoder)
        self.untrained = [np.array(variable) for variable in self.optimizer.variables]
        self.model = measured(autoencoder, objective, self.optimizer)
        self.look = measured(autoencoder, objective, keras.optimizers.SGD(STRIDE), penalised=False)

    @property
    def learning_rate(self):
        return float(keras.ops.convert_to_numpy(self.optimizer.learning_rate))

    def compile(self, train, validation): ...

    def free_images(self): ...

    def train(self, loader, seed, start):
        windows = loader.shuffled(seed, start.epoch, start.window)
        return self._visit(windows, start, lambda images: self.model.train_on_batch(images, images))

    def validate(self, loader, seed):
        return self._visit(loader.sequential(), Cursor(), lambda images: self.model.test_on_batch(images, images))

    def _visit(self, windows, start, run):
        totals, first = np.array(start.totals or [0.0] * (1 + len(self.objective.columns))), start.step
        for number, window in enumerate(windows, start.window):
            stored, steps = window.read(), math.ceil(len(window.order) / self.batch_size)
            for step in range(first, steps):
                positions = window.order[step * self.batch_size :][: self.batch_size]
                run(self.format.to_contract(stored[positions]))
                totals += [float(part) * len(positions) for part in self.model.parts]
                if (step + 1) % STEPS_PER_CALL == 0 and step + 1 < steps:
                    yield Cursor(start.epoch, number, step + 1, tuple(totals))
            first = 0
            yield Cursor(start.epoch, number + 1, 0, tuple(totals))

    def probe(self, epoch, sample):
        layers = self.autoencoder.layers
        kernels = [np.array(layer.kernel) for layer in layers]
        weights = self.autoencoder.model.get_weights()
        self.look.train_on_batch(sample, sample)
        gradients = [(kernel - np.array(layer.kernel)) / STRIDE for kernel, layer in zip(kernels, layers, strict=True)]
        self.autoencoder.model.set_weights(weights)
        watched, images = [], sample
        for model in (self.autoencoder.encoder, self.autoencoder.decoder):
            inside = [layer.activation.output for layer in layers if layer.activation in model.layers]
            images, outputs = keras.Model(model.inputs[0], [model.outputs[0], inside])(images, training=False)
            watched += map(np.array, outputs)
        health = [
            health_of(epoch, *each) for each in zip(layers, watched, gradients, kernels, strict=True)
        ]  # fmt: skip
        fvu = np.square(sample - np.array(images)).mean() / np.square(sample - sample.mean(axis=0)).mean()
        return NetworkHealth(health, float(fvu))

    def values(self):
        variables = self.autoencoder.model.variables, self.optimizer.variables
        return tuple([np.array(variable) for variable in each] for each in variables)

    def restore(self, model, optimizer):
        for variables, values in ((self.autoencoder.model.variables, model), (self.optimizer.variables, optimizer)):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)

    def reset(self, fresh):
        self.restore([np.array(variable) for variable in fresh.model.variables], self.untrained)


def health_of(epoch, layer, output, gradient, kernel):
    saturated = None
    if layer.bounded:
        low, high = layer.output_range
        slack = SATURATED_WITHIN * (high - low)
        saturated = float(((output <= low + slack) | (output >= high - slack)).mean())
    dead = float((np.ptp(output, axis=0) == 0).mean())
    slope = None if layer.slope is None else float(np.mean(layer.slope))
    norms = float(np.linalg.norm(gradient)), float(np.linalg.norm(kernel))
    return LayerHealth(epoch, layer.name, layer.choice.name, layer.units, dead, saturated, slope, *norms)


class KerasEngine:
    """Whatever Keras runs on, one batch after the other."""

    out_of_memory = (MemoryError,)

    def versions(self):
        return {"loops": "1.0"}

    def variables(self):
        return ["LOOPS=eager"]

    def devices(self, wanted):
        if wanted not in ("auto", "cpu"):
            raise TrainingError(f"--device {wanted}: this engine has none")
        return nullcontext()

    def device_names(self):
        return ["cpu"]

    def compile(self, autoencoder, objective, training, loader, augmentation, averaged) -> CompiledStep:
        return KerasStep(autoencoder, objective, training, loader)


def load_engine() -> Engine:
    return KerasEngine()


LOOPS = EngineSource("Keras loops", 10**8, load_engine)
# 1,617 training images: the last batch is short.
SETS = (
    "model.hidden=[24]", "model.latent_dim=8", "model.l2=0.0001", "model.activity_l1=0.0001", "training.epochs=3",
    "training.batch_size=100", "training.learning_rate=0.01", "training.schedule=cosine",
)  # fmt: skip


def config_of(*overrides):
    return load_config(None, (*SETS, *overrides)).config


def trained_by(engine, folder, *overrides, **options):
    trainer = Trainer("cpu", (*FULL, draw_plots), engine=engine)
    return trainer.train(config_of(*overrides), folder, "default", **options)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Runs of both engines, of the same config; read them, never write to them."""
    folder = tmp_path_factory.mktemp("engines")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ENGINES, "loops", LOOPS)
        runs = [trained_by(engine, folder / name) for name, engine in ENGINES.items()]
    assert len(runs) == 2
    return runs


@pytest.fixture
def loops(pair, tmp_path):
    """A copy of the second engine's run under ./runs."""
    return Run(shutil.copytree(pair[1].path, tmp_path / "runs" / "loops"))


def test_losses_terms_and_rates_are_those_of_the_first_engine(pair):
    for one, other in zip(*(run.history for run in pair), strict=True):
        assert list(one.terms) == list(other.terms)
        for name in ("loss", "val_loss", "learning_rate"):
            assert getattr(one, name) == pytest.approx(getattr(other, name), abs=1e-4)
        assert dict(one.terms) == pytest.approx(dict(other.terms), abs=1e-4)


def test_the_health_is_that_of_the_first_engine(pair):
    for one, other in zip(*(run.health for run in pair), strict=True):
        assert (one.epoch, one.layer, one.activation, one.units) == (
            other.epoch,
            other.layer,
            other.activation,
            other.units,
        )
        for name in ("dead", "saturated", "slope", "gradient_norm", "weight_norm"):
            values = [getattr(record, name) for record in (one, other)]
            assert values == [None, None] or values[0] == pytest.approx(values[1], rel=0.01, abs=0.005), name


def test_it_leaves_behind_what_every_run_does(pair):
    names = [{str(path.relative_to(run.path)) for path in run.path.rglob("*")} for run in pair]
    assert {name.partition("-")[0] for name in names[0]} == {name.partition("-")[0] for name in names[1]}
    means = [run.metrics["splits"]["validation"]["model"]["mse"] for run in pair]
    assert means[0] == pytest.approx(means[1], abs=1e-4)
    environment = pair[1].environment
    assert environment["versions"]["loops"] == "1.0"
    assert "tensorflow" not in environment["versions"]
    assert environment["machine"]["variables"] == ["LOOPS=eager"]
    assert environment["seconds"]["loading Keras loops"] >= 0
    assert pair[0].environment["identity"] == environment["identity"]


def test_every_command_reads_its_run(loops, ae, digits):
    np.save("images.npy", digits[:50])
    for command in (
        ["evaluate", "images.npy", "--json"], ["encode", "images.npy", "--output", "latents.npy"],
        ["decode", "latents.npy"], ["reconstruct", "images.npy"], ["plot"], ["plot", "history"], ["plot", "health"],
        ["report", str(loops.path)], ["runs"], ["check"],
    ):  # fmt: skip
        done = ae(*command)
        assert done.exit_code == 0, (command, done.output, done.exception)
    assert "loops" in loops.report_file.read_text()


class Stop(NullProgress):
    def epoch(self, record, epochs):
        if record.epoch == 1:
            raise KeyboardInterrupt


def test_it_goes_on_with_a_run_that_was_stopped(pair, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        trained_by(LOOPS, tmp_path / "run", "training.checkpoint_seconds=0", progress=Stop())
    assert Run(tmp_path / "run").state == "interrupted"
    run = trained_by(LOOPS, tmp_path / "run", "training.checkpoint_seconds=0", resume=True)
    assert without_seconds(run) == without_seconds(pair[1])
    assert run.metrics["weights_sha256"] == pair[1].metrics["weights_sha256"]


def without_seconds(run):
    return [replace(record, seconds=0.0) for record in run.history]


def test_the_command_line_goes_on_with_what_it_began_and_says_so(pair, ae):
    with pytest.raises(KeyboardInterrupt):
        trained_by(LOOPS, Path("runs/begun").absolute(), "training.checkpoint_seconds=0", progress=Stop())
    done = ae("train", "--resume", "--run", "runs/begun")
    assert done.exit_code == 0, done.output
    assert "variables LOOPS=eager, now none" in done.stderr
    last = Run(Path("runs/begun")).history[-1]
    assert last.loss == pytest.approx(pair[0].history[-1].loss, abs=1e-4)


def test_its_run_comes_out_the_same_with_it_again(loops, ae):
    config = load_config(loops.config_file).config
    verdict = verify(loops, config, NullProgress(), engine=LOOPS)
    assert (verdict.difference, list(verdict.changed)) == (None, [])
    assert verdict.weights_sha256 == loops.metrics["weights_sha256"]
    by_another = ae("verify", str(loops.path), "--json")
    assert "variables LOOPS=eager, now none" in json.loads(by_another.stdout)["changed"]


def test_it_trains_the_runs_of_a_study():
    study, progress = study_of(VARY, "study.seeds=2", executor=InProcessExecutor(LOOPS))
    assert progress.count("done") == 4
    environments = [Run(study.study.path / result.run).environment for result in study.results]
    assert [environment["versions"].get("loops") for environment in environments] == ["1.0"] * 4


def test_it_says_which_devices_it_has(tmp_path):
    with pytest.raises(TrainingError, match="--device gpu:0: this engine has none"):
        Trainer("gpu:0", engine=LOOPS).train(config_of(), tmp_path / "run")
    assert not (tmp_path / "run").exists()


# -- the first engine -----------------------------------------------------------------------------


def test_the_environment_is_described_where_its_package_has_another_name(tmp_path):
    """Beside `tensorflow` there is `tensorflow-cpu`: the same modules under another name of a package."""
    packages = Path(np.__file__).parents[1]
    for path in packages.iterdir():
        if not path.name.startswith("tensorflow-"):
            (tmp_path / path.name).symlink_to(path)
    info = next(packages.glob("tensorflow-*.dist-info"), None)
    if info is None:
        pytest.skip("its package has another name here")
    renamed = tmp_path / info.name.replace("tensorflow-", "tensorflow_cpu-")
    renamed.mkdir()
    text = (info / "METADATA").read_text()
    (renamed / "METADATA").write_text(text.replace("\nName: tensorflow\n", "\nName: tensorflow-cpu\n"))
    code = (
        "import importlib.metadata, json\n"
        "from aecli.runs.provenance import describe_environment\n"
        "from aecli.training.engines.engine import DEFAULT_ENGINE\n"
        "engine = DEFAULT_ENGINE.load()\n"
        "try: importlib.metadata.version('tensorflow')\n"
        "except importlib.metadata.PackageNotFoundError: print('no package of that name')\n"
        "print(json.dumps(describe_environment(engine.device_names(), engine.versions(), engine.variables())))\n"
    )
    variables = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{tmp_path}", "CUDA_VISIBLE_DEVICES": "-1"}
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], capture_output=True, text=True, check=False, env=variables
    )
    assert done.returncode == 0, done.stderr[-2000:]
    *_, line, described = done.stdout.splitlines()
    assert line == "no package of that name"
    versions = json.loads(described)["versions"]
    assert versions["tensorflow"].split(".")[:2] == info.name.split("-")[1].split(".")[:2]
