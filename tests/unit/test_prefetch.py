"""Tests of the prefetching iterator."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from include.stream.storage.prefetch import prefetch


def test_all_items_come_in_order() -> None:
    with prefetch(iter(range(100))) as items:
        assert list(items) == list(range(100))


def test_the_next_item_is_made_while_the_current_one_is_used() -> None:
    second = threading.Event()

    def made() -> Iterator[int]:
        yield 1
        second.set()
        yield 2

    with prefetch(made()) as items:
        assert next(items) == 1
        assert second.wait(10)
        assert next(items) == 2


def test_no_more_items_are_prefetched_than_allowed() -> None:
    made: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(10):
            made.append(number)
            yield number

    with prefetch(numbers(), by=2) as items:
        for taken in items:
            assert len(made) <= taken + 3


def test_an_error_is_raised_at_the_item_that_caused_it() -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise ValueError("no more")

    with prefetch(failing()) as items:
        assert next(items) == 1
        with pytest.raises(ValueError, match="no more"):
            next(items)


def test_leaving_the_block_closes_the_iterator_and_ends_its_thread() -> None:
    is_closed = threading.Event()

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            is_closed.set()

    before = threading.active_count()
    with prefetch(endless()) as items:
        assert next(items) == 1
    assert is_closed.is_set()
    assert threading.active_count() == before
