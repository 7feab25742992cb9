"""A run as Python uses it gives what the commands give, in the user's own units, shapes and dtype."""

import inspect
import shutil
from pathlib import Path

import numpy as np
import pytest

import aecli
from aecli.core.errors import AeError
from aecli.runs.model import load_model
from tests.conftest import python

USES = ("decode", "encode", "evaluate", "export", "keras_model", "plot", "reconstruct", "sample", "score")


@pytest.fixture(scope="module")
def small(trained):
    return aecli.Run(trained.path)


@pytest.fixture(scope="module")
def colour(coloured):
    return aecli.Run(coloured.path)


def contract(run, images):
    """Return what the network itself makes of images of the training's format."""
    return load_model(run).reconstruct(run.image_format.to_contract(images))


def test_the_door_shows_itself_alone():
    assert dir(aecli) == ["AeError", "Comparison", "Run", "__version__", "compare", "load_run", "train"]
    assert aecli.AeError is AeError
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        _ = aecli.trian


def test_a_run_shows_what_it_is_for_and_what_writes_it_is_not_there(small):
    assert set(USES) < set(dir(small))
    assert not [name for name in dir(small) if name.startswith("_") or not hasattr(small, name)]
    for name in ("write_metrics", "reopen", "create", "write_history", "locked"):
        assert not hasattr(small, name)
    assert all(inspect.getdoc(getattr(aecli.Run, name)) for name in dir(small))


def test_bytes_come_back_as_bytes(small, digits):
    made = small.reconstruct(digits)
    assert (made.shape, made.dtype) == (digits.shape, np.uint8)
    np.testing.assert_array_equal(made, np.rint(255 * contract(small, digits)[..., 0].clip(0, 1)))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_fractions_come_back_as_fractions(small, digits, dtype):
    made = small.reconstruct((digits / 255).astype(dtype))
    assert (made.shape, made.dtype) == (digits.shape, dtype)
    np.testing.assert_allclose(made, contract(small, digits)[..., 0], atol=2e-3)


def test_rows_lists_tensors_one_image_and_files_come_back_as_they_were(small, digits):
    import tensorflow as tf

    whole = small.reconstruct(digits[:9])
    np.testing.assert_array_equal(small.reconstruct(digits[:9].reshape(9, 64)), whole.reshape(9, 64))
    np.testing.assert_array_equal(small.reconstruct(digits[:9, ..., None]), whole[..., None])
    np.testing.assert_array_equal(small.reconstruct(list(digits[:9])), whole)
    np.testing.assert_array_equal(small.reconstruct(tf.constant(digits[:9])), whole)
    np.testing.assert_array_equal(small.reconstruct(digits[3]), whole[3])
    np.save("some.npy", digits[:9])
    np.testing.assert_array_equal(small.reconstruct("some.npy"), whole)
    np.testing.assert_array_equal(small.reconstruct(Path("some.npy")), whole)


def test_colours_stay(colour, coloured):
    images = np.load(coloured.path.parent / "colour.npy")[:6]
    made = colour.reconstruct(images)
    assert (made.shape, made.dtype) == (images.shape, np.uint8)
    assert colour.reconstruct(images[0]).shape == images[0].shape
    assert colour.decode(colour.encode(images)).shape == images.shape


def test_codes_go_there_and_back(small, digits):
    latents = small.encode(digits[:9])
    assert (latents.shape, latents.dtype) == ((9, small.latent_dim), np.float32)
    np.testing.assert_array_equal(small.encode(digits[2]), latents[2])
    np.testing.assert_array_equal(small.decode(latents), small.reconstruct(digits[:9]))
    np.testing.assert_array_equal(small.decode(latents.tolist()[2]), small.reconstruct(digits[2]))


def test_nothing_of_the_users_array_changes(small, digits):
    before = digits[:9].copy()
    locked = digits[:9].copy()
    locked.flags.writeable = False
    small.reconstruct(locked)
    small.evaluate(locked)
    small.score(locked)
    np.testing.assert_array_equal(locked, before)


def test_an_evaluation_is_that_of_the_command(small, digits, ae):
    np.save("other.npy", digits[::-1])
    told = ae("evaluate", "other.npy", "--run", str(small.path), "--json")
    import json

    content = json.loads(told.stdout)
    evaluation = small.evaluate(digits[::-1])
    assert {row: evaluation[row] for row in ("model", "pca", "mean_image")} == {
        row: content[row] for row in ("model", "pca", "mean_image")
    }
    assert "better than" in evaluation.verdict
    assert evaluation.per_image["mse"].shape == (len(digits),)
    assert evaluation.to_dict("list")["by"] == ["model", "best_linear", "pca", "mean_image"]


def test_the_images_of_the_training_are_known_again(small, digits):
    evaluation = small.evaluate(digits)
    assert evaluation["splits"]["validation"]["model"]["mse"] == pytest.approx(
        small.metrics["splits"]["validation"]["model"]["mse"]
    )
    assert evaluation.verdict is None
    assert "the run was trained on" in small.score(digits).verdict


def test_scores_are_those_of_the_command(small, digits, ae):
    images = np.concatenate([digits[:20], 255 - digits[:3]])
    np.save("other.npy", images)
    assert ae("score", "other.npy", "--run", str(small.path), "--false-alarms", "0.1").exit_code == 0
    lines = [line.split(",") for line in Path("other_scores.csv").read_text().splitlines()[1:]]
    scores = small.score(images, false_alarms=0.1)
    assert [int(line[0]) for line in lines] == scores.order.tolist()
    np.testing.assert_allclose([float(line[1]) for line in lines], scores.scores[scores.order], rtol=1e-6)
    assert [bool(int(line[3])) for line in lines] == scores.flagged[scores.order].tolist()
    assert scores.flagged[-3:].all()
    assert scores.columns == ("row", "score", "p_value", "flagged")
    assert len(scores) == len(images)
    assert scores[3].score == scores["score"][3] == scores.scores[3]
    assert small.score(images, by="ssim").scores.min() >= -1


def test_pandas_reads_what_was_measured_in_one_call(small, digits):
    pandas = pytest.importorskip("pandas", reason="needs pandas: pip install --group dev")
    for table in (small.history, small.health):
        pandas.testing.assert_frame_equal(pandas.DataFrame(table), pandas.DataFrame(table.to_dict("list")))
    history = pandas.DataFrame(small.history)
    assert list(history.columns) == ["epoch", "loss", "val_loss", "learning_rate", "seconds"]
    assert [kind.kind for kind in history.dtypes] == list("iffff")
    health = pandas.DataFrame(small.health)
    assert [health[name].dtype.kind for name in ("epoch", "units", "dead", "saturated", "slope")] == list("iifff")
    metrics = pandas.DataFrame(small.metrics.to_dict("list"))
    mse = metrics.set_index(["part", "by"])["mse"]
    assert mse["validation", "model"] == small.metrics["splits"]["validation"]["model"]["mse"]
    assert all(metrics[name].dtype.kind == "f" for name in ("mse", "psnr", "ssim", "fvu"))
    assert pandas.DataFrame(small.score(digits[:5]))["flagged"].dtype == bool
    assert len(pandas.DataFrame(small.evaluate(digits[:5]).to_dict("list"))) == 4


def test_old_uses_of_a_run_go_on(small, trained, digits):
    assert small.history[-1].val_loss == trained.history[-1].val_loss
    assert len(small.history) == len(trained.history)
    assert small.metrics == trained.metrics
    assert small.path == trained.path
    assert small.config_file == trained.config_file
    assert small.environment == trained.environment
    np.testing.assert_array_equal(small.split.validation, trained.split.validation)
    latents = load_model(small).encode(digits[..., None].astype(np.float32) / 255)
    np.testing.assert_allclose(latents, small.encode(digits), atol=1e-5)


def test_a_complete_run_has_no_failure_and_another_says_why(small, run):
    assert (small.state, small.failure) == ("complete", None)
    assert small == aecli.Run(str(small.path))
    run.metrics_file.unlink()
    assert aecli.Run(run.path).failure is None
    run.write_failure("interrupted", "stopped by SIGINT", 3)
    stopped = aecli.Run(run.path)
    assert (stopped.state, stopped.failure) == ("interrupted", "stopped by SIGINT")
    assert repr(stopped) == f"<aecli.Run {run.path}: interrupted>"
    with pytest.raises(AeError, match="the run is interrupted"):
        stopped.reconstruct(np.zeros((3, 8, 8), np.uint8))


def test_the_config_is_whole(small):
    assert small.config["model"]["latent_dim"] == small.latent_dim == 8
    assert small.config["training"]["epochs"] == 3


def trained_row(run):
    return int(np.load(run.path / "split.npz")["validation"][0])


def test_plots_are_figures_that_a_notebook_shows(small, digits):
    from matplotlib.figure import Figure

    for figure in (
        small.plot("history"),
        small.plot(count=2),
        small.plot("errors", digits[:30]),
        small.plot(worst=3),
        small.plot(index=trained_row(small)),
    ):
        assert isinstance(figure, Figure)
        assert figure._repr_png_().startswith(b"\x89PNG")


WRONG = {
    "another kind": (lambda run: run.plot("histry"), "plot 'histry': unknown kind; did you mean 'history'"),
    "an option of another kind": (lambda run: run.plot("history", worst=3), "plot 'history': worst: it takes no such option"),
    "images where none are drawn": (lambda run: run.plot("health", np.zeros((3, 8, 8))), "images: it takes no such option"),
    "two ways to choose": (lambda run: run.plot(worst=3, best=3), "worst and best exclude each other"),
    "a row that is not there": (lambda run: run.plot(index=[10**6]), "^index 1000000: not a row"),
    "images of another size": (lambda run: run.reconstruct(np.zeros((3, 9, 9))), "the run expects images of 8 x 8 x 1"),
    "no images": (lambda run: run.encode(None), "found Python objects"),
    "images of NaN": (lambda run: run.evaluate(np.full((3, 8, 8), np.nan)), "NaN or infinite"),
    "text": (lambda run: run.score("nope"), "nope: no such file"),
    "latents of another length": (lambda run: run.decode(np.zeros((2, 9))), r"expects \(N, 8\)"),
    "a share of two": (lambda run: run.score(np.zeros((3, 8, 8), np.uint8), false_alarms=2), "false_alarms=2"),
    "another metric": (lambda run: run.score(np.zeros((3, 8, 8), np.uint8), by="mze"), "^by mze: unknown metric"),
    "another kind of file": (lambda run: run.export("onx"), "export to='onx': unknown; did you mean 'onnx'"),
    "another part": (lambda run: run.export(part="half"), "export part='half': unknown"),
    "no sample": (lambda run: run.sample(0), "a count of at least 1"),
    "another run": (lambda run: aecli.load_run(run.path.with_name("smal")), "did you mean 'small'"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_done_is_said_in_a_line(small, name):
    use, says = WRONG[name]
    with pytest.raises(AeError, match=says) as caught:
        use(small)
    assert "\n" not in str(caught.value)
    assert "--" not in str(caught.value)


def test_the_network_is_rebuilt_and_its_file_is_not_loaded(small, digits, monkeypatch):
    import keras

    def refuse(*_, **__):
        raise AssertionError("model.keras was loaded")

    for module in (keras.models, keras.saving):
        monkeypatch.setattr(module, "load_model", refuse)
    model = small.keras_model()
    images = (digits[:9, ..., None] / 255).astype(np.float32)
    np.testing.assert_allclose(np.asarray(model(images)), contract(small, digits[:9]), atol=1e-5)


def test_an_export_is_a_file(small, digits):
    import onnxruntime

    files = small.export("onnx", "out", part="all")
    assert files == {part: Path("out") / f"{part}.onnx" for part in ("autoencoder", "encoder", "decoder")}
    session = onnxruntime.InferenceSession(files["encoder"])
    made = session.run(None, {"images": (digits[:5, ..., None] / 255).astype(np.float32)})[0]
    np.testing.assert_allclose(made, small.encode(digits[:5]), atol=1e-5)
    with pytest.raises(AeError, match=r"exists already: .*overwrite=True"):
        small.export("onnx", "out")


def test_samples_are_images_of_the_training(run):
    drawn = aecli.Run(run.path).sample(5, seed=3)
    assert (drawn.shape, drawn.dtype) == ((5, 8, 8), np.uint8)
    np.testing.assert_array_equal(aecli.Run(run.path).sample(5, seed=3), drawn)


def test_using_a_run_loads_no_engine(run, digits):
    code = (
        "import sys, aecli, numpy\n"
        "run = aecli.load_run()\n"
        "run.score(run.reconstruct(numpy.zeros((3, 8, 8), 'uint8'))); run.plot('history'); run._repr_html_()\n"
        "print(*{name.split('.')[0] for name in sys.modules})"
    )
    done = python(code)
    assert not done.returncode, done.stderr
    assert not set(done.stdout.split()) & {"tensorflow", "keras", "pandas", "IPython"}


def test_what_a_notebook_shows_is_whole_and_escaped(run, digits):
    folder = run.path.with_name("<i>a&b")
    shutil.move(run.path, folder)
    shown = aecli.Run(folder)._repr_html_()
    assert type(shown) is str
    assert "&lt;i&gt;a&amp;b" in shown
    assert "<i>" not in shown
    assert shown.count("<img") == 12
    assert shown.count("data:image/png;base64,") == 12
    assert "On the validation images the network reconstructs" in shown
    assert "psnr dB" in shown
    assert "color:" not in shown


def test_a_run_whose_images_are_gone_shows_itself_without_pictures(run):
    text = run.environment_file.read_text()
    run.environment_file.write_text(text.replace("digits.npy", "gone.npy"))
    shown = aecli.Run(run.path)._repr_html_()
    assert "There are no pictures: gone.npy" in shown
    assert "<img" not in shown
