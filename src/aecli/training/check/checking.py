"""What `ae check` finds: every check of the images, in the order in which it is reported."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from aecli.core.errors import ConfigError, DataError, NotFiniteError, ReadError
from aecli.data.dataset import ImageDataset
from aecli.data.split import Split
from aecli.models.linear.fit import LinearCodes
from aecli.runs.config import Config
from aecli.training.check.costs import cost_findings
from aecli.training.check.duplicates import Duplicates, find_duplicates
from aecli.training.check.findings import Finding, before_training
from aecli.training.check.fits import active_latents, compression, reachable, spectrum_finding
from aecli.training.check.leaks import leaks, parts_of, twice
from aecli.training.check.order import order_findings
from aecli.training.check.survey import Survey, survey
from aecli.training.check.values import value_findings
from aecli.training.prepare import Prepared, check_output_range, check_paths, check_shape, open_data, split_of
from aecli.training.progress import NullProgress, Progress
from aecli.training.suggest.spectrum import linear_codes


@dataclass(frozen=True)
class CheckReport:
    """What was found. `surveys` are of the training file and, where there is one, the test file; empty where unread."""

    findings: tuple[Finding, ...]
    surveys: tuple[Survey, ...] = ()
    duplicates: Duplicates | None = None

    @property
    def passed(self) -> bool:
        """Whether `ae train` would accept images and config."""
        return not self.count("error")

    def count(self, level: str) -> int:
        """Return how many findings there are of a level."""
        return sum(finding.level == level for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        findings = [vars(finding) for finding in self.findings]
        counts = {f"{level}s": self.count(level) for level in ("error", "warning", "note")}
        return {"sources": [_describe(surveyed.source) for surveyed in self.surveys], **counts, "findings": findings}


def _describe(source: ImageDataset) -> dict[str, Any]:
    return {
        "file": str(source.file.path),
        "images": len(source),
        "stored_shape": list(source.file.shape),
        "image_shape": list(source.format.image_shape),
        "dtype": source.file.dtype.name,
        "low": source.scan.low,
        "high": source.scan.high,
        "value_range": list(source.format.value_range),
        "value_range_reason": source.range_reason,
    }


def check(config: Config, progress: Progress | None = None, codes: LinearCodes | None = None) -> CheckReport:
    """Look at the images that a config names, and at how the config will do on them.

    `codes` are the linear codes of the images where they are known already.

    Everything is read by chunks: twice where the value range is to be decided, else once. Raises AeError where a file
    is missing or is no array; whatever else `ae train` would refuse is an error among the findings.
    """
    progress = progress or NullProgress()
    check_paths(config)
    progress.stage("reading images")
    try:
        train, test = open_data(config)
    except NotFiniteError as error:
        rows = ", ".join(f"#{row}" for row in error.rows)
        return CheckReport(
            (
                Finding("error", "not_finite", str(error), {"rows": list(error.rows)}),
                Finding("note", "not_finite_rows", f"the first images with NaN or infinite values: {rows}"),
            )
        )
    except (DataError, ReadError) as error:
        return CheckReport((Finding("error", "not_images", str(error)),))
    sources = [train] if test is None else [train, test]
    findings: list[Finding] = []
    split = _split(config, train, test, findings)
    for source in sources:
        try:
            check_output_range(config, source)
        except ConfigError as error:
            findings.append(Finding("error", "does_not_fit", str(error)))
    try:
        check_shape(config, train)
    except ConfigError as error:
        # What its code and its costs would be, nobody knows.
        return CheckReport((*findings, Finding("error", "no_such_network", str(error))))
    surveys = _survey(sources, progress)
    progress.stage("looking for duplicates")
    duplicates = find_duplicates(surveys)
    if split is not None:
        findings += before_training(config, train, len(split.train), len(split.validation))
        findings += leaks(duplicates, parts_of(split, train, test), sources)
    for surveyed in surveys:
        findings += value_findings(config, surveyed)
    findings += twice(duplicates, sources)
    findings += order_findings(surveys[0])
    findings += [reachable(config, train), compression(config, train)]
    if split is not None and config.model.problem(train.format.image_shape) is None:
        prepared = Prepared(config, train, test, split)
        progress.stage("fitting linear codes")
        codes = codes or linear_codes(train, split, prepared.code_length)
        findings.append(spectrum_finding(prepared, codes))
        findings += active_latents(config, codes, prepared.code_length)
        progress.stage("timing")
        findings += cost_findings(prepared)
    order = ("error", "warning", "note")
    return CheckReport(tuple(sorted(findings, key=lambda finding: order.index(finding.level))), surveys, duplicates)


def _split(config: Config, train: ImageDataset, test: ImageDataset | None, findings: list[Finding]) -> Split | None:
    try:
        return split_of(config, train, test)
    except DataError as error:
        findings.append(Finding("error", "too_few_images", str(error)))
        return None


def _survey(sources: list[ImageDataset], progress: Progress) -> tuple[Survey, ...]:
    progress.stage("looking at every image")
    starts = [0, *accumulate(len(source) for source in sources)]

    def advance_from(start: int) -> Callable[[int], None]:
        return lambda seen: progress.advance(start + seen, starts[-1])

    return tuple(survey(source, advance_from(start)) for source, start in zip(sources, starts, strict=False))
