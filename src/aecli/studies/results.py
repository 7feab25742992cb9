"""What each run of a study gave, and the table that keeps it."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from aecli.core.errors import RunError, is_of_the_machine, one_line, unreadable
from aecli.runs.health import collapse
from aecli.runs.run import Run

COMPARED = ("mse", "mae", "psnr", "ssim")
"""The metrics that a study may compare by."""


SETTLED = 0.05
"""An epoch whose validation loss is within this share of the last kept one counts as near the end."""


State = Literal["complete", "collapsed", "failed", "missing"]


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


HIGHER_IS_BETTER = frozenset({"psnr", "ssim"})


BASELINES = {"pca": "PCA", "mean_image": "mean image"}
