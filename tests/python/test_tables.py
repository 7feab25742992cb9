"""Tables read like those of pandas, without it."""

import math

import numpy as np
import pytest

from aecli.python.tables import Table

COLUMNS = {"epoch": [1, 2, 3], "loss": [0.5, None, 0.25], "layer": ["a", "b", None], "slope": [None] * 3}


def test_a_row_has_its_columns_by_key_and_as_attributes():
    row = Table(COLUMNS)[-1]
    assert row.loss == row["loss"] == 0.25
    assert set(dir(row)) == set(COLUMNS)
    with pytest.raises(AttributeError, match="no column 'lss': there are epoch, loss"):
        _ = row.lss


def test_a_table_is_a_sequence_of_rows_and_has_columns():
    table = Table({"a": [1, 2, 3], "b": np.array([True, False, True])})
    assert len(table) == 3
    assert [row.a for row in table] == table["a"] == [1, 2, 3]
    assert table[1:].to_dict("records") == [{"a": 2, "b": False}, {"a": 3, "b": True}]
    assert table.to_dict() == table.to_dict("list") == {"a": [1, 2, 3], "b": [True, False, True]}
    assert type(table["b"][0]) is bool
    assert table == Table({"a": [1, 2, 3], "b": [True, False, True]})
    assert table != table[:2]
    with pytest.raises(KeyError, match="no column 'c'"):
        _ = table["c"]
    with pytest.raises(ValueError, match="expected 'list' or 'records'"):
        table.to_dict("lists")


def test_a_table_without_rows_is_one():
    table = Table.of_rows([])
    assert (len(table), table.columns, table.to_dict()) == (0, (), {})
    assert repr(table) == ""


def test_a_number_that_there_is_none_of_is_nan():
    table = Table(COLUMNS)
    assert math.isnan(table[1].loss)
    assert all(map(math.isnan, table["slope"]))
    assert table["layer"] == ["a", "b", None]
    assert Table.of_rows([{"a": 1}, {"a": 2, "b": 3.0}]) == Table({"a": [1, 2], "b": [math.nan, 3.0]})


def test_pandas_reads_a_table_in_one_call():
    pandas = pytest.importorskip("pandas", reason="needs pandas: pip install --group dev")
    table = Table(COLUMNS)
    frame = pandas.DataFrame(table)
    pandas.testing.assert_frame_equal(frame, pandas.DataFrame(table.to_dict("list")))
    assert list(frame.columns) == list(COLUMNS)
    assert [frame[name].dtype.kind for name in ("epoch", "loss", "slope")] == ["i", "f", "f"]


def test_a_long_table_shows_its_ends_and_escapes_what_is_the_users():
    table = Table({"file": [f"<b>{n}</b>" for n in range(100)]})
    assert repr(table).splitlines()[-1] == "the first and the last of 100 rows"
    assert len(repr(table).splitlines()) == 14
    shown = table._repr_html_()
    assert "&lt;b&gt;99&lt;/b&gt;" in shown
    assert "<b>" not in shown
    assert shown.count("<tr>") == 13
