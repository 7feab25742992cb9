"""The Python interface: the commands as functions, with the same results.

import aecli
run = aecli.train("images.npy", set={"training.epochs": 20})
study = aecli.compare(images, activations=["relu", "prelu"], seeds=5)
print(study.summary.verdict)
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aecli.core.errors import DataError, one_line, warnings_end_nothing
from aecli.core.files import written_whole
from aecli.data.files.arrays import require_images
from aecli.data.files.open import source_name
from aecli.runs.config_file import NamedConfig, change_config, load_config
from aecli.runs.run import RUNS, Run, find_run
from aecli.studies.compare import NullStudyProgress, StudyResult
from aecli.studies.compare import compare as compare_config
from aecli.studies.config import StudyFile
from aecli.studies.configs import load_with_configs, read_configs
from aecli.studies.study import STUDIES
from aecli.training.artifacts import FULL
from aecli.training.suggest.config import keys_in, suggest_config
from aecli.training.trainer import train as train_config
from aecli.views.plots import draw_plots
from aecli.views.report.report import write_study_report

ImagesOrFile = NDArray[Any] | str | Path
"""Images as an array, (N, H, W), (N, H, W, C) or (N, D) in any units, or the path of what `ae train` takes."""


@warnings_end_nothing()
def train(
    images: ImagesOrFile,
    *,
    config: str | Path | None = None,
    set: Mapping[str, Any] | None = None,
    folder: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    device: str = "auto",
) -> Run:
    """Train an autoencoder on images; return its complete run, as `ae train` does.

    `config` is a YAML file or the name of a packaged config, None what suits the images; `set` maps config keys to
    values, e.g. {"model.latent_dim": 16}. With `resume` a run that is there goes on, if it was stopped, or to more
    epochs, with the same config otherwise. The run goes into `folder`, by default runs/ and the config's name. An
    array is kept beside it as .npy. Raises aecli.core.errors.AeError with the place and the cure.
    """
    named = _load(config, set or {})
    path = Path(folder) if folder else RUNS / named.name
    with _file_of(images, path) as file:
        named = _for_images(named, set or {}, file)
        return train_config(
            named.config.run_config, path, name=named.name, resume=resume, overwrite=overwrite, device=device,
            artifacts=(*FULL, draw_plots),
        )  # fmt: skip


@warnings_end_nothing()
def compare(
    images: ImagesOrFile,
    *,
    activations: Sequence[str] | None = None,
    vary: Mapping[str, Sequence[Any]] | None = None,
    tune: Mapping[str, Sequence[Any]] | None = None,
    configs: str | Path | Sequence[str | Path] | Mapping[str, str | Path | Mapping[str, Any]] | None = None,
    by: str | None = None,
    seeds: int = 5,
    config: str | Path | None = None,
    set: Mapping[str, Any] | None = None,
    folder: str | Path | None = None,
    workers: int | None = None,
    overwrite: bool = False,
) -> StudyResult:
    """Compare variants of a config on images, as `ae compare` does; return the study with its results and summary.

    `vary` maps config keys to the values to compare, `activations` is short for its "model.activation"; with
    neither, eight activations. `tune` maps keys to values of which each variant takes its own best. `configs` are
    whole configs to compare: names and files, or a mapping of rows' names to them or to sections of keys; `set` then
    changes all of them. `by` is the metric that decides, by default that of the config.

    Calling it again continues the study in `folder`, by default studies/ and the images' name. Its workers are
    processes that know nothing of the script or notebook that calls it. Raises aecli.core.errors.AeError.
    """
    of_configs = load_with_configs(Path(config) if config else None, set or {}, _rows(configs), "set")
    named = _load(config, set or {}) if of_configs is None else of_configs[0]
    name = source_name(Path(images)) if isinstance(images, str | Path) else "images"
    path = Path(folder) if folder else STUDIES / name
    grid = {"model.activation": list(activations)} if activations else {}
    grid |= {key: list(values) for key, values in (vary or {}).items()}
    tuned = {key: list(values) for key, values in (tune or {}).items()}
    study: dict[str, Any] = {"study.vary": grid, "study.tune": tuned, "study.seeds": seeds}
    study |= {"study.metric": by} if by else {}
    with _file_of(images, path) as file:
        if of_configs is None:
            asked = change_config(_for_images(named, set or {}, file).config, study, "compare")
        else:
            asked = change_config(named.with_training_images(file).config, study, "compare")
            asked = read_configs(asked, of_configs[1])
        result = compare_config(asked, path, NullStudyProgress(), workers, overwrite)
    write_study_report(result.study)
    return result


@warnings_end_nothing()
def load_run(folder: str | Path | None = None) -> Run:
    """Return the complete run in a folder, by default the newest one in runs/.

    `run.metrics`, `run.history` and `run.health` hold what was measured; `aecli.runs.model.load_model(run)` gives
    `encode`, `decode` and `reconstruct` of images (N, H, W, C) in [0, 1]. Raises aecli.core.errors.RunError.
    """
    return find_run(Path(folder) if folder else None)


def _load(config: str | Path | None, keys: Mapping[str, Any]) -> NamedConfig[StudyFile]:
    named = load_config(Path(config) if config else None, (), StudyFile)
    return replace(named, config=change_config(named.config, keys, "set"))


def _for_images(named: NamedConfig[StudyFile], said: Mapping[str, Any], file: Path) -> NamedConfig[StudyFile]:
    """Return the config for the images in a file: where no file holds it, with what suits them in the other keys."""
    named = named.with_training_images(file)
    return named if named.origin else replace(named, config=suggest_config(named.config, keys_in(said)).config)


def _rows(configs: str | Path | Sequence[str | Path] | Mapping[str, Any] | None) -> dict[str, Any] | list[str] | None:
    """Return the configs of a study as its key has them."""
    if isinstance(configs, str | Path):
        return [str(configs)]
    if isinstance(configs, Mapping):
        return {name: str(config) if isinstance(config, Path) else config for name, config in configs.items()}
    return None if configs is None else [str(config) for config in configs]


@contextmanager
def _file_of(images: ImagesOrFile, folder: Path) -> Iterator[Path]:
    """Yield the file of the images; an array is written beside the folder, under the hash of its values.

    Where the block fails before anything is in the folder, what was written for it goes again.
    """
    if isinstance(images, str | Path):
        yield Path(images)
        return
    array = _array_of(images)
    name = hashlib.sha256(array.dtype.str.encode() + str(array.shape).encode() + array.tobytes()).hexdigest()[:12]
    path = folder.absolute().with_name(f"{folder.name}_images_{name}.npy")
    if path.is_file():
        yield path
        return
    made = [parent for parent in path.parents if not parent.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with written_whole(path) as temporary:
            np.save(temporary, array, allow_pickle=False)
        yield path
    except BaseException:
        if not (folder.is_dir() and any(folder.iterdir())):
            path.unlink(missing_ok=True)
            with suppress(OSError):  # others are at work there
                for parent in made:
                    parent.rmdir()
        raise


def _array_of(images: Any) -> NDArray[Any]:
    """Return images from memory as an array; DataError where they are none."""
    try:
        array = np.ascontiguousarray(images)
    except (ValueError, TypeError) as error:
        reason = "they differ in shape" if "inhomogeneous" in str(error) else one_line(error)[:120]
        raise DataError(f"images: are no array ({reason}): give images of one size as one array (N, H, W)") from error
    require_images("images", np.shape(images), array.dtype)
    return array
