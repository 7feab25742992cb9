"""The Python interface: the commands as functions, with the same results.

import aecli
run = aecli.train(images, set={"training.epochs": 20})
restored = run.reconstruct(images)
compared = aecli.compare(images, activations=["relu", "prelu"], seeds=5)
print(compared.verdict)
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from aecli.core.errors import AeError, ConfigError, warnings_end_nothing
from aecli.core.files import written_whole
from aecli.core.progress import no_progress
from aecli.data.files.open import source_name
from aecli.python.images import ImagesOrFile, array_of, path_of
from aecli.python.progress import (
    OnEpoch,
    Told,
    kept_of_run,
    kept_of_study,
    silenced,
    stoppable,
    study_progress,
    training_progress,
)
from aecli.python.run import Run
from aecli.python.study import Comparison
from aecli.python.words import in_python_words, reworded
from aecli.runs.config_file import NamedConfig, change_config, load_config
from aecli.runs.run import RUNS, find_run
from aecli.runs.run import Run as RunFolder
from aecli.studies.compare import compare as compare_config
from aecli.studies.config import StudyFile
from aecli.studies.configs import load_with_configs, read_configs
from aecli.studies.study import STUDIES
from aecli.training.artifacts import FULL
from aecli.training.engines.gpus import is_device
from aecli.training.progress import Both, Progress, stage_callback
from aecli.training.suggest.config import keys_in, suggest_config
from aecli.training.trainer import train as train_config
from aecli.views.plots import draw_plots
from aecli.views.report.report import write_study_report


@warnings_end_nothing()
@in_python_words
def train(
    images: "ImagesOrFile",
    *,
    config: str | Path | None = None,
    set: Mapping[str, Any] | None = None,
    folder: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    device: str = "auto",
    progress: bool | None = None,
    on_epoch: OnEpoch | None = None,
) -> Run:
    """Train an autoencoder on images; return its complete run, as `ae train` does.

    `images` are an array (N, H, W), (N, H, W, C) or (N, D) in any units, a tensor of any library, on whatever device, a
    list of arrays or tensors of one shape, or the path of what `ae train` takes. `config` is a YAML file or the name of
    a packaged config, None what suits the images; `set` maps config keys to values, e.g. {"model.latent_dim": 16}. With
    `resume` a run that is there goes on, if it was stopped, or to more epochs, with the same config otherwise. The run
    goes into `folder`, by default runs/ and the config's name. An array is kept beside it as .npy. `progress` shows how
    far it is, by default in a terminal and in a notebook. `on_epoch` is called after every epoch with its row of
    `run.history`. Ctrl-C, or the stop button of a notebook, ends it with a checkpoint. Raises aecli.AeError with the
    place and the cure.
    """
    _require_device(device)
    if resume and overwrite:
        raise AeError("resume and overwrite exclude each other: give one of them")
    named = _load(config, set or {})
    path = Path(folder) if folder else RUNS / named.name
    run = RunFolder(path)
    run.refuse_existing(overwrite or resume)
    shown = training_progress(progress)
    told = Both(shown, Told(on_epoch)) if on_epoch is not None else shown
    with _file_of(images, path) as file, silenced(), stoppable(shown.note, lambda: kept_of_run(run)) as signals:
        try:
            named = _for_images(named, set or {}, file, told)
            train_config(
                named.config.run_config, path, name=named.name, resume=resume, overwrite=overwrite, device=device,
                artifacts=(*FULL, draw_plots), progress=told, signals=signals,
            )  # fmt: skip
        finally:
            shown.close()
    return Run(path)


@warnings_end_nothing()
@in_python_words
def compare(
    images: "ImagesOrFile",
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
    device: str = "cpu",
    progress: bool | None = None,
) -> Comparison:
    """Compare variants of a config on images, as `ae compare` does; return the study with its results and summary.

    `vary` maps config keys to the values to compare, `activations` is short for its "model.activation"; with
    neither, eight activations. `tune` maps keys to values of which each variant takes its own best. `configs` are
    whole configs to compare: names and files, or a mapping of rows' names to them or to sections of keys; `set` then
    changes all of them. `by` is the metric that decides, by default that of the config.

    Calling it again continues the study in `folder`, by default studies/ and the images' name. Its workers are
    processes that know nothing of the script or notebook that calls it; `device` is "cpu", GPUs, "gpu:0,1", or "auto",
    every GPU. `progress` shows how far it is, by default in a terminal and in a notebook. Raises aecli.AeError.
    """
    _require_device(device, several=True)
    of_configs = load_with_configs(Path(config) if config else None, set or {}, _rows(configs), "set")
    named = _load(config, set or {}) if of_configs is None else of_configs[0]
    given = path_of(images)
    name = source_name(given) if given is not None else "images"
    path = Path(folder) if folder else STUDIES / name
    grid = {"model.activation": list(activations)} if activations else {}
    grid |= {key: list(values) for key, values in (vary or {}).items()}
    tuned = {key: list(values) for key, values in (tune or {}).items()}
    study: dict[str, Any] = {"study.vary": grid, "study.tune": tuned, "study.seeds": seeds}
    study |= {"study.metric": by} if by else {}
    shown = study_progress(progress)
    with _file_of(images, path) as file, stoppable(shown.note, lambda: kept_of_study(path)):
        if of_configs is None:
            asked = change_config(_for_images(named, set or {}, file).config, study, "compare")
        else:
            asked = change_config(named.with_training_images(file).config, study, "compare")
            asked = read_configs(asked, of_configs[1])
        result = compare_config(asked, path, shown, workers, overwrite, device=device)
    write_study_report(result.study)
    return Comparison(result.study, result.results, result.summary)


@warnings_end_nothing()
@in_python_words
def load_run(folder: str | Path | None = None) -> Run:
    """Return the complete run in a folder, by default the newest one in runs/. Raises aecli.AeError."""
    return Run(find_run(Path(folder) if folder else None).path)


def _require_device(device: str, several: bool = False) -> None:
    if not is_device(str(device), several):
        gpus = "GPUs, e.g. gpu:0,1" if several else "a GPU, e.g. gpu:0"
        raise AeError(f"device={device!r}: expected auto, cpu or {gpus}")


def _load(config: str | Path | None, keys: Mapping[str, Any]) -> NamedConfig[StudyFile]:
    if not isinstance(keys, Mapping):
        raise ConfigError([f'set={keys!r}: expected config keys and their values, e.g. {{"training.epochs": 20}}'])
    named = load_config(Path(config) if config else None, (), StudyFile)
    return replace(named, config=change_config(named.config, keys, "set"))


def _for_images(
    named: NamedConfig[StudyFile], said: Mapping[str, Any], file: Path, progress: Progress | None = None
) -> NamedConfig[StudyFile]:
    """Return the config for the images in a file: where no file holds it, with what suits them in the other keys."""
    named = named.with_training_images(file)
    if named.origin:
        return named
    on_progress = no_progress if progress is None else stage_callback(progress)
    if progress is not None:
        progress.stage("looking at the images")
    suggested = suggest_config(named.config, keys_in(said), on_progress=on_progress)
    if progress is not None:
        progress.note(suggested.chosen())
    return replace(named, config=suggested.config)


def _rows(configs: str | Path | Sequence[str | Path] | Mapping[str, Any] | None) -> dict[str, Any] | list[str] | None:
    """Return the configs of a study as its key has them."""
    if isinstance(configs, str | Path):
        return [str(configs)]
    if isinstance(configs, Mapping):
        return {name: str(config) if isinstance(config, Path) else config for name, config in configs.items()}
    return None if configs is None else [str(config) for config in configs]


@contextmanager
def _file_of(images: "ImagesOrFile", folder: Path) -> Iterator[Path]:
    """Yield the file of the images; an array is written beside the folder, under the hash of its values.

    Where the block fails before anything is in the folder, what was written for it goes again.
    """
    given = path_of(images)
    if given is not None:
        yield given
        return
    array = array_of(images)
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
        with reworded(lambda message: message.replace(str(path), "images")):
            yield path
    except BaseException:
        if not (folder.is_dir() and any(folder.iterdir())):
            path.unlink(missing_ok=True)
            with suppress(OSError):  # others are at work there
                for parent in made:
                    parent.rmdir()
        raise
