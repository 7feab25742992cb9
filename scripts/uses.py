"""Measure what runs are used for, over seeds, and write the tables of docs/anomalies.md, probing.md and compression.md.

    python scripts/uses.py score|probe|compress [DATA] [--seeds N] [--only SET,...] [--work DIR]

DATA, by default ../shared/data, holds mnist_train.npy, mnist_test.npy, fashion_mnist_train.npy and so on with their
labels. Seed i is that of the training, its split, and what is drawn of the labels. A cell is the mean over the seeds
and the half of its 95 % t-interval. Runs stay in --work, where a second call finds them.

On one thread (OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1) a run of `score`, of which there are a hundred, takes ten
seconds, one of `probe` and of `compress` two minutes.
"""

import argparse
import math
import shutil
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import stdtrit

from aecli.data.dataset import ImageDataset, open_images
from aecli.data.labels import required_labels
from aecli.runs.baselines import Baselines
from aecli.runs.config_file import load_config
from aecli.runs.model import load_model
from aecli.runs.run import Run
from aecli.runs.uses.codec.beside import PcaCodec, coefficients_of, lossless, picture_rows
from aecli.runs.uses.codec.compress import Sample, compress_images, sample_of, step_of_quality
from aecli.runs.uses.codec.steps import exponents_for
from aecli.runs.uses.inputs import open_images_for
from aecli.runs.uses.parts import own_parts
from aecli.runs.uses.probing.probe import CLASSIFIERS, LabelledImages, Probe, make_task, probe
from aecli.runs.uses.scoring.conformal import Interval, threshold
from aecli.runs.uses.scoring.held_out import ROWS
from aecli.runs.uses.scoring.result import ScoredImages, ask_of_labels, held_out_of, score_images
from aecli.training.trainer import train

ROOT = Path(__file__).parents[1]
DATA, DOCS = ROOT.parent / "shared" / "data", ROOT / "docs"
TITLES = {"mnist": "MNIST", "fashion_mnist": "Fashion-MNIST"}
NETWORK = ("model.hidden=[256]", "model.activation=prelu", "model.latent_activation=linear")


@dataclass(frozen=True)
class Asked:
    """Where the images are, how many seeds there are, which sets are asked for (all where none), and where runs go."""

    data: Path
    seeds: int
    only: tuple[str, ...]
    work: Path

    def chosen(self, names: Iterable[str]) -> Iterator[str]:
        """Yield those of the names that are asked for."""
        yield from (name for name in names if not self.only or name in self.only)

    def images(self, name: str, part: str) -> Path:
        """Return the file with the images of a set."""
        return self.data / f"{name}_{part}.npy"

    def run(self, folder: str, seed: int, *keys: str, config: str | None = None) -> Run:
        """Return a run of these keys, trained where it is not there yet."""
        run = Run(self.work / f"{folder}_{seed}")
        if run.state == "complete":
            return run
        shutil.rmtree(run.path, ignore_errors=True)
        return train(load_config(Path(config) if config else None, [*keys, f"training.seed={seed}"]).config, run.path)


def spread(values: Sequence[float], decimals: int, sign: str = "") -> str:
    """Return the mean of values, and the half of its 95 % t-interval where there are two or more."""
    mean = f"{statistics.mean(values):{sign}.{decimals}f}"
    if len(values) < 2:
        return mean
    half = stdtrit(len(values) - 1, 0.975) * statistics.stdev(values) / math.sqrt(len(values))
    return f"{mean} ± {half:.{decimals}f}"


def percent(values: Iterable[float], decimals: int, sign: str = "") -> str:
    return spread([100 * value for value in values], decimals, sign)


def write(page: str, head: str, *cells: str) -> None:
    """Print a row, and write it into the table of a page with this head, in the place of that of the same name."""
    row = f"| {' | '.join(cells)} |"
    print(row, flush=True)
    path = DOCS / page
    lines = path.read_text(encoding="utf-8").splitlines()
    start = lines.index(head) + 2
    end = next(i for i in range(start, len(lines) + 1) if i == len(lines) or not lines[i].startswith("|"))
    same = [i for i in range(start, end) if lines[i].startswith(f"| {cells[0]} |")]
    lines[same[0] if same else end : same[0] + 1 if same else end] = [row]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


# -- one class normal -------------------------------------------------------------------------------

RATES = (0.01, 0.05)
CLASSES = [f"{name}:{label}" for name in TITLES for label in range(10)]
SCORE_HEAD = (
    "| normal | AUROC | PCA-32 | mean image | caught at 1 % | by PCA-32 | by the mean image | flagged at 1 % | at 5 % |"
)
ONE_CLASS = (*NETWORK, "model.latent_dim=32", "training.epochs=30", "training.batch_size=128")


@dataclass(frozen=True)
class Flagged:
    """The share of the normal test images that is flagged, and where so many of them, and all there are, lie (95 %).

    The first interval is that of a Beta-binomial, the second that of the Beta distribution of the rate.
    """

    share: float
    of_count: Interval
    of_rate: Interval

    def within(self, interval: str) -> bool:
        """Whether the share is within one of the intervals."""
        low, high = getattr(self, interval)
        return bool(low <= self.share <= high)


def score(asked: Asked) -> None:
    flagged: dict[float, list[list[Flagged]]] = {rate: [] for rate in RATES}
    for name in asked.chosen(CLASSES):
        images, label = name.split(":")
        found = [_score(asked, images, label, seed) for seed in range(asked.seeds)]
        cells = [spread([one.judged[row].auroc.area for one in found], 3) for row in ROWS]
        for row in ROWS:
            caught = [one.judged[row].caught for one in found]
            cells.append(percent([share.count / share.of for share in caught if share], 0) + " %")
        for rate in RATES:
            flagged[rate].append([_flagged(one, rate) for one in found])
            cells.append(_flagged_cell(flagged[rate][-1]))
        write("anomalies.md", SCORE_HEAD, f"{TITLES[images]} {label}", *cells)
    for rate, of_sets in flagged.items():
        for interval in ("of_count", "of_rate"):
            counts = [sum(one.within(interval) for one in of_seed) for of_seed in zip(*of_sets, strict=True)]
            print(f"asked {rate:.0%}: of {len(of_sets)} sets are within their {interval}, seed by seed: {counts}")


def _flagged_cell(found: Sequence[Flagged]) -> str:
    low, high = found[0].of_count
    within = f"{sum(one.within('of_count') for one in found)} of {len(found)}"
    return f"{percent([one.share for one in found], 2)} %, in [{100 * low:.2g}, {100 * high:.2g}] {within}"


def _score(asked: Asked, images: str, label: str, seed: int) -> ScoredImages:
    train_images = f"data.train={asked.images(images, 'train')}"
    run = asked.run(f"score_{images}_{label}", seed, *ONE_CLASS, train_images, f"data.only_label={label}")
    model, source = load_model(run), open_images_for(run, asked.images(images, "test"))
    labels = ask_of_labels(run, source, None)
    known = held_out_of(run, model, "mse", None, labels.classes)
    return score_images(run, model, source, "mse", known, labels, RATES[0])


def _flagged(scored: ScoredImages, rate: float) -> Flagged:
    """Return which share of the normal test images is flagged where so many are asked for."""
    assert scored.normal is not None
    assert scored.known.scores is not None
    found = threshold(scored.known.scores["model"], rate)
    normal = scored.own[scored.normal]
    low, high = found.count_interval(len(normal))
    share = float((normal > found.value).mean())
    return Flagged(share, (low / len(normal), high / len(normal)), found.rate_interval)


# -- classes by latents -----------------------------------------------------------------------------

CODED = {"mnist": ("dense", "model.latent_dim=16"), "fashion_mnist": ("dense",)}
"""Set -> the config of the runs whose codes are probed, and packed, and what is changed in it."""


def coded(asked: Asked, name: str, seed: int) -> Run:
    """Return a run of a set whose codes are looked at."""
    config, *keys = CODED[name]
    keys += [f"data.train={asked.images(name, 'train')}", f"data.test={asked.images(name, 'test')}"]
    return asked.run(f"code_{name}", seed, *keys, config=config)


FEW = 10
"""Labels of each class in the last two columns."""

PROBE_HEAD = "| features | linear | 5-NN | to PCA: linear | to PCA: 5-NN | 100 labels: linear | 100 labels: 5-NN |"


def probing(asked: Asked) -> None:
    for name in asked.chosen(CODED):
        found = [_probe(asked, name, seed) for seed in range(asked.seeds)]
        for row in found[0][0].rows[::2]:
            kind, with_all, few = row.representation, [each for each, _ in found], [each for _, each in found]
            cells = [*_right(with_all, kind), *_beyond_pca(with_all, kind), *_right(few, kind)]
            write("probing.md", PROBE_HEAD, f"{TITLES[name]}: {row.title}", *cells)


def _probe(asked: Asked, name: str, seed: int) -> tuple[Probe, Probe]:
    """Return what a run knows of the classes of a set, by 15,000 labels and by FEW of each class."""
    run = coded(asked, name, seed)
    model = load_model(run)
    sources = (open_images_for(run, asked.images(name, part)) for part in ("train", "test"))
    images, test = (LabelledImages(source, required_labels(source)) for source in sources)
    parts = own_parts(run, images.source)
    tasks = (make_task(images, test, parts, model, each, seed) for each in (None, FEW))
    with_all, few = (probe(task, model, run.baselines, seed) for task in tasks)
    return with_all, few


def _right(found: Sequence[Probe], kind: str) -> list[str]:
    """Return the percentages that are right by each classifier; the row of the most frequent class has but one."""
    classifiers = (None,) if kind == "most_frequent" else CLASSIFIERS
    cells = [percent([each.row(kind, by).right.estimate for each in found], 1) for by in classifiers]
    return [*cells, *[""] * (len(CLASSIFIERS) - len(cells))]


def _beyond_pca(found: Sequence[Probe], kind: str) -> list[str]:
    rows = [[each.row(kind, by).beyond_pca for each in found] for by in CLASSIFIERS if kind != "most_frequent"]
    cells = [percent([row.estimate for row in of_seeds if row], 2, "+") if all(of_seeds) else "" for of_seeds in rows]
    return [*cells, *[""] * (len(CLASSIFIERS) - len(cells))]


# -- images in few bytes ----------------------------------------------------------------------------

QUALITY = 20.5
COMPONENTS = (32, 64, 96, 128, 192, 256)
COMPRESS_HEAD = "| MNIST at 20.5 dB | bytes/image | psnr dB | ae pays from |"


def compressing(asked: Asked) -> None:
    found = []
    for seed in range(asked.seeds):
        run = coded(asked, "mnist", seed)
        model, source = load_model(run), open_images_for(run, asked.images("mnist", "test"))
        sample = sample_of(source, model)
        step = step_of_quality(sample, model.decode, exponents_for(model, sample.latents), QUALITY)
        size, quantiser = compress_images(run, model, source, sample, asked.work / "file.aez", step)
        restored = quantiser.to_latents(quantiser.to_integers(sample.of_images))
        quality = (sample.quality(model.decode, latents) for latents in (restored, sample.of_images))
        found.append((size / len(source), *quality, run.decoder_file.stat().st_size))
    own, psnr, floats, decoder = (list(column) for column in zip(*found, strict=True))
    print(f"without steps {spread(floats, 2)} dB; decoder {statistics.mean(decoder):,.0f} bytes")

    def row(title: str, size: float, reached: float | None, needed: int = 0) -> None:
        saved = size - statistics.mean(own)
        pays = f"{math.ceil((decoder[0] - needed) / saved):,} images" if saved > 0 else "never"
        write("compression.md", COMPRESS_HEAD, title, f"{size:.1f}", f"{reached:.2f}" if reached else "exact", pays)

    length = model.latent_dim
    write("compression.md", COMPRESS_HEAD, f"`ae`, a code of {length}", spread(own, 2), spread(psnr, 2), "")
    components = _components(open_images(asked.images("mnist", "train")), max(COMPONENTS))
    row(f"PCA-{length}, near its best", *_pca(source, sample, components, length), _bytes_of(components, length))
    ways = {count: _pca(source, sample, components, count) for count in COMPONENTS}
    least = min((count for count in ways if ways[count][1] >= QUALITY), key=lambda count: ways[count][0])
    print("PCA:", "; ".join(f"{count}: {size:.2f} at {reached:.2f} dB" for count, (size, reached) in ways.items()))
    row("PCA, as many components as take least", *ways[least], _bytes_of(components, least))
    for other in [*picture_rows(sample.images, QUALITY), lossless(source.file.take(sample.rows))]:
        if isinstance(other, str):
            print(other)
        else:
            row(other.title, other.bytes, other.psnr)


def _components(images: ImageDataset, count: int) -> Baselines:
    """Return the mean image and the first principal components of images."""
    flat = images.format.to_contract(images.file.read(0, len(images))).reshape(len(images), -1)
    mean = flat.mean(axis=0, dtype=np.float64)
    vectors = np.linalg.eigh(np.cov(flat.T))[1][:, ::-1]
    shape = images.format.image_shape
    return Baselines(mean.reshape(shape).astype(np.float32), vectors[:, :count].T.astype(np.float32))


def _bytes_of(components: Baselines, count: int) -> int:
    """Return what a reader needs of so many components: them and the mean image, as float32."""
    return components.mean.nbytes + components.components[:count].nbytes


def _pca(source: ImageDataset, sample: Sample, components: Baselines, count: int) -> tuple[float, float]:
    """Return the bytes an image of so many coefficients at QUALITY, or near their best where that is less, and it."""
    codec = PcaCodec(Baselines(components.mean, components.components[:count]))
    coefficients = codec.encode(sample.images)
    enough = min(QUALITY, sample.quality(codec.decode, coefficients) - 0.05)
    step = step_of_quality(sample, codec.decode, codec.steps(1.0).exponents, enough, coefficients)
    measured = codec.measured(step, sample, coefficients_of(source, codec, sample), len(source))
    return measured.bytes, measured.psnr or 0.0


USES: dict[str, Callable[[Asked], None]] = {"score": score, "probe": probing, "compress": compressing}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("use", choices=USES)
    parser.add_argument("data", type=Path, nargs="?", default=DATA)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", default="", help=f"of {', '.join(CLASSES[::10])}, ...; or of {', '.join(CODED)}")
    parser.add_argument("--work", type=Path, default=Path("runs/uses"))
    given = parser.parse_args()
    only = tuple(filter(None, given.only.split(",")))
    unknown = set(only) - {*(CLASSES if given.use == "score" else CODED)}
    if unknown:
        parser.error(f"--only: no such sets: {', '.join(sorted(unknown))}")
    asked = Asked(given.data.resolve(), given.seeds, only, given.work)
    USES[given.use](asked)


if __name__ == "__main__":
    main()
