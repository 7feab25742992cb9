"""Chunks on threads: the order of the items, few at a time, and errors where they belong."""

import threading
from collections.abc import Iterator

import pytest

from aecli.core.machine import ordered_map


@pytest.mark.parametrize("threads", [None, 1, 2, 5])
def test_results_come_in_the_order_of_the_items(threads):
    assert list(ordered_map(lambda i: i * i, range(100), threads)) == [i * i for i in range(100)]


def test_no_items_have_no_results():
    assert list(ordered_map(str, [])) == []


def test_a_later_item_that_is_done_first_waits_for_its_turn():
    second_is_done = threading.Event()

    def work(item: int) -> int:
        if item == 0:
            second_is_done.wait()
        else:
            second_is_done.set()
        return item

    assert list(ordered_map(work, range(4), threads=2)) == [0, 1, 2, 3]


def test_items_are_taken_only_a_few_ahead():
    taken = []

    def items() -> Iterator[int]:
        for i in range(1000):
            taken.append(i)
            yield i

    for done, _ in enumerate(ordered_map(abs, items(), threads=3), start=1):
        assert len(taken) <= done + 3


def test_an_error_comes_in_its_place_and_ends_the_work():
    done = []

    def work(item: int) -> int:
        if item == 5:
            raise LookupError("the sixth")
        done.append(item)
        return item

    results = ordered_map(work, range(1000), threads=2)
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(LookupError, match="the sixth"):
        next(results)
    assert len(done) < 10


@pytest.mark.parametrize("threads", [1, 4])
def test_no_thread_outlives_its_reader(threads):
    before = threading.active_count()
    results = ordered_map(abs, range(1000), threads)
    assert next(results) == 0
    results.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before
