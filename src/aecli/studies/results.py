"""What each run of a study gave, and the table that keeps it."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from aecli.core.errors import RunError, is_io_failure, one_line, unreadable
from aecli.runs.baselines import BASELINES
from aecli.runs.diagnosis import collapse, posterior_collapse
from aecli.runs.metrics import METRICS, table_metrics
from aecli.runs.run import Run

_CONVERGED_WITHIN = 0.05
"""An epoch whose validation loss is within this share of the last kept one counts as near the end."""


ResultState = Literal["complete", "collapsed", "failed", "missing"]


@dataclass(frozen=True)
class Result:
    """What one run of a study gave; None where the run has none.

    `metrics` are the means of every metric over the test images, fvu and the count of exact copies among them,
    `baselines` those of each baseline. `generalization_gap` is the validation mse less the training mse;
    `epochs_to_5pct` the first epoch whose validation loss is within 5 % of the kept one; `falling` the share by which
    the validation loss fell in the last tenth of the epochs, 0 where training did not end with its best. `dead`,
    `saturated` and `gradient_norm` are those of the worst layer in the last epoch. `config`, `family` and the number
    of `weights` are those of a study whose rows are whole configs, `nll` is the bound -ELBO of a variational network.
    """

    label: str
    variant: str
    seed: int
    state: ResultState
    reason: str | None = None
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    exact_copies: int | None = None
    train_mse: float | None = None
    validation_mse: float | None = None
    generalization_gap: float | None = None
    epochs: int | None = None
    best_epoch: int | None = None
    epochs_to_5pct: int | None = None
    seconds: float | None = None
    latent_dim: int | None = None
    dead: float | None = None
    saturated: float | None = None
    gradient_norm: float | None = None
    baselines: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    run: str = ""
    identity: str = ""
    falling: float | None = None
    config: str | None = None
    family: str | None = None
    weights: int | None = None
    nll: float | None = None

    def value(self, name: str) -> Any:
        """Return a number by the name of its column: of a metric, of "pca_" and a metric, or of the run."""
        for baseline, means in self.baselines.items():
            if name.startswith(f"{baseline}_"):
                return means.get(name.removeprefix(f"{baseline}_"))
        return self.metrics.get(name) if name in _metric_names() else getattr(self, _ATTRIBUTES.get(name, name), None)


_COLUMNS = {"label": "row", "generalization_gap": "gap", "epochs_to_5pct": "settled"}
"""Attributes of a result whose columns have other names."""

_OF_SOME = ("config", "family", "weights", "nll")
"""Columns that a study has where one of its results does."""

_ATTRIBUTES = {column: name for name, column in _COLUMNS.items()}


def _metric_names() -> list[str]:
    return [metric.name for metric in table_metrics()]


def read_result(run: Run, base: Mapping[str, Any]) -> Result:
    """Read the result of a complete run from its folder; `base` is what its study knows of it."""
    splits, records, health = run.metrics["splits"], run.history, run.health
    model, best = splits["test"]["model"], run.metrics["best_epoch"]
    last = [layer for layer in health if layer.epoch == health[-1].epoch]
    bound = run.metrics.get("variational", {"splits": {}})["splits"].get("test", {})
    reason = posterior_collapse(bound.get("kl")) or collapse(health, model["fvu"])
    best_loss = records[best - 1].val_loss
    return Result(
        **base,
        state="collapsed" if reason else "complete",
        reason=reason,
        metrics={name: model.get(name) for name in _metric_names()},
        exact_copies=model["exact_copies"],
        train_mse=splits["train"]["model"]["mse"],
        validation_mse=splits["validation"]["model"]["mse"],
        generalization_gap=splits["validation"]["model"]["mse"] - splits["train"]["model"]["mse"],
        epochs=run.metrics["epochs"],
        best_epoch=best,
        epochs_to_5pct=next(r.epoch for r in records if r.val_loss <= best_loss + _CONVERGED_WITHIN * abs(best_loss)),
        seconds=run.metrics["seconds"],
        dead=max(layer.dead for layer in last),
        # The output may well be black and white: the layers before it should not be.
        saturated=max((layer.saturated for layer in last[:-1] if layer.saturated is not None), default=None),
        gradient_norm=min(layer.gradient_norm for layer in last),
        baselines={by: {name: splits["test"][by].get(name) for name in METRICS} for by in BASELINES},
        identity=run.environment["identity"],
        falling=_fall([record.val_loss for record in records], best),
        nll=bound.get("neg_elbo"),
    )


def _fall(losses: Sequence[float], best_epoch: int) -> float:
    """Return the share by which the losses fell in the last tenth of the epochs, 0 where the best is not the last."""
    last, before = losses[-1], losses[-1 - max(1, len(losses) // 10)] if len(losses) > 1 else losses[-1]
    return max(0.0, (before - last) / abs(last)) if best_epoch == len(losses) and last else 0.0


def results_to_csv(results: Iterable[Result]) -> str:
    """Return one row a run, everything that is known of it."""
    results = list(results)
    names = [f.name for f in fields(Result) if f.name not in _OF_SOME or _any_has(results, f.name)]
    columns = [column for name in names for column in _columns_of(name)]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    for result in results:
        row: dict[str, Any] = {}
        for name in names:
            row |= dict(zip(_columns_of(name), _cells_of(result, name), strict=True))
        writer.writerow(row)
    return text.getvalue()


def _any_has(results: Iterable[Result], name: str) -> bool:
    # What a whole config is, a run that did not begin has none of: the columns stand together.
    name = "config" if name in ("family", "weights") else name
    return any(getattr(result, name) is not None for result in results)


def _columns_of(name: str) -> list[str]:
    if name == "metrics":
        return _metric_names()
    if name == "baselines":
        return [f"{baseline}_{metric}" for baseline in BASELINES for metric in METRICS]
    return [_COLUMNS.get(name, name)]


def _cells_of(result: Result, name: str) -> list[Any]:
    if name in ("metrics", "baselines"):
        return [result.value(column) for column in _columns_of(name)]
    return [getattr(result, name)]


def read_results(path: Path) -> list[Result]:
    """Read the file of `results_to_csv`; RunError when it is something else."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            results = [_result(row) for row in csv.DictReader(file)]
        if any(Path(result.run).is_absolute() or ".." in Path(result.run).parts for result in results):
            raise ValueError("a run lies outside the study")
    except OSError as error:
        if is_io_failure(error):
            raise unreadable(path, error) from error
        raise RunError(f"{path}: is missing: run ae compare again") from error
    except (KeyError, ValueError, TypeError) as error:
        raise RunError(f"{path}: is damaged ({one_line(error)[:120]}): run ae compare again") from error
    return results


def _result(row: Mapping[str, str]) -> Result:
    """Read a row; a metric that its version did not have is None."""
    plain: dict[str, Any] = {}
    for info in fields(Result):
        if info.name not in ("metrics", "baselines"):
            kind = getattr(info.type, "__name__", str(info.type))
            column = _COLUMNS.get(info.name, info.name)
            # A column that its version did not have is None where a result may do without.
            plain[info.name] = _value(row.get(column, "") if "None" in kind else row[column], kind)
    return Result(
        **plain,
        metrics={name: _value(row.get(name, ""), "float | None") for name in _metric_names()},
        baselines={
            by: {name: _value(row.get(f"{by}_{name}", ""), "float | None") for name in METRICS} for by in BASELINES
        },
    )


def _value(text: str, kind: str) -> Any:
    if not text and "None" in kind:
        return None
    return float(text) if kind.startswith("float") else int(text) if kind.startswith("int") else text
