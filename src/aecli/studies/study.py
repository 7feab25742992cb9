"""A study: variants x seeds of runs in a folder, and the table of their results."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aecli.core.errors import AeError, RunError, WriteError, unreadable
from aecli.core.files import whole_name, write_text
from aecli.core.locks import locked, silent
from aecli.models.family import Family
from aecli.runs.config_file import load_recorded
from aecli.runs.run import Run
from aecli.studies.config import StudyFile, folder_name, study_yaml
from aecli.studies.plan import Variant, planned_runs
from aecli.studies.results import Result, read_result, read_results, results_to_csv
from aecli.training.prepare import network_for

STUDIES = Path("studies")
"""Where studies go by default."""


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
    def locked(self, config: StudyFile, note: Callable[[str], None] = silent) -> Iterator[None]:
        """Make the folder, write the study's config, and hold the folder's lock while the block runs.

        `note` is told where the file system has no locks. Raises AeError where something else is there, or another
        process works on the study.
        """
        self._make_folder()
        with locked(self.lock_file, "--output", note):
            write_text(self.config_file, study_yaml(config))
            yield

    def join(self, config: StudyFile, overwrite: bool = False) -> None:
        """Make the folder and write the study's config, for one of the parts that work on it side by side.

        A config that is there already must be the same, or have some of its runs and no others. Raises AeError where
        it is another one, unless `overwrite`, and where something else is there.
        """
        self._make_folder()
        text = study_yaml(config)
        if self.config_file.is_file():
            if self.config_text == text:
                return
            if overwrite:
                self.results_file.unlink(missing_ok=True)
                self.summary_file.unlink(missing_ok=True)
            elif study_yaml(self.config) == text:  # as another version wrote it
                return
            elif not _adds_to(self.config, config):
                raise AeError(
                    f"{self.config_file}: is the config of another study than this part's: give all parts the same "
                    f"command, or give another --output or add --overwrite"
                )
        write_text(self.config_file, text)

    def _make_folder(self) -> None:
        if self.path.is_file():
            raise AeError(f"{self.path}: is a file, expected a folder for the study: give another --output")
        entries = list(self.path.iterdir()) if self.path.is_dir() else []
        # Looked for after the others: another part may be writing it, and the runs come after it.
        if not all(map(self._left_behind, entries)) and not self.config_file.is_file():
            raise AeError(f"{self.path}: is a folder of other files, not a study: give another --output")
        try:
            self.plots_folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WriteError(f"{self.path}: cannot be written ({error.strerror}): give another --output") from error

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

    @property
    def config(self) -> StudyFile:
        """The study's config, with every row's; raises AeError where it is missing or damaged."""
        if not self.config_file.is_file():
            raise RunError(f"{self.path}: is not the folder of a study: it has no {self.config_file.name}")
        config = load_recorded(self.config_file, (), StudyFile).config
        if any(isinstance(row, str) for row in config.study.configs.values()):
            # A study holds its configs: it names no file, which a stranger's would have us read.
            raise RunError(f"{self.config_file}: names configs, a study holds them: run ae compare again")
        return config

    def run(self, variant: Variant, seed: int) -> Run:
        """Return the run of a variant with a seed."""
        return Run(self.path / "runs" / folder_name(variant.name) / str(seed))

    def name_of(self, run: Run) -> str:
        """Return what a run is called in the study: its folder, such as runs/relu/0."""
        return str(run.path.relative_to(self.path))

    def result(self, variant: Variant, seed: int) -> Result:
        """Read the result of a run from its folder."""
        run = self.run(variant, seed)
        base: dict[str, Any] = {
            "label": variant.label,
            "variant": variant.name,
            "seed": seed,
            "run": self.name_of(run),
        }
        base |= {"latent_dim": run.code_length(variant.config.model)}
        if variant.of:
            model = variant.config.model
            base |= {"config": variant.of, "family": model.kind, "weights": _weights(run, model)}
        if run.state == "complete":
            return read_result(run, base)
        if run.state in ("incomplete", "interrupted"):
            return Result(**base, state="missing")
        return Result(**base, state="failed", reason=run.failure[0])

    def results(self) -> list[Result]:
        """Return what is known of every run: from the table, and what it lacks from the folders of the runs.

        The table is written when the study is summed up, or is ended: it lacks what was trained in parts since.
        """
        rows = read_results(self.results_file) if self.results_file.is_file() else []
        known = {row.run: row for row in rows if row.state != "missing"}
        names = {self.name_of(self.run(*planned)): planned for planned in planned_runs(self.config)}
        planned = [known.pop(name) if name in known else self.result(*names[name]) for name in names]
        return [*planned, *known.values()]

    def write_results(self, results: Sequence[Result]) -> None:
        """Write one row a run, everything that is known of it."""
        write_text(self.results_file, results_to_csv(results))


def _adds_to(before: StudyFile, now: StudyFile) -> bool:
    """Whether a study has all runs of another one, and more."""
    old, new = ({(v.name, seed): v.at(seed) for v, seed in planned_runs(config)} for config in (before, now))
    same = before.study.metric == now.study.metric
    return same and len(old) < len(new) and all(new.get(run) == config for run, config in old.items())


def _weights(run: Run, model: Family) -> int | None:
    """Return how many weights the network of a run has, None where its images are not known."""
    try:
        shape = run.image_format.image_shape
    except RunError:
        return None
    return network_for(model, shape).parameter_count(shape)


def study_at(path: Path) -> Study:
    """Return the study of a folder, or the one that a file in it belongs to, such as its table or a plot."""
    folder = path.parent.parent if path.parent.name == "plots" else path.parent
    return Study(folder) if path.is_file() and Study(folder).config_file.is_file() else Study(path)
