"""A study: variants x seeds of runs in a folder, and the table of their results."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aecli.core.errors import AeError, RunError, WriteError, unreadable
from aecli.core.files import whole_name, write_text
from aecli.core.locks import locked, silent
from aecli.models.family import Family
from aecli.runs.run import Run
from aecli.studies.config import StudyFile, folder_name, study_yaml
from aecli.studies.plan import Variant
from aecli.studies.results import Result, read_result, results_to_csv
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
        if self.path.is_file():
            raise AeError(f"{self.path}: is a file, expected a folder for the study: give another --output")
        occupied = self.path.is_dir() and not self.config_file.is_file()
        if occupied and not all(map(self._left_behind, self.path.iterdir())):
            raise AeError(f"{self.path}: is a folder of other files, not a study: give another --output")
        try:
            self.plots_folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WriteError(f"{self.path}: cannot be written ({error.strerror}): give another --output") from error
        with locked(self.lock_file, "--output", note):
            write_text(self.config_file, study_yaml(config))
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
        return Run(self.path / "runs" / folder_name(variant.name) / str(seed))

    def result(self, variant: Variant, seed: int) -> Result:
        """Read the result of a run from its folder."""
        run = self.run(variant, seed)
        base: dict[str, Any] = {
            "label": variant.label,
            "variant": variant.name,
            "seed": seed,
            "run": str(run.path.relative_to(self.path)),
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

    def write_results(self, results: Sequence[Result]) -> None:
        """Write one row a run, everything that is known of it."""
        write_text(self.results_file, results_to_csv(results))


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
