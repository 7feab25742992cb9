"""Probing: classifiers and intervals of known answers, and labels from wherever they are."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.optimize import approx_fprime, minimize

from aecli.core.errors import DataError
from aecli.data.dataset import open_images
from aecli.data.files.labels import Labels, NoLabels
from aecli.data.files.options import DecodeOptions
from aecli.data.labels import UNKNOWN, labels_from, labels_of, numbers_in, required_labels
from aecli.runs.model import load_model
from aecli.runs.uses.inputs import open_images_for
from aecli.runs.uses.probing import neighbours, selection
from aecli.runs.uses.probing.features import representations, standardise
from aecli.runs.uses.probing.measures import Share, paired_difference, share_right
from aecli.runs.uses.probing.neighbours import classify_by_neighbours
from aecli.runs.uses.probing.probe import LabelledImages, make_task, probe, verdict
from aecli.runs.uses.probing.regression import fit_penalised, fit_softmax, softmax_loss
from aecli.runs.uses.probing.selection import draw, draw_of_each, hold_out


def problem(count=60, length=4, classes=3):
    rng = np.random.default_rng(3)
    features = rng.standard_normal((count, length))
    return features, (features @ rng.standard_normal((length, classes)) + rng.gumbel(size=(count, classes))).argmax(1)


def naive_loss(flat, features, classes, l2):
    weights = flat.reshape(features.shape[1] + 1, -1)
    logits = features @ weights[:-1] + weights[-1]
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    right = chances[np.arange(len(features)), classes]
    return -np.log(right).mean() + l2 / 2 * np.square(weights[:-1]).sum()


def test_the_loss_is_the_cross_entropy_and_its_gradient_that_of_differences():
    rng = np.random.default_rng(3)
    features, classes = problem()
    weights = rng.standard_normal((5, 3))
    loss, gradient = softmax_loss(weights, features, classes, 0.3)
    assert loss == pytest.approx(naive_loss(weights.reshape(-1), features, classes, 0.3))
    numeric = approx_fprime(weights.reshape(-1), naive_loss, 1e-7, features, classes, 0.3)
    np.testing.assert_allclose(gradient.reshape(-1), numeric, atol=1e-5)


def test_softmax_regression_finds_the_optimum_from_wherever_it_begins():
    features, classes = problem()
    l2 = 0.01
    # Without gradients, and by another method.
    best = minimize(
        naive_loss,
        np.zeros(15),
        (features, classes, l2),
        "Powell",
        options={"maxiter": 10**5, "xtol": 1e-8, "ftol": 1e-14},
    )
    fitted = fit_softmax(features, classes, 3, l2, tolerance=1e-14)
    weights = np.vstack([fitted.weights, fitted.bias])
    assert naive_loss(weights.reshape(-1), features, classes, l2) <= best.fun + 1e-9
    # The weights, which the penalty makes unique; the bias is so but for a number common to all classes.
    np.testing.assert_allclose(fitted.weights, best.x.reshape(5, 3)[:4], atol=1e-4)
    again = fit_softmax(features, classes, 3, l2, fit_softmax(features, classes, 3, 1.0), tolerance=1e-14)
    np.testing.assert_allclose(again.weights, fitted.weights, atol=1e-5)
    single = fit_softmax(features.astype(np.float32), classes, 3, l2)
    assert single.weights.dtype == np.float32
    np.testing.assert_allclose(single.weights, fitted.weights, atol=0.01)


def test_the_bias_alone_gives_the_shares_of_the_classes():
    classes = np.repeat([0, 1, 2], [10, 30, 60])
    fitted = fit_softmax(np.zeros((100, 1)), classes, 3, 0.1, tolerance=1e-12)
    chances = np.exp(fitted.bias) / np.exp(fitted.bias).sum()
    np.testing.assert_allclose(chances, [0.1, 0.3, 0.6], atol=1e-5)


@pytest.mark.parametrize("count", [60, 2600])
def test_the_penalty_is_that_which_held_out_images_prefer(count):
    """Noise alone asks for the strongest; many images of a sharp rule ask for a weak one."""
    rng = np.random.default_rng(3)
    noise, classes = rng.standard_normal((count, 20)), rng.integers(0, 2, count)
    strongest = fit_softmax(noise, classes, 2, 1.0)
    np.testing.assert_array_equal(fit_penalised(noise, classes, 2).weights, strongest.weights)
    sharp = (noise[:, 0] > 0).astype(np.int64)
    strongest = fit_softmax(noise, sharp, 2, 1.0)
    assert np.abs(fit_penalised(noise, sharp, 2).weights).max() > 2 * np.abs(strongest.weights).max()
    same = fit_penalised(noise, sharp, 2, seed=1)
    np.testing.assert_array_equal(same.weights, fit_penalised(noise, sharp, 2, seed=1).weights)


def brute_neighbours(points, training, classes, count):
    predicted = []
    for point in points:
        distances = np.square(training - point).sum(axis=1)
        nearest = [classes[i] for _, i in sorted((d, i) for i, d in enumerate(distances))[:count]]
        predicted.append(max(nearest, key=lambda c: (nearest.count(c), -nearest.index(c))))
    return predicted


@pytest.mark.parametrize("count", [1, 2, 5, 40])
def test_the_nearest_neighbours_are_those_of_brute_force_ties_among_them(monkeypatch, count):
    rng = np.random.default_rng(3)
    monkeypatch.setattr(neighbours, "_BYTES", 1000)  # several chunks
    # Whole numbers of few values: many points lie equally far, exactly.
    points, training = (rng.integers(-1, 2, (n, 3)).astype(np.float32) for n in (50, 30))
    classes = rng.integers(0, 3, 30)
    found = classify_by_neighbours(points, training, classes, count)
    np.testing.assert_array_equal(found, brute_neighbours(points, training, classes, min(count, 30)))


def test_of_classes_with_as_many_neighbours_that_of_the_nearest_is_taken():
    training = np.array([[2.0], [2.1], [1.0], [1.1], [9.0]])
    assert classify_by_neighbours(np.zeros((1, 1)), training, np.array([0, 0, 1, 1, 2])) == [1]
    assert classify_by_neighbours(np.zeros((1, 1)), np.array([[1.0], [-1.0]]), np.array([4, 3]), 1) == [4]


@pytest.mark.parametrize(
    ("right", "count", "low", "high"),
    [
        # Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3.
        (81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718),
        (29, 29, 0.8830, 1.0),
    ],
)  # fmt: skip
def test_wilsons_interval(right, count, low, high):
    share = share_right(np.arange(count) < right)
    assert share.estimate == right / count
    assert (share.low, share.high) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))


def test_the_paired_difference_is_that_of_the_pairs_which_differ():
    # Agresti & Min's formula, worked by hand: 3 gained and 1 lost of 8, 2 / 10 +- 1.96 sqrt((5 / 10 - .04) / 10).
    ours, other = np.array([1, 1, 1, 0, 1, 1, 0, 0], bool), np.array([0, 0, 0, 1, 1, 1, 0, 0], bool)
    difference = paired_difference(ours, other)
    half = 1.959964 * np.sqrt(0.46 / 10)
    assert difference.estimate == 0.25
    assert (difference.low, difference.high) == (pytest.approx(0.2 - half), pytest.approx(0.2 + half))
    turned = paired_difference(other, ours)
    assert (turned.estimate, turned.low, turned.high) == pytest.approx((-0.25, -difference.high, -difference.low))
    assert paired_difference(ours, ours).estimate == 0


def test_the_interval_of_the_difference_holds_as_often_as_it_says():
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(1000):
        hard, a, b = rng.random(200), rng.random(200), rng.random(200)
        found = paired_difference((hard < 0.7) & (a < 0.95), (hard < 0.7) & (b < 0.9))
        held += found.low <= 0.7 * 0.05 <= found.high
    assert 930 <= held <= 975


def test_shares_are_printed_in_percent():
    share = Share(0.00614, -0.0012, 0.0109)
    assert (share.number(), share.number("+", 2)) == ("0.6", "+0.61")
    assert share.interval("+", 2) == "[-0.12, +1.09]"


def test_features_are_standardised_by_the_training_and_one_scale():
    rng = np.random.default_rng(3)
    training = np.column_stack([rng.normal(5, 3, 500), np.full(500, 0.1), rng.normal(-1, 0.3, 500)]).astype(np.float32)
    test = training[:3] + np.array([3, 1, 0], np.float32)
    before = training.astype(np.float64)
    standardise(training, test)
    spread = np.sqrt(before.var(axis=0).mean())
    np.testing.assert_allclose(training.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(training.std(axis=0), before.std(axis=0) / spread, atol=1e-5)
    np.testing.assert_allclose(test - training[:3], np.tile(np.array([3, 1, 0]) / spread, (3, 1)), atol=1e-5)
    constant = np.full((4, 2), 0.3, np.float32)
    standardise(constant, constant[:2].copy())
    assert np.isfinite(constant).all()


def test_rows_are_drawn_by_the_seed_and_so_many_of_each_class():
    rows = np.arange(100, 200)
    drawn = draw(rows, 30, 0, "training")
    assert len(set(drawn)) == 30
    assert (np.diff(drawn) > 0).all()
    np.testing.assert_array_equal(drawn, draw(rows, 30, 0, "training"))
    assert not np.array_equal(drawn, draw(rows, 30, 1, "training"))
    assert not np.array_equal(drawn, draw(rows, 30, 0, "test"))
    numbers = rows % 4
    each = draw_of_each("a.npy", rows, numbers, "abcd", 7, 0)
    assert np.bincount(each % 4).tolist() == [7] * 4
    with pytest.raises(DataError, match="class 'a' has 25 training images, --labels-per-class 26 asks for more"):
        draw_of_each("a.npy", rows, numbers, "abcd", 26, 0)


def test_a_fifth_is_held_out_or_the_runs_own_parts():
    held = hold_out("a.npy", 50, {}, 0)
    assert (len(held.train), len(held.test)) == (40, 10)
    assert sorted([*held.train, *held.test]) == list(range(50))
    own = {"train": np.arange(5), "validation": np.arange(5, 8)}
    assert hold_out("a.npy", 9, own, 0).test.tolist() == [5, 6, 7]
    assert hold_out("a.npy", 9, {**own, "test": np.array([8])}, 0).test.tolist() == [8]
    with pytest.raises(DataError, match="holds 1 image"):
        hold_out("a.npy", 1, {}, 0)


@pytest.fixture
def six(digits):
    np.save("six.npy", digits[:6])
    return open_images(Path("six.npy"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("l.npy", np.array([3, 1, 3, 1, 7, 7])), ("l.npy", np.array(["3", "1", "3", "1", "7", "7"])),
        ("l.csv", "file,label\nx,3\ny,1\n,3\n,1\n,7\n,7\n"), ("l.csv", "label\n3\n1\n3\n1\n7\n7\n"), ("l.txt", "3\n1\n3\n1\n7\n7"),
    ],
)  # fmt: skip
def test_labels_are_read_from_a_file(six, name, content):
    np.save(name, content) if name.endswith("npy") else Path(name).write_text(content.replace("file,", "row,"))
    labels = labels_from(Path(name), six)
    assert [labels.classes[i] for i in labels.values] == ["3", "1", "3", "1", "7", "7"]
    assert labels.classes == ("1", "3", "7")


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("l.npy", np.arange(5), "holds 5 labels, and six.npy 6 images"), ("l.npy", np.linspace(0, 1, 6), "whole numbers or words"),
        ("l.csv", "a,b\n1,2\n", "has no column label"), ("l.csv", "label,b\n1\n", "another number of cells"), ("l.csv", b"\xff\xfe\xff", "not a text of labels"),
        ("l.csv", "", "holds 0 labels"), ("l.txt", "1\n2\n", "holds 2 labels"), ("l.csv", "file,label\na,1\n", "images of six.npy have no names"),
        ("l.npy", None, "no such file: give an .npy, IDX, .csv or .txt of labels"), ("l.npz", "PK", "no labels are read from such a file: give an .npy"),
    ],
)  # fmt: skip
def test_a_file_of_no_labels_gets_one_line(six, name, content, says):
    if isinstance(content, np.ndarray):
        np.save(name, content)
    elif content is not None:
        Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=says) as caught:
        labels_from(Path(name), six)
    assert "\n" not in str(caught.value)


def pictures(digits, folder="p"):
    """Write six pictures in folders of two classes."""
    for i in range(6):
        path = Path(folder, "ab"[i % 2], f"{i}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(digits[i]).save(path)
    return open_images(Path(folder), decoding=DecodeOptions(size=(8, 8), color="grey"))


def named(labels):
    return [labels.classes[i] for i in labels.values]


def test_labels_are_found_beside_in_folders_in_a_list_and_by_file(digits, six):
    assert isinstance(labels_of(six), NoLabels)
    with pytest.raises(DataError, match=r"six.npy: has no labels \(there is no six_labels.npy beside six.npy\)"):
        required_labels(six)
    np.save("six_labels.npy", np.arange(6) % 3)
    assert named(labels_of(six)) == ["0", "1", "2"] * 2
    source = pictures(digits)
    assert named(labels_of(source)) == [name[0] for name in source.names]
    lines = [f"p/{name},{'x' if int(name[2]) < 3 else 'y'}" for name in source.names]
    Path("list.csv").write_text("path,label\n" + "\n".join(lines))
    listed = open_images(Path("list.csv"), decoding=source.decoding)
    assert named(labels_of(listed)) == [line[-1] for line in lines]
    Path("l.csv").write_text("label,file\n" + "\n".join(f"{name[2]},{name}" for name in reversed(source.names)))
    assert named(labels_from(Path("l.csv"), source)) == [name[2] for name in source.names]
    Path("l.csv").write_text("label,file\n1,a/0.png\n")
    with pytest.raises(DataError, match=r"has no label of 5 images, the first is a/2\.png"):
        labels_from(Path("l.csv"), source)


def test_classes_of_other_images_are_known_by_their_names():
    labels = Labels(np.array([0, 1, 2, 1]), ("rose", "tulip", "daisy"))
    assert numbers_in(labels, ("daisy", "rose")).tolist() == [1, UNKNOWN, 0, UNKNOWN]


def labelled(run, images, labels, name="toy.npy"):
    np.save(name, images)
    classes = tuple(map(str, range(int(labels.max()) + 1)))
    return LabelledImages(open_images_for(run, Path(name)), Labels(labels.astype(np.int64), classes))


def toy(digits, count=200):
    """Digits that are dark on the left, or on the right."""
    images, labels = digits[:count].copy(), np.arange(count) % 2
    images[labels == 0, :, :4] = 0
    images[labels == 1, :, 4:] = 0
    return images, labels


def test_classes_that_lie_apart_are_told_and_shuffled_labels_are_not(trained, digits):
    model, (images, labels) = load_model(trained), toy(digits)
    result = probe(make_task(labelled(trained, images, labels), None, {}, model), model, trained.baselines)
    assert [row.right.estimate for row in result.rows[:-1]] == [1.0] * 8
    assert "right for 100.0 %" in verdict(result)
    assert "no better than PCA-8 (+0.00" in verdict(result)
    shuffled = np.random.default_rng(1).permutation(np.arange(600) % 2)
    task = make_task(labelled(trained, digits[:600], shuffled), None, {}, model)
    result = probe(task, model, trained.baselines)
    assert all(row.right.low < 0.5 < row.right.high for row in result.rows[:-1])
    assert verdict(result).count("no better than") >= 3
    assert "no better than the most frequent class" in verdict(result)


def test_test_images_of_unknown_classes_count_as_wrong(trained, digits):
    model, (images, labels) = load_model(trained), toy(digits)
    train = labelled(trained, images[:100], labels[:100])
    test = labelled(trained, images[100:], np.where(np.arange(100) < 20, 2, labels[100:]), "test.npy")
    task = make_task(train, test, {}, model)
    assert task.unknown == 20
    assert probe(task, model, trained.baselines).row("latents", "linear").right.estimate == 0.8


def test_what_is_too_large_is_left_out(trained, monkeypatch):
    model = load_model(trained)
    found, left_out = representations(model, trained.baselines, 10**9, 0)
    assert [one.name for one in found] == ["latents", "pca", "projection"]
    assert list(left_out) == ["64 pixels"]
    assert [one.name for one in representations(model, trained.baselines, 100, 0)[0]][-1] == "pixels"


def test_many_images_are_drawn_from(trained, digits, monkeypatch):
    from aecli.runs.uses.probing import probe as module

    monkeypatch.setattr(module, "MOST_TRAINING", 50)
    monkeypatch.setattr(module, "MOST_TEST", 10)
    images, labels = toy(digits)
    task = make_task(labelled(trained, images, labels), None, {}, load_model(trained))
    assert (len(task.selection.train), len(task.selection.test), task.found) == (50, 10, (160, 40))
    with pytest.raises(DataError, match="--labels-per-class 30: 60 training images, more than 50: ask for at most 25"):
        make_task(labelled(trained, images, labels), None, {}, load_model(trained), per_class=30)
    assert selection.MOST_TRAINING == 15_000


@pytest.mark.parametrize(
    ("labels", "says"),
    [(np.zeros(200), "every training image is of class '0'"), (np.arange(200), "classes, a probe tells up to 100 ")],
)  # fmt: skip
def test_labels_that_tell_nothing_are_refused(trained, digits, monkeypatch, labels, says):
    from aecli.runs.uses.probing import probe as module

    monkeypatch.setattr(module, "_MOST_CLASSES", 100)
    with pytest.raises(DataError, match=says):
        make_task(labelled(trained, digits[:200], labels), None, {}, load_model(trained))
