"""What the page of a study says of its configs: where they differ, what each row is, and how it was trained."""

from collections.abc import Mapping
from typing import Any

from aecli.models.losses.config import loss_text
from aecli.runs.config_file import in_a_line
from aecli.studies.summary import SummaryRow
from aecli.studies.tables import count
from aecli.views.report.page import Cell, Column, PageSection, PageTable, counted
from aecli.views.report.study_data import StudyData


def configs_section(data: StudyData) -> list[PageSection]:
    """Return the section of the keys in which the configs of a study differ, none for a study of one config."""
    keys = {name: _flat(row) for name, row in data.config.study.configs.items()}
    if len(keys) < 2:
        return []
    columns = (Column("key"), *(Column(name, words=True) for name in keys))
    rows = []
    named = dict.fromkeys(key for values in keys.values() for key in values)
    for key in sorted(named, key=lambda name: name.partition(".")[0]):  # data, model, training
        texts = [values.get(key, "-") for values in keys.values()]
        if len(set(texts)) > 1:
            rows.append((Cell(key, key=key), *(Cell(text) for text in texts)))
    text = "The keys in which they differ; - where a network has no such key. "
    text += f"All others are in {data.study.config_file.name}, at the end of the page."
    changed = [*data.config.study.vary, *data.config.study.tune]
    text += f" In each of them {', '.join(changed)} then took the values that were compared." if changed else ""
    return [PageSection("configs", "The configs", text, table=PageTable(columns, tuple(rows)))]


def _flat(row: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    return {f"{section}.{key}": in_a_line(value) for section, keys in row.items() for key, value in keys.items()}


def trainings(data: StudyData) -> list[str]:
    """Return the epochs and the loss, each where it is that of all rows."""
    epochs = {data.training(row).epochs for row in data.rows}
    losses = {loss_text(data.training(row).loss) for row in data.rows}
    said = [f"{max(epochs)} epochs"] * (len(epochs) == 1) + [f"{max(losses)} loss"] * (len(losses) == 1)
    return [", ".join(said)] if said else []


def network_columns(data: StudyData) -> tuple[Column, ...]:
    """Return the columns of what a row is, where the rows are whole configs."""
    if not data.summary.of_configs:
        return ()
    return (
        Column("family", words=True),
        Column("code", "numbers in the code of an image"),
        Column("weights", "of the network"),
    )


def network_cells(row: SummaryRow) -> tuple[Cell, ...]:
    """Return the cells under `network_columns`."""
    network = row.network
    if network is None:
        return ()
    lengths = (network.code_length, network.weights)
    return (Cell(network.family, key=network.family), *(Cell(count(n), key=n) for n in lengths))


def own_linear_columns(data: StudyData) -> tuple[Column, ...]:
    """Return the columns of the linear codes that each row stands beside, where the code lengths differ."""
    if len(data.summary.code_lengths) < 2:
        return ()
    metric = data.summary.metric
    return (
        Column("PCA", f"{metric} of PCA with as many numbers as the row's own code"),
        Column("best linear code", f"{metric} of the best linear code with as many", more=True),
    )


def own_linear_cells(data: StudyData, row: SummaryRow, digits: int) -> tuple[Cell, ...]:
    """Return the cells under `own_linear_columns`, to so many decimals."""
    network = row.network
    if network is None or len(data.summary.code_lengths) < 2:
        return ()
    return tuple(counted(value, digits) for value in (network.pca, network.best_linear))
