"""What a trainer keeps for its next run."""

from aecli.training.trainer import _LastValues


def test_the_values_used_last_are_kept_and_the_one_longest_unused_is_dropped():
    made = []

    def get(key):
        return values.get(key, lambda: made.append(key) or key.upper())

    values = _LastValues(2)
    assert [get(key) for key in "abab"] == ["A", "B", "A", "B"]
    assert made == ["a", "b"]
    assert [get(key) for key in "acb"] == ["A", "C", "B"]
    assert made == ["a", "b", "c", "b"]


def test_a_single_value_is_dropped_before_the_next_is_made():
    """A second network may need the memory of the first."""
    values = _LastValues(1)
    values.get("a", lambda: "A")
    assert values.get("b", lambda: str(values._held)) == "[]"
