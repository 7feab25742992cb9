"""A study: variants x seeds of runs in a folder, and the table of their results."""

import csv
import io
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from aecli.core.errors import AeError, RunError, WriteError, is_of_the_machine, one_line, unreadable
from aecli.core.files import whole_name, write_text
from aecli.core.locks import locked
from aecli.runs.config import Config
from aecli.runs.config_file import to_yaml, varied
from aecli.runs.health import collapse
from aecli.runs.run import Run

ACTIVATIONS = ("relu", "leaky_relu", "prelu", "sigmoid", "tanh", "elu", "gelu", "linear")
"""What is compared where the config varies nothing."""

TEST_SPLIT = 0.1
"""Share of the images kept for the test where there is no file of test images and the config says nothing."""

COMPARED = ("mse", "mae", "psnr", "ssim")
"""The metrics that a study may compare by."""

SETTLED = 0.05
"""An epoch whose validation loss is within this share of the last kept one counts as near the end."""

State = Literal["complete", "collapsed", "failed", "missing"]


@dataclass(frozen=True)
class Variant:
    """One cell of the grid: what was changed in the config, and the config that came of it.

    `tuned` are the changes of which each variant keeps its own best; `row` is the variant without them.
    """

    changes: tuple[tuple[str, Any], ...]
    tuned: tuple[tuple[str, Any], ...]
    config: Config

    @property
    def row(self) -> str:
        """The name of the table's row: the values that vary."""
        return _name(self.changes) or "config"

    @property
    def name(self) -> str:
        """The name of the variant: its row, and the tuned values."""
        return ", ".join(part for part in (_name(self.changes), _name(self.tuned)) if part) or "config"

    def at(self, seed: int) -> Config:
        """Return the config of the run with this seed."""
        keys: dict[str, Any] = {"training.seed": seed}
        if self.config.study.split == "fixed":
            keys["data.split_seed"] = self.config.split_seed
        return varied(self.config, keys, self.name).alone()


def plan(config: Config) -> tuple[Variant, ...]:
    """Return the variants of a config's study; raises ConfigError for a value that its key cannot have."""
    study = config.study
    grid = study.vary or {"model.activation": ACTIVATIONS}
    if not (config.data.test or config.data.test_split):
        config = varied(config, {"data.test_split": TEST_SPLIT}, "study")
    variants = []
    for changes in _combinations(grid):
        for tuned in _combinations(study.tune):
            merged = dict([*changes, *tuned])
            variants.append(Variant(changes, tuned, varied(config, merged, "study")))
    names = [variant.name for variant in variants]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise AeError(f"study: the variant {twice} is there twice: name every value once")
    return tuple(variants)


def seeds(config: Config) -> range:
    """Return the seeds of a config's study."""
    return range(config.training.seed, config.training.seed + config.study.seeds)


@dataclass(frozen=True)
class Result:
    """What one run of a study gave; the metrics are means over the test images, None where the run has none.

    `gap` is the validation mse less the training mse; `settled` the first epoch whose validation loss is within
    5 % of the kept one. `dead`, `saturated` and `gradient_norm` are those of the worst layer in the last epoch.
    """

    row: str
    variant: str
    seed: int
    state: State
    reason: str | None = None
    mse: float | None = None
    mae: float | None = None
    sse_per_image: float | None = None
    psnr: float | None = None
    ssim: float | None = None
    fvu: float | None = None
    exact_copies: int | None = None
    train_mse: float | None = None
    validation_mse: float | None = None
    gap: float | None = None
    epochs: int | None = None
    best_epoch: int | None = None
    settled: int | None = None
    seconds: float | None = None
    latent_dim: int | None = None
    dead: float | None = None
    saturated: float | None = None
    gradient_norm: float | None = None
    pca_mse: float | None = None
    pca_mae: float | None = None
    pca_psnr: float | None = None
    pca_ssim: float | None = None
    mean_image_mse: float | None = None
    mean_image_mae: float | None = None
    mean_image_psnr: float | None = None
    mean_image_ssim: float | None = None
    run: str = ""
    identity: str = ""


class Study:
    """The folder of a study; the only place that knows the names inside it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config_file = path / "study.yaml"
        self.results_file = path / "results.csv"
        self.summary_file = path / "summary.json"
        self.report_file = path / "report.html"
        self.lock_file = path / ".lock"
        self.plots_folder = path / "plots"

    @contextmanager
    def locked(self, config: Config) -> Iterator[None]:
        """Make the folder, write the study's config, and hold the folder's lock while the block runs.

        Raises AeError where something else is there, or another process works on the study.
        """
        if self.path.is_file():
            raise AeError(f"{self.path}: is a file, expected a folder for the study: give another --output")
        there = self.path.is_dir() and not self.config_file.is_file()
        if there and not all(map(self._left_behind, self.path.iterdir())):
            raise AeError(f"{self.path}: is a folder of other files, not a study: give another --output")
        try:
            self.plots_folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WriteError(f"{self.path}: cannot be written ({error.strerror}): give another --output") from error
        with locked(self.lock_file, "--output"):
            write_text(self.config_file, to_yaml(config))
            yield

    def _left_behind(self, path: Path) -> bool:
        """Whether this may be of a process that was killed before it wrote the study's config."""
        return path in (self.lock_file, self.plots_folder) or whole_name(path.name) == self.config_file.name

    @property
    def config_text(self) -> str:
        """The study's config as it was written; ReadError where it cannot be read."""
        try:
            return self.config_file.read_text(encoding="utf-8")
        except OSError as error:
            raise unreadable(self.config_file, error) from error

    def run(self, variant: Variant, seed: int) -> Run:
        """Return the run of a variant with a seed."""
        return Run(self.path / "runs" / _slug(variant.name) / str(seed))

    def result(self, variant: Variant, seed: int) -> Result:
        """Read the result of a run from its folder."""
        run = self.run(variant, seed)
        base: dict[str, Any] = {
            "row": variant.row,
            "variant": variant.name,
            "seed": seed,
            "run": str(run.path.relative_to(self.path)),
        }
        base |= {"latent_dim": variant.config.model.latent_dim}
        if run.state == "complete":
            return _measured(run, base)
        if run.state in ("incomplete", "interrupted"):
            return Result(**base, state="missing")
        return Result(**base, state="failed", reason=run.failure[0])

    def write_results(self, results: Sequence[Result]) -> None:
        """Write one row a run, everything that is known of it."""
        text = io.StringIO()
        writer = csv.DictWriter(text, [f.name for f in fields(Result)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(result) for result in results)
        write_text(self.results_file, text.getvalue())


def _measured(run: Run, base: Mapping[str, Any]) -> Result:
    splits, records, health = run.metrics["splits"], run.history, run.health
    model, best = splits["test"]["model"], run.metrics["best_epoch"]
    last = [layer for layer in health if layer.epoch == health[-1].epoch]
    reason = collapse(health, model["fvu"])
    kept = records[best - 1].val_loss
    return Result(
        **base,
        state="collapsed" if reason else "complete",
        reason=reason,
        **{name: model[name] for name in ("mse", "mae", "sse_per_image", "psnr", "ssim", "fvu", "exact_copies")},
        train_mse=splits["train"]["model"]["mse"],
        validation_mse=splits["validation"]["model"]["mse"],
        gap=splits["validation"]["model"]["mse"] - splits["train"]["model"]["mse"],
        epochs=run.metrics["epochs"],
        best_epoch=best,
        settled=next(r.epoch for r in records if r.val_loss <= kept + SETTLED * abs(kept)),
        seconds=run.metrics["seconds"],
        dead=max(layer.dead for layer in last),
        # The output may well be black and white: the layers before it should not be.
        saturated=max((layer.saturated for layer in last[:-1] if layer.saturated is not None), default=None),
        gradient_norm=min(layer.gradient_norm for layer in last),
        **{f"{by}_{name}": splits["test"][by][name] for by in ("pca", "mean_image") for name in COMPARED},
        identity=run.environment["identity"],
    )


def read_results(path: Path) -> list[Result]:
    """Read what `Study.write_results` wrote; RunError when it is something else."""
    kinds = {f.name: getattr(f.type, "__name__", str(f.type)) for f in fields(Result)}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            results = [Result(**{k: _value(v, kinds[k]) for k, v in row.items()}) for row in csv.DictReader(file)]
        if any(Path(result.run).is_absolute() or ".." in Path(result.run).parts for result in results):
            raise ValueError("a run lies outside the study")
    except OSError as error:
        if is_of_the_machine(error):
            raise unreadable(path, error) from error
        raise RunError(f"{path}: is missing: run ae compare again") from error
    except (KeyError, ValueError, TypeError) as error:
        raise RunError(f"{path}: is damaged ({one_line(error)[:120]}): run ae compare again") from error
    return results


def _value(text: str, kind: str) -> Any:
    if not text and "None" in kind:
        return None
    return float(text) if kind.startswith("float") else int(text) if kind.startswith("int") else text


def _combinations(values: Mapping[str, Iterable[Any]]) -> list[tuple[tuple[str, Any], ...]]:
    return [tuple(zip(values, combination, strict=True)) for combination in itertools.product(*values.values())]


def _name(changes: Iterable[tuple[str, Any]]) -> str:
    return ", ".join(
        _text(value) if key == "model.activation" else f"{key.partition('.')[2]}={_text(value)}"
        for key, value in changes
    )


def _text(value: Any) -> str:
    if isinstance(value, dict) and "name" in value:
        parameters = ", ".join(f"{k}={_text(v)}" for k, v in value.items() if k != "name")
        return f"{value['name']}({parameters})" if parameters else str(value["name"])
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {_text(v)}" for k, v in value.items()) + "}"
    if value is None:
        return "null"
    if isinstance(value, list):
        return "-".join(map(_text, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _slug(name: str) -> str:
    """Return a folder's name for a variant: letters, digits and what reads well."""
    return re.sub(r"[^\w.=+-]+", "_", name).strip("_")
